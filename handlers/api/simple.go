package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// simpleTag marks the endpoints of the simple protocol: get a URL, PUT, confirm. Its clients
// send no header but Content-Type, and know errors as {"error": "..."}.
const simpleTag = "simple"

type simpleFailure struct {
	Error string `json:"error" example:"File not found in storage"`
}

func simpleError(p *problem) simpleFailure {
	if len(p.Errors) > 0 {
		return simpleFailure{Error: p.Errors[0].Location + ": " + p.Errors[0].Message}
	}
	return simpleFailure{Error: p.Detail}
}

// humaContext has a name that does not hide huma.Context's own method Context.
type humaContext = huma.Context

// simpleContext takes every body for JSON, whatever the browser called it, and answers a bad one with 400.
type simpleContext struct{ humaContext }

// Unwrap lets humago find its own context.
func (c simpleContext) Unwrap() huma.Context { return c.humaContext }

// Header implements huma.Context.
func (c simpleContext) Header(name string) string {
	if http.CanonicalHeaderKey(name) == "Content-Type" {
		return "application/json"
	}
	return c.humaContext.Header(name)
}

// SetStatus implements huma.Context.
func (c simpleContext) SetStatus(status int) {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	c.humaContext.SetStatus(status)
}

func simpleDialect(ctx huma.Context, next func(huma.Context)) { next(simpleContext{ctx}) }

type getURLInput struct {
	Body struct {
		Filename    string `json:"filename" maxLength:"1024" example:"holiday.jpg"`
		ContentType string `json:"contentType" example:"image/jpeg"`
	}
}

type getURLOutput struct {
	Body struct {
		UploadURL string `json:"uploadUrl" format:"uri" doc:"PUT the file here, with the same Content-Type and no other header."`
		Key       string `json:"key" doc:"Names the file to confirm-upload."`
	}
}

// getUploadURL signs the type only, which is all that these clients send. What keeps such an upload from being
// swapped is the version that the pipeline pins.
func (s *server) getUploadURL(ctx context.Context, in *getURLInput) (*getURLOutput, error) {
	if message := checkFilename(in.Body.Filename); message != "" {
		return nil, malformed.because("filename: %s", message)
	}
	if !slices.Contains(callOf(ctx).limits.types, in.Body.ContentType) {
		return nil, malformed.because("File type not allowed")
	}
	d := declaration{filename: in.Body.Filename, content: sagas.Content{Type: in.Body.ContentType}, method: sagas.MethodPut}
	u, put, err := s.beginPut(ctx, d, false)
	if err != nil {
		return nil, err
	}
	out := &getURLOutput{}
	out.Body.UploadURL, out.Body.Key = put.URL, u.Key
	return out, nil
}

type confirmInput struct {
	Body struct {
		Key string `json:"key" doc:"As answered by get-upload-url."`
	}
}

type confirmOutput struct {
	Body struct {
		FileURL   string `json:"fileUrl" format:"uri" doc:"Where the file will be published when it is ready."`
		Success   bool   `json:"success"`
		State     string `json:"state" doc:"How far the upload has come."`
		StatusURL string `json:"statusUrl" doc:"Where its state is shown."`
	}
}

// confirmUpload answers at once, with the URL that the file will have if it passes every stage.
func (s *server) confirmUpload(ctx context.Context, in *confirmInput) (*confirmOutput, error) {
	notThere := malformed.because("File not found in storage")
	u, err := s.findByKey(ctx, in.Body.Key)
	if errors.Is(err, sagas.ErrNotFound) {
		return nil, notThere
	}
	if err != nil {
		return nil, err
	}
	u, err = s.confirmed(ctx, u)
	if errors.Is(err, storage.ErrNotFound) || u.State == sagas.Expired || u.State == sagas.Aborted || u.State == sagas.Deleted {
		return nil, notThere
	}
	if err != nil {
		return nil, err
	}
	return s.confirmation(u), nil
}

// findByKey returns the caller's upload of that key, or sagas.ErrNotFound.
func (s *server) findByKey(ctx context.Context, key string) (sagas.Upload, error) {
	if hasControl(key) {
		return sagas.Upload{}, sagas.ErrNotFound
	}
	call := callOf(ctx)
	u, err := s.store.GetByKey(ctx, call.principal.Owner, s.objects.Incoming, key)
	if err == nil && !within(ctx, u) {
		return sagas.Upload{}, sagas.ErrNotFound
	}
	if err == nil {
		call.uploadID = u.ID
	}
	return u, err
}

func (s *server) confirmation(u sagas.Upload) *confirmOutput {
	out := &confirmOutput{}
	out.Body.FileURL, out.Body.Success = s.config.mediaURL(u.Key), true
	out.Body.State, out.Body.StatusURL = string(u.State), s.config.uploadURL(u.ID.String())
	return out
}
