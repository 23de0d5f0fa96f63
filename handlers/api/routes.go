package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

const (
	title       = "Sluice"
	maxBody     = 64 << 10 // bytes, where an operation does not say otherwise
	maxPartList = 1 << 20  // bytes of a body that may list 10,000 parts
	revalidated = "private, no-cache"
)

// routes is every operation, in the order of an upload's life.
func (s *server) routes() {
	register(s, huma.Operation{
		OperationID: "begin-upload", Method: http.MethodPost, Path: "/v1/uploads", DefaultStatus: http.StatusCreated,
		Summary: "Ask for permission to upload a file", Tags: []string{"uploads"}, Security: anyone, Parameters: onceOnly,
		Description: "Answers with presigned requests, which the client sends to object storage itself: one PUT, one POST of a " +
			"form, or one PUT for each part of the file. The declared type, size and SHA-256 are signed into them. A PUT works " +
			"once. The SHA-256 of a file that comes in parts is compared when all of it has arrived.",
	}, s.beginUpload, malformed, invalid, typeNotAllowed, methodNotSupported, tooLarge, tooManyInFlight, bodyTooLarge, unsupportedBody,
		unavailable)

	register(s, huma.Operation{
		OperationID: "sign-parts", Method: http.MethodPost, Path: "/v1/uploads/{id}/parts",
		Summary: "Ask for permission to send parts", Tags: []string{"uploads"}, Security: holders,
		Description: "For the parts that the first answer did not sign, and for those whose permission has expired. The length " +
			"of each part is signed. A part may be sent again; the last one counts.",
	}, s.signMoreParts, malformed, invalid, notFound, notMultipart, uploadSettled, bodyTooLarge, unsupportedBody)

	register(s, huma.Operation{
		OperationID: "list-parts", Method: http.MethodGet, Path: "/v1/uploads/{id}/parts",
		Summary: "List the parts that have arrived", Tags: []string{"uploads"}, Security: holders,
		Description: "As object storage has them: to go on with an upload that was interrupted, send the others.",
	}, s.listParts, notFound, notMultipart, uploadSettled, unavailable)

	register(s, huma.Operation{
		OperationID: "complete-upload", Method: http.MethodPost, Path: "/v1/uploads/{id}/complete", MaxBodyBytes: maxPartList,
		Summary: "Say that the file was sent", Tags: []string{"uploads"}, Security: holders, Middlewares: huma.Middlewares{unhurried},
		Description: "Has object storage join the parts of a file that came in parts, once all of them are there with their " +
			"planned sizes; list them to have their ETags compared too. Not needed otherwise: storage itself reports what " +
			"arrives, and this only saves the wait for that report. It may be repeated.",
	}, s.completeUpload, malformed, invalid, notFound, notUploaded, uploadSettled, notMultipart, partOrder, partsMissing,
		partSizeMismatch, partETagMismatch, bodyTooLarge, unsupportedBody, unavailable)

	register(s, huma.Operation{
		OperationID: "list-uploads", Method: http.MethodGet, Path: "/v1/uploads",
		Summary: "List one's uploads, newest first", Tags: []string{"uploads"}, Security: anyone,
	}, s.listUploads, invalid)

	register(s, huma.Operation{
		OperationID: "show-upload", Method: http.MethodGet, Path: "/v1/uploads/{id}",
		Summary: "Show how far an upload has come", Tags: []string{"uploads"}, Security: watchers,
		Responses: map[string]*huma.Response{"304": {Description: "Nothing has happened since."}},
		Description: "With wait, the answer comes as soon as there is a version that the client does not have, or when the wait " +
			"is over. Asking again each time follows an upload without missing a change.",
	}, s.showUpload, notFound, invalid)

	register(s, huma.Operation{
		OperationID: "stream-upload", Method: http.MethodGet, Path: "/v1/uploads/{id}/events",
		Summary: "Follow an upload as server-sent events", Tags: []string{"uploads"}, Security: watchers, Middlewares: huma.Middlewares{s.notForHead},
		Description: "Each event is named upload, has the upload's version as its id and the upload, as GET /v1/uploads/{id} shows it, " +
			"as its data on one line. The first tells how the upload stands, unless Last-Event-ID says that the client knows; changes " +
			"that follow each other quickly may come as one event, with all of them in the history. Comments keep the " +
			"connection alive. The stream ends after the outcome, and with the credential.",
		Responses: s.eventStream(),
	}, s.streamEvents, notFound, invalid)

	register(s, huma.Operation{
		OperationID: "cancel-upload", Method: http.MethodDelete, Path: "/v1/uploads/{id}",
		Summary: "Abort an upload, or delete its files", Tags: []string{"uploads"}, Security: holders,
		Description: "An upload that is on its way becomes aborted, one that has its outcome deleted. When this is answered, " +
			"nothing of it is left where it was published; the copies that a CDN or a browser has cached live on until their " +
			"time is over. The record and its history stay. It may be repeated, and should be after a 503.",
	}, s.cancelUpload, notFound, unavailable)

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
		Summary: "Ask for a URL to upload to", Tags: []string{simpleTag}, Security: anyone, Parameters: onceOnly,
	}, s.getUploadURL, malformed, tooManyInFlight)

	register(s, huma.Operation{
		OperationID: "confirm-upload", Method: http.MethodPost, Path: "/confirm-upload",
		Summary: "Say that the file was sent", Tags: []string{simpleTag}, Security: anyone,
	}, s.confirmUpload, malformed, unavailable)

	register(s, huma.Operation{
		OperationID: "start-multipart", Method: http.MethodPost, Path: "/start-multipart",
		Summary: "Ask for URLs to upload the parts of a file to", Tags: []string{simpleTag}, Security: anyone, Parameters: onceOnly,
	}, s.startSimpleMultipart, malformed, tooManyInFlight, unavailable)

	register(s, huma.Operation{
		OperationID: "complete-multipart", Method: http.MethodPost, Path: "/complete-multipart", MaxBodyBytes: maxPartList,
		Summary: "Have the parts of a file joined", Tags: []string{simpleTag}, Security: anyone, Middlewares: huma.Middlewares{unhurried},
	}, s.completeSimpleMultipart, malformed, uploadSettled, partsMissing, partSizeMismatch, partETagMismatch, tooLarge, bodyTooLarge,
		unavailable)

	s.companionRoutes()
	s.s3Routes()
	s.passRoutes()

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
	limit := op.MaxBodyBytes
	if limit == 0 {
		limit = maxBody
	}
	op.MaxBodyBytes = -1 // bounded takes care of it
	// And of the time that reading takes. A deadline that huma sets on what has been read would strike the handler: net/http
	// takes its client for gone and cancels the context of this request, and of all that follow on the same connection.
	op.BodyReadTimeout = -1
	if slices.Contains(op.Tags, simpleTag) {
		op.Middlewares = append(op.Middlewares, simpleDialect)
	}
	op.Middlewares = append(op.Middlewares, begun)
	if len(op.Security) > 0 {
		op.Middlewares = append(op.Middlewares, s.authenticated, s.limited)
		fails = append(fails, tokenMissing, tokenInvalid, tokenExpired, tokenEarly, tokenScope, rateLimited)
	}
	if accepts(op.Security, passScheme) {
		op.Servers = passServers()
	}
	if accepts(op.Security, sessionScheme) && op.Method != http.MethodGet {
		fails = append(fails, crossOrigin)
	}
	op.Middlewares = append(op.Middlewares, s.unambiguous, s.bounded(limit))
	if isOnceOnly(op) {
		op.Middlewares = append(op.Middlewares, s.once)
		fails = append(fails, keyInvalid, keyInFlight, keyReused)
	}
	s.illustrate(&op)
	s.document(&op, fails)
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		return out, s.report(ctx, err)
	})
}

