package v1

import "time"

// Begun is a new upload together with the permission to send its bytes.
type Begun struct {
	Upload
	Capability
	Permission Permission `json:"upload"`
}

// Permission is how to send the file, by the upload's method. URLs, headers and fields are secrets until they expire:
// anyone who has them can send the file.
//
// put: one request of Method to URL with Headers and the file as its body. post: a multipart/form-data request of
// Method to URL with Fields and, last of all, the file in a field named file. multipart: one request for each of
// Parts.
type Permission struct {
	Method    string            `json:"method" enum:"PUT,POST"`
	URL       string            `json:"url,omitempty" format:"uri" doc:"Where to send the file; of put and post."`
	Headers   map[string]string `json:"headers,omitempty" doc:"Of put: to be sent exactly so, they are signed. Browsers set Content-Length themselves."`
	Fields    map[string]string `json:"fields,omitempty" doc:"Of post: the fields of the form, to be sent exactly so before the file, whose field is named file."`
	PartSize  int64             `json:"part_size,omitempty" doc:"Of multipart: bytes of each part but the last, which may be smaller."`
	PartCount int               `json:"part_count,omitempty" doc:"Of multipart: how many parts the file has."`
	Parts     []SignedPart      `json:"parts,omitempty" nullable:"false" doc:"Of multipart: the first 100 parts at most, and none when each needs its SHA-256. More are signed on request."`
	ExpiresAt time.Time         `json:"expires_at" doc:"The requests must have begun by then."`
}

// SignedPart is the permission to send one part of a file: a PUT to URL with Headers.
type SignedPart struct {
	Number  int               `json:"number" minimum:"1" maximum:"10000"`
	Offset  int64             `json:"offset" doc:"Where in the file the part begins, in bytes."`
	Size    int64             `json:"size,omitempty" doc:"Bytes of the part."`
	URL     string            `json:"url" format:"uri" doc:"Where to PUT the part. Anyone who has it can."`
	Headers map[string]string `json:"headers" doc:"To be sent exactly so: they are signed."`
}

// WantedParts asks for permission to send parts, again or for the first time.
type WantedParts struct {
	_     struct{}     `additionalProperties:"false"`
	Parts []WantedPart `json:"parts" minItems:"1" maxItems:"100" nullable:"false"`
}

// WantedPart is one part that a client is about to send.
type WantedPart struct {
	_      struct{} `additionalProperties:"false"`
	Number int      `json:"number" minimum:"1" maximum:"10000"`
	SHA256 string   `json:"sha256,omitempty" maxLength:"64" doc:"SHA-256 of the part, as 64 hexadecimal digits or in padded base64; of uploads begun with part_sha256 only, and needed there."`
}

// SignedParts is the permission to send the parts that were asked for.
type SignedParts struct {
	Parts     []SignedPart `json:"parts" nullable:"false"`
	ExpiresAt time.Time    `json:"expires_at" doc:"The requests must have begun by then."`
}

// StoredParts is what object storage has of a multipart upload.
type StoredParts struct {
	PartSize  int64        `json:"part_size,omitempty" doc:"Bytes of each part but the last, which may be smaller."`
	PartCount int          `json:"part_count" doc:"How many parts the file has."`
	Parts     []StoredPart `json:"parts" nullable:"false" doc:"In the order of their numbers."`
}

// StoredPart is a part that has arrived.
type StoredPart struct {
	Number int    `json:"number"`
	Size   int64  `json:"size" doc:"Bytes."`
	ETag   string `json:"etag" doc:"As object storage answered the PUT, without its quotes."`
	SHA256 string `json:"sha256,omitempty" doc:"64 hexadecimal digits; of uploads begun with part_sha256."`
}

// Completion says that the file was sent.
type Completion struct {
	_     struct{}        `additionalProperties:"false"`
	Parts []CompletedPart `json:"parts,omitempty" maxItems:"10000" doc:"Of multipart: every part that was sent, in the order of their numbers. Not given, what object storage has is not compared with what the client believes it to have."`
}

// CompletedPart is a part that the client has sent.
type CompletedPart struct {
	_      struct{} `additionalProperties:"false"`
	Number int      `json:"number" minimum:"1" maximum:"10000"`
	ETag   string   `json:"etag" minLength:"1" maxLength:"256" doc:"As object storage answered the PUT, with or without its quotes."`
}
