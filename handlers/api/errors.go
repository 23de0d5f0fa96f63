package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// kind is one sort of client error. The code never changes; the detail is a default.
type kind struct {
	status int
	code   string
	detail string
}

// The table of everything that can be wrong.
var (
	malformed          = kind{http.StatusBadRequest, "invalid_request", "The request cannot be read."}
	invalid            = kind{http.StatusUnprocessableEntity, "invalid_request", "The request is not valid."}
	typeNotAllowed     = kind{http.StatusUnprocessableEntity, "type_not_allowed", "Files of this type are not accepted."}
	methodNotSupported = kind{http.StatusUnprocessableEntity, "method_not_supported", "The methods are put, post and multipart."}
	tooLarge           = kind{http.StatusRequestEntityTooLarge, "too_large", "The file is larger than is accepted."}
	bodyTooLarge       = kind{http.StatusRequestEntityTooLarge, "body_too_large", "The body of the request is too large."}
	unsupportedBody    = kind{http.StatusUnsupportedMediaType, "unsupported_media_type", "The body of the request must be application/json."}
	bodyTimeout        = kind{http.StatusRequestTimeout, "request_timeout", "The body of the request took too long."}

	tokenMissing = kind{http.StatusUnauthorized, "token_missing", "Send a bearer token."}
	tokenInvalid = kind{http.StatusUnauthorized, "token_invalid", "The token is not valid."}
	tokenExpired = kind{http.StatusUnauthorized, "token_expired", "The token has expired."}
	tokenEarly   = kind{http.StatusUnauthorized, "token_not_yet_valid", "The token is not valid yet."}
	tokenScope   = kind{http.StatusForbidden, "token_scope", "This token is for something else."}
	crossOrigin  = kind{http.StatusForbidden, "cross_origin", "A session can only be used from the API's own origin."}

	notFound         = kind{http.StatusNotFound, "not_found", "There is no such upload."}
	noRoute          = kind{http.StatusNotFound, "not_found", "There is nothing at this path."}
	methodNotAllowed = kind{http.StatusMethodNotAllowed, "method_not_allowed", "This path does not take this method."}
	rateLimited      = kind{http.StatusTooManyRequests, "rate_limited", "Your tenant makes too many requests. Try again later."}
	tooManyInFlight  = kind{http.StatusTooManyRequests, "too_many_in_flight", "Your tenant has too much on its way. Try again when some of it has arrived."}
	passSpent        = kind{http.StatusForbidden, "pass_spent", "This pass has no room for another upload."}
	noPass           = kind{http.StatusNotFound, "not_found", "There is no such pass."}
	keyInvalid       = kind{http.StatusBadRequest, "idempotency_key_invalid", "The idempotency key cannot be read."}
	keyInFlight      = kind{http.StatusConflict, "idempotency_key_in_flight", "A request with this idempotency key is being answered. Try again."}
	keyReused        = kind{http.StatusUnprocessableEntity, "idempotency_key_reused", "Another request came with this idempotency key."}
	notUploaded      = kind{http.StatusConflict, "not_uploaded", "The file has not arrived in storage."}
	uploadSettled    = kind{http.StatusConflict, "upload_settled", "The upload no longer takes this."}

	notMultipart     = kind{http.StatusConflict, "not_multipart", "The upload is not sent in parts."}
	partOrder        = kind{http.StatusUnprocessableEntity, "part_order", "Parts must be listed once each, in the order of their numbers."}
	partsMissing     = kind{http.StatusConflict, "parts_missing", "Parts are missing."}
	partSizeMismatch = kind{http.StatusConflict, "part_size_mismatch", "Parts do not have the sizes that were signed."}
	partETagMismatch = kind{http.StatusConflict, "part_etag_mismatch", "Parts in storage are not the listed ones."}

	clientGone = kind{499, "client_closed_request", "The client has gone."}
	internal   = kind{http.StatusInternalServerError, "internal", "Something went wrong on our side."}

	unavailable = kind{http.StatusServiceUnavailable, "unavailable", "Something that the API needs does not answer. Try again."}
)

// problem is an error that the client is told about.
type problem struct {
	v1.Problem
	header http.Header
}

func (k kind) problem() *problem { return k.because("%s", k.detail) }

func (k kind) because(format string, args ...any) *problem {
	return &problem{Problem: v1.Problem{
		Title: http.StatusText(k.status), Status: k.status, Code: k.code, Detail: fmt.Sprintf(format, args...),
	}}
}

func (k kind) faulty(faults []v1.Fault) *problem {
	p := k.problem()
	p.Errors = faults
	return p
}

func (p *problem) with(header, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(header, value)
	return p
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// write sends the problem where huma is not involved.
func (s *server) write(ctx context.Context, w http.ResponseWriter, p *problem) {
	p.RequestID = callOf(ctx).requestID
	for name := range p.header {
		w.Header().Set(name, p.header.Get(name))
	}
	body, contentType := spoken(callOf(ctx).tags, p)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(p.Status)
	if err := encode(w, body); err != nil {
		s.log.DebugContext(ctx, "could not send an error", "error", err)
	}
}

// report turns any error of a handler into what the client is told, and logs what the client is not told.
func (s *server) report(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return s.explain(ctx, err)
}

func (s *server) explain(ctx context.Context, err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		s.metrics.refused.WithLabelValues(p.Code).Inc()
		return p
	case ctx.Err() != nil:
		return clientGone.problem()
	}
	s.log.ErrorContext(ctx, "request failed", "request_id", callOf(ctx).requestID, "error", err)
	if _, ok := errors.AsType[unfinished](err); ok || sagas.IsUnavailable(err) || storage.IsUnavailable(err) || errors.Is(err, auth.ErrUnavailable) {
		return unavailable.problem().with("Retry-After", "1")
	}
	return internal.problem()
}
