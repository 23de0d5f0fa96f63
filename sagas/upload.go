package sagas

import (
	"time"

	"github.com/google/uuid"
)

// Upload is one saga: what was declared, what was found, and how far it has come.
type Upload struct {
	ID       uuid.UUID // version 7
	Owner    Owner
	State    State
	Version  int64 // 1 when begun, one more with each transition
	Method   Method
	Filename string // as the client named it: shown, never used as a key
	Bucket   string
	Key      string
	Declared Content
	Observed Content
	MaxSize  int64 // bytes that its tenant was allowed when it began; 0: not known

	Multipart Multipart // zero unless Method is MethodMultipart

	// ETag (unquoted) and VersionID pin the object that was found at intake. Everything later reads exactly it.
	ETag      string
	VersionID string // empty where the bucket is not versioned

	Width    int // pixels, as displayed; 0 when it has none or is not known yet
	Height   int
	Variants []Variant
	Reason   Reason // why the upload left the line; zero while it is on it
	Metadata map[string]string
	Pass     string // id of the pass that it was begun with; empty: without one

	CreatedAt  time.Time
	UpdatedAt  time.Time
	ExpiresAt  time.Time  // after this an upload that has not arrived is given up
	NotifiedAt *time.Time // when the outcome was delivered

	// ReadAt is the database's clock at the moment this record was read.
	ReadAt time.Time
}

// Owner is whose upload it is: the principal that began it.
type Owner struct {
	Tenant  string
	Subject string
}

// Method is how the client sends the bytes.
type Method string

// The methods. The values are part of the API and of the database.
const (
	MethodPut       Method = "put"       // a single presigned PUT
	MethodPost      Method = "post"      // a form with a signed policy
	MethodMultipart Method = "multipart" // several presigned PUTs, which S3 joins
)

// Multipart is how a file is cut into parts, and what S3 calls the upload that joins them.
type Multipart struct {
	UploadID  string // empty until S3 has given it one
	PartSize  int64  // bytes of every part but the last, which may be smaller; 0: the client cuts as it likes
	PartCount int    // parts are numbered from 1
	SHA256    bool   // each part is sent with its SHA-256, which S3 checks
}

// Content describes bytes: as the client declared them, or as they were found.
type Content struct {
	Type   string // media type without parameters
	Size   int64  // bytes; 0 when not declared or not yet known
	SHA256 []byte // 32 bytes, or nil
}

// Variant is a rendition of the upload.
type Variant struct {
	Name      string `json:"name"` // "200" for 200 pixels on the longer side
	Key       string `json:"key"`
	Type      string `json:"type"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Size      int64  `json:"size"`
	ETag      string `json:"etag"`
	VersionID string `json:"version_id,omitempty"`
}

// Facts are what a stage learned about an upload. A zero field leaves the record as it is.
type Facts struct {
	ETag      string
	VersionID string
	Observed  Content
	Width     int
	Height    int
	Variants  []Variant
}

// Transition is one row of an upload's history.
type Transition struct {
	Seq        int64 // the upload's Version after it
	Stage      string
	From       State // empty for the first
	To         State
	Attempt    int // 1 for the first try
	Worker     string
	StartedAt  time.Time
	FinishedAt time.Time
	Reason     Reason
}
