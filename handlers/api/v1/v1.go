// Package v1 holds the bodies of version 1 of the upload API, as the server writes them and as the client reads
// them. Sizes are in bytes, dimensions in pixels, times in UTC. The struct tags beside the JSON names feed the
// OpenAPI document.
package v1

import "time"

// NewUpload asks for permission to upload one file.
type NewUpload struct {
	_           struct{}          `additionalProperties:"false"`
	Filename    string            `json:"filename" minLength:"1" maxLength:"1024" example:"holiday.jpg" doc:"Name to show, at most 1024 bytes of UTF-8, without control and bidirectional formatting characters and .. folders. Object keys are never made from it."`
	ContentType string            `json:"content_type" example:"image/jpeg" doc:"Media type, without parameters."`
	Size        int64             `json:"size" minimum:"1" maximum:"9007199254740991" example:"3145728" doc:"Exact size in bytes."`
	SHA256      string            `json:"sha256,omitempty" maxLength:"64" doc:"SHA-256 of the file, as 64 hexadecimal digits or in padded base64. Object storage refuses other bytes."`
	Method      string            `json:"method,omitempty" example:"put" doc:"How the file will be sent: put, post or multipart. Not given, the service chooses: put, or multipart for a large file."`
	PartSHA256  bool              `json:"part_sha256,omitempty" doc:"Each part of a multipart upload will come with its SHA-256, without which none is signed. Object storage refuses other bytes."`
	Metadata    map[string]string `json:"metadata,omitempty" maxProperties:"32" doc:"Your own notes: names of 1 to 64 letters, digits, dots, dashes and underscores; values of at most 1024 bytes."`
}

// Capability is a token for one upload: it may show, complete and delete it, and nothing else.
type Capability struct {
	Token          string    `json:"token" doc:"Good for this upload alone, as a bearer token or as the parameter token. For pages and programs that are not to have more."`
	TokenExpiresAt time.Time `json:"token_expires_at"`
}

// Upload is one upload as it stands.
type Upload struct {
	ID          string            `json:"id" format:"uuid"`
	Method      string            `json:"method" enum:"put,post,multipart" doc:"How the file is sent."`
	State       string            `json:"state" enum:"initiated,uploaded,verified,clean,processed,ready,rejected,infected,unscannable,failed,expired,aborted,deleted"`
	Version     int64             `json:"version" doc:"Grows with every step; it is the ETag too."`
	Filename    string            `json:"filename"`
	ContentType string            `json:"content_type" doc:"As found, or as declared until then."`
	Size        int64             `json:"size,omitempty" doc:"Bytes, as found, or as declared until then."`
	SHA256      string            `json:"sha256,omitempty" doc:"64 hexadecimal digits, as found, or as declared until then."`
	Width       int               `json:"width,omitempty" doc:"Pixels, as displayed."`
	Height      int               `json:"height,omitempty" doc:"Pixels, as displayed."`
	URL         string            `json:"url,omitempty" format:"uri" doc:"Where the file is published; only when it is ready."`
	Variants    []Variant         `json:"variants" nullable:"false" doc:"Published renditions; empty until it is ready."`
	Reason      *Reason           `json:"reason,omitempty" doc:"Why it will not become ready."`
	Metadata    map[string]string `json:"metadata,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	ExpiresAt   time.Time         `json:"expires_at" doc:"When it is given up if nothing has arrived."`
	History     []Transition      `json:"history,omitempty" nullable:"false" doc:"Every step so far, oldest first."`
}

// UploadList is a page of uploads, newest first.
type UploadList struct {
	Uploads []Upload `json:"uploads" nullable:"false" doc:"Without their histories."`
	Next    string   `json:"next,omitempty" doc:"Cursor of the next page; left out on the last one."`
}

// Settled reports whether the upload has its outcome, good or bad.
func (u Upload) Settled() bool {
	switch u.State {
	case "initiated", "uploaded", "verified", "clean", "processed":
		return false
	}
	return true
}

// Ready reports whether the file and its renditions are published.
func (u Upload) Ready() bool { return u.State == "ready" }

// Variant is a published rendition.
type Variant struct {
	Name        string `json:"name" example:"200" doc:"Length of its longer side in pixels."`
	URL         string `json:"url" format:"uri"`
	ContentType string `json:"content_type" example:"image/jpeg"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Size        int64  `json:"size"`
}

// Reason says why an upload left the line.
type Reason struct {
	Code   string `json:"code" example:"type_mismatch" doc:"For programs."`
	Detail string `json:"detail,omitempty" doc:"For people."`
}

// Transition is one step of an upload.
type Transition struct {
	Seq        int64     `json:"seq" doc:"The upload's version after it."`
	Stage      string    `json:"stage" example:"verify"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to"`
	Attempt    int       `json:"attempt" doc:"1 for the first try."`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	DurationMS int64     `json:"duration_ms"`
	Reason     *Reason   `json:"reason,omitempty"`
}

// Problem is the body of every error, as RFC 9457 (application/problem+json) with a code.
type Problem struct {
	Title     string  `json:"title" example:"Not Found"`
	Status    int     `json:"status" example:"404"`
	Code      string  `json:"code" example:"not_found" doc:"For programs; it does not change."`
	Detail    string  `json:"detail,omitempty" doc:"For people."`
	Errors    []Fault `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request."`
	RequestID string  `json:"request_id,omitempty" doc:"Name it when you ask for help."`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location" example:"body.size"`
	Message  string `json:"message"`
	Value    any    `json:"value,omitempty" doc:"What was sent, when it is short."`
}
