package v1

import "time"

// NewPass asks for a pass.
type NewPass struct {
	_       struct{} `additionalProperties:"false"`
	Files   int64    `json:"files" minimum:"1" maximum:"10000" example:"20" doc:"How many uploads may be begun with it."`
	Bytes   int64    `json:"bytes" minimum:"1" maximum:"9007199254740991" example:"10737418240" doc:"How many bytes all their files may have together, as declared."`
	Seconds int64    `json:"seconds,omitempty" minimum:"1" maximum:"3600" default:"900" doc:"How long it is good."`
}

// Pass is how far a pass has been used.
type Pass struct {
	ID         string    `json:"id" doc:"To revoke it by. It is no secret."`
	ExpiresAt  time.Time `json:"expires_at"`
	Files      int64     `json:"files" doc:"How many uploads may be begun with it."`
	Bytes      int64     `json:"bytes" doc:"How many bytes their files may have together."`
	FilesBegun int64     `json:"files_begun" doc:"How many were."`
	BytesBegun int64     `json:"bytes_begun" doc:"How many bytes those were declared to have."`
}

// IssuedPass is a pass that was just made, with its secret.
type IssuedPass struct {
	Pass
	Token    string `json:"token" doc:"Whoever has it can upload: good as a bearer token, too. It is told only now."`
	Endpoint string `json:"endpoint" format:"uri" doc:"This service behind the pass: the companionEndpoint of Uppy 6, the endpoint of Uppy 5."`
}
