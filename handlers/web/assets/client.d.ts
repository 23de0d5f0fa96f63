/** Types of Sluice's client for browsers. Sizes are in bytes, dimensions in pixels, times in RFC 3339. */

export type State =
  | 'initiated' | 'uploaded' | 'verified' | 'clean' | 'processed' | 'ready'
  | 'rejected' | 'infected' | 'unscannable' | 'failed' | 'expired' | 'aborted' | 'deleted';

export type Method = 'put' | 'post' | 'multipart';

export interface Reason {
  code: string;
  detail?: string;
}

export interface Variant {
  name: string;
  url: string;
  content_type: string;
  width: number;
  height: number;
  size: number;
}

export interface Transition {
  seq: number;
  stage: string;
  from?: State;
  to: State;
  attempt: number;
  started_at: string;
  finished_at: string;
  duration_ms: number;
  reason?: Reason;
}

/** One upload as it stands. */
export interface Upload {
  id: string;
  state: State;
  method?: Method;
  /** Grows with every step. */
  version: number;
  filename: string;
  content_type: string;
  size?: number;
  sha256?: string;
  width?: number;
  height?: number;
  /** Where the file is published; only when it is ready. */
  url?: string;
  variants: Variant[];
  /** Why it will not become ready. */
  reason?: Reason;
  metadata?: Record<string, string>;
  created_at: string;
  updated_at: string;
  expires_at: string;
  /** Every step so far, oldest first. Lists leave it out. */
  history?: Transition[];
}

/** What POST /v1/uploads takes. */
export interface Declaration {
  filename: string;
  content_type: string;
  size: number;
  sha256?: string;
  /** Each part of a file that is sent in parts will come with its SHA-256. */
  part_sha256?: boolean;
  method?: Method;
  metadata?: Record<string, string>;
}

/** What POST /v1/uploads answers: an upload with the permission to send its bytes. */
export interface Begun extends Upload {
  /** Lets its holder do what this one upload needs, and nothing else. */
  token?: string;
  upload: object;
}

export interface ClientOptions {
  /** Of the API; the page's own origin when it is left out. */
  baseUrl?: string;
  /** A bearer token, or what returns one when it is needed. */
  token?: string | (() => string | Promise<string>);
  /** Makes the calls of the API, in place of the global fetch. */
  fetch?: typeof globalThis.fetch;
  /** Where interrupted uploads are remembered, in place of localStorage; null remembers nothing. */
  storage?: Storage | null;
}

export interface CallOptions {
  signal?: AbortSignal;
  /** For this call, in place of the client's. */
  token?: string;
}

export interface WatchOptions extends CallOptions {
  /** Is called with every state that is heard of, the first and the last one included. */
  onChange?: (upload: Upload) => void;
}

export interface UploadOptions {
  onProgress?: (progress: { sent: number; total: number }) => void;
  /** Is called when the upload has begun or was found again, and when its bytes have arrived. */
  onChange?: (upload: Upload) => void;
  /** Interrupts the upload. */
  signal?: AbortSignal;
  /** Your own notes. */
  metadata?: Record<string, string>;
  /**
   * The file's SHA-256 in hexadecimal digits or base64, which object storage then insists on. True has the browser
   * calculate it for files of up to 64 MiB, and for each part of a file that is sent in parts.
   */
  sha256?: string | true;
  /** The server chooses by the size when it is left out. */
  method?: Method;
  /** Parts that are sent at once; 4 when it is left out. */
  concurrency?: number;
  /** False begins anew even where the same file was interrupted. */
  resume?: boolean;
  /**
   * Begins the upload, in place of the API itself: for applications whose server calls POST /v1/uploads and hands its
   * answer on, so that the page needs no token but the upload's own.
   */
  begin?: (declaration: Declaration) => Promise<Begun>;
}

export interface ListOptions {
  state?: State | State[];
  /** Uploads on a page. */
  limit?: number;
  /** The `next` of the page before. */
  cursor?: string;
  signal?: AbortSignal;
}

/** An upload whose bytes have not all arrived. */
export interface Interrupted {
  id: string;
  name: string;
  size: number;
  /** Milliseconds since the epoch, as is at. */
  lastModified: number;
  at: number;
}

/** An answer that was not a success, or none at all. */
export class SluiceError extends Error {
  /** The problem's code, or network, storage_refused, file_changed, unreadable_answer, no_checksums. */
  readonly code: string;
  /** Of HTTP; 0 when there was no answer. */
  readonly status: number;
  readonly errors: { location: string; message: string; value?: unknown }[];
  readonly requestId: string;
  /** Milliseconds. */
  readonly retryAfter?: number;
  /** Whether the same may well succeed later. */
  readonly temporary: boolean;
}

/** An upload that has its outcome, which is not ready. */
export class UploadRefused extends SluiceError {
  readonly upload: Upload;
}

/** Whether an upload has its outcome, good or bad. */
export function settled(upload: { state: State }): boolean;

/** Sends files to object storage as Sluice permits, and follows what becomes of them. */
export class SluiceClient {
  constructor(options?: ClientOptions);

  /**
   * Sends a file. An upload of the same file that was interrupted goes on where it was. Aborting the signal only
   * interrupts; delete cancels.
   */
  upload(file: File, options?: UploadOptions): Promise<Upload>;

  /** Follows an upload until it has its outcome. */
  watch(id: string, options?: WatchOptions): Promise<Upload>;

  /** Follows an upload until it is ready; throws UploadRefused when it has another outcome. */
  waitUntilReady(id: string, options?: WatchOptions): Promise<Upload>;

  get(id: string, options?: CallOptions): Promise<Upload>;
  list(options?: ListOptions): Promise<{ uploads: Upload[]; next?: string }>;

  /** Cancels an upload that is under way, or removes one that has its outcome. */
  delete(id: string, options?: CallOptions): Promise<Upload>;

  /** Uploads begun in this browser that go on when upload is called with the same file. */
  interrupted(): Promise<Interrupted[]>;

  /** Forgets an interrupted upload without cancelling it. */
  forget(id: string): void;

  /** Exchanges a token for a session's cookie, on pages of the API's own origin. */
  signIn(token: string): Promise<void>;

  /** Ends the session. */
  signOut(): Promise<void>;
}
