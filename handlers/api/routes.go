package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	title       = "Sluice"
	maxBody     = 64 << 10 // bytes
	revalidated = "private, no-cache"
)

// routes is every operation, in the order of an upload's life.
func (s *server) routes() {
	register(s, huma.Operation{
		OperationID: "begin-upload", Method: http.MethodPost, Path: "/v1/uploads", DefaultStatus: http.StatusCreated,
		Summary: "Ask for permission to upload a file", Tags: []string{"uploads"}, Security: anyone,
		Description: "Answers with one presigned request, which the client sends to object storage itself. The declared " +
			"type, size and SHA-256 are signed into it, and it works once.",
	}, s.beginUpload, malformed, invalid, typeNotAllowed, methodNotSupported, tooLarge, bodyTooLarge, unsupportedBody)

	register(s, huma.Operation{
		OperationID: "complete-upload", Method: http.MethodPost, Path: "/v1/uploads/{id}/complete",
		Summary: "Say that the file was sent", Tags: []string{"uploads"}, Security: holders,
		Description: "Never needed: storage itself reports what arrives. It saves the wait for that report.",
	}, s.completeUpload, notFound, notUploaded)

	register(s, huma.Operation{
		OperationID: "list-uploads", Method: http.MethodGet, Path: "/v1/uploads",
		Summary: "List one's uploads, newest first", Tags: []string{"uploads"}, Security: anyone,
	}, s.listUploads, invalid)

	register(s, huma.Operation{
		OperationID: "show-upload", Method: http.MethodGet, Path: "/v1/uploads/{id}",
		Summary: "Show how far an upload has come", Tags: []string{"uploads"}, Security: holders,
		Responses: map[string]*huma.Response{"304": {Description: "Nothing has happened since."}},
		Description: "With wait, the answer comes as soon as there is a version that the client does not have, or when the wait " +
			"is over. Asking again each time follows an upload without missing a change.",
	}, s.showUpload, notFound, invalid)

	register(s, huma.Operation{
		OperationID: "stream-upload", Method: http.MethodGet, Path: "/v1/uploads/{id}/events",
		Summary: "Follow an upload as server-sent events", Tags: []string{"uploads"}, Security: holders,
		Description: "Each event is named upload, has the upload's version as its id and the upload, as GET /v1/uploads/{id} shows it, " +
			"as its data on one line. The first tells how the upload stands, unless Last-Event-ID says that the client knows; changes " +
			"that follow each other quickly may come as one event, with all of them in the history. Comments keep the " +
			"connection alive. The stream ends after the outcome, and with the credential.",
		Responses: s.eventStream(),
	}, s.streamEvents, notFound, invalid)

	register(s, huma.Operation{
		OperationID: "renew-upload-token", Method: http.MethodPost, Path: "/v1/uploads/{id}/token",
		Summary: "Ask for another token of an upload", Tags: []string{"uploads"}, Security: anyone,
		Description: "For a client that works on when the token it was given ends. Tokens that are out stay good.",
	}, s.renewToken, notFound)

	register(s, huma.Operation{
		OperationID: "start-session", Method: http.MethodPost, Path: "/v1/session", DefaultStatus: http.StatusNoContent,
		Summary: "Exchange a bearer token for a cookie", Tags: []string{"session"}, Security: bearers,
	}, s.startSession)

	register(s, huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: "/v1/session", DefaultStatus: http.StatusNoContent,
		Summary: "Clear the cookie", Tags: []string{"session"},
	}, s.endSession, crossOrigin)

	register(s, huma.Operation{
		OperationID: "get-upload-url", Method: http.MethodPost, Path: "/get-upload-url",
		Summary: "Ask for a URL to upload to", Tags: []string{simpleTag}, Security: anyone,
	}, s.getUploadURL, malformed)

	register(s, huma.Operation{
		OperationID: "confirm-upload", Method: http.MethodPost, Path: "/confirm-upload",
		Summary: "Say that the file was sent", Tags: []string{simpleTag}, Security: anyone,
	}, s.confirmUpload, malformed)

	register(s, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz",
		Summary: "Whether the process answers", Tags: []string{"operations"},
	}, healthz)

	register(s, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz",
		Summary: "Whether the service can do its work", Tags: []string{"operations"},
		Responses: map[string]*huma.Response{"503": {
			Description: "Something that it depends on is failing.",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: schemaPrefix + "Readiness"}}},
		}},
	}, s.readyz)
}

// register adds an operation with what all of them share; fails are the errors that it can end in besides those.
func register[I, O any](s *server, op huma.Operation, handle func(context.Context, *I) (*O, error), fails ...kind) {
	op.MaxBodyBytes = -1 // bounded takes care of it
	if slices.Contains(op.Tags, simpleTag) {
		op.Middlewares = append(op.Middlewares, simpleDialect)
	}
	op.Middlewares = append(op.Middlewares, uncached)
	if len(op.Security) > 0 {
		op.Middlewares = append(op.Middlewares, s.authenticated)
		fails = append(fails, tokenMissing, tokenInvalid, tokenExpired, tokenEarly)
		if !accepts(op.Security, capabilityScheme) {
			fails = append(fails, tokenScope)
		}
	}
	if accepts(op.Security, sessionScheme) && op.Method != http.MethodGet {
		fails = append(fails, crossOrigin)
	}
	op.Middlewares = append(op.Middlewares, s.bounded)
	s.document(&op, fails)
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		return out, s.report(ctx, err)
	})
}

// bounded reads the body before huma does, which would take one that breaks off for a mistake of the server's.
func (s *server) bounded(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		s.refuse(ctx, bodyTooLarge.problem())
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.refuse(ctx, bodyTimeout.problem())
	case err != nil:
		s.refuse(ctx, malformed.because("The body of the request broke off."))
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(ctx)
	}
}

// uncached keeps answers out of caches, unless the operation says otherwise.
func uncached(ctx huma.Context, next func(huma.Context)) {
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}