// unambiguous refuses a query that no two readers need take for the same: one that cannot be read, of which net/url would
// drop a part, and a parameter that comes more often than it is taken.
func (s *server) unambiguous(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.refuse(ctx, malformed.because("The query cannot be read."))
		return
	}
	var faults []v1.Fault
	for name, values := range query {
		if len(values) > 1 && !takesMany(ctx.Operation(), name) {
			faults = append(faults, v1.Fault{Location: "query." + strings.ToValidUTF8(name, "?"), Message: "must be given once"})
		}
	}
	if len(faults) > 0 {
		s.refuse(ctx, invalid.faulty(faults[:min(len(faults), maxFaults)]))
		return
	}
	next(ctx)
}

func takesMany(op *huma.Operation, name string) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool {
		return p.Name == name && p.In == "query" && p.Schema.Type == huma.TypeArray
	})
}

// notForHead keeps HEAD, which is a GET to the mux, from an operation whose GET does more than to show something.
func (s *server) notForHead(ctx huma.Context, next func(huma.Context)) {
	if r, _ := humago.Unwrap(ctx); r.Method == http.MethodHead {
		s.refuse(ctx, methodNotAllowed.problem().with("Allow", http.MethodGet))
		return
	}
	next(ctx)
}

// bounded reads the body before huma does, which would take one that breaks off for a mistake of the server's, and one
// that is compressed for bad JSON.
func (s *server) bounded(limit int64) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
			s.refuse(ctx, unsupportedBody.because("The body of the request must not be compressed.").with("Accept-Encoding", "identity"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
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
}

// unhurried lets an operation answer as late as S3 may have joined the parts of a file.
func unhurried(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	// Without a deadline there is nothing to put off.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(joinTimeout + joinTimeout/10))
	next(ctx)
}

// begun notes which operation it is, and keeps answers out of caches unless the operation says otherwise.
func begun(ctx huma.Context, next func(huma.Context)) {
	callOf(ctx.Context()).tags = ctx.Operation().Tags
	ctx.SetHeader("Cache-Control", "no-store")
	next(ctx)
}
