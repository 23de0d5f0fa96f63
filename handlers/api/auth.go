package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sluice-media/sluice/sagas"
)

// authenticator tells who a credential speaks for. Its errors are problems of status 401.
type authenticator interface {
	authenticate(ctx context.Context, token string) (principal, error)
}

// principal is who is calling.
type principal struct {
	sagas.Owner
	expires time.Time // when the credential ends
}

// The ways to authenticate, by their names in the OpenAPI document.
var (
	byBearer  = map[string][]string{"bearer": {}}
	bySession = map[string][]string{"session": {}}
)

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "Set by POST /v1/session. Writes are only taken from the API's own origin."},
	}
}

// authenticated is the middleware of the operations that name a way to authenticate.
func (s *server) authenticated(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	p, err := s.identify(r, ctx.Operation().Security)
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
		return
	}
	callOf(ctx.Context()).principal = p
	next(ctx)
}

// identify prefers the bearer token, which no browser sends by itself, to the session cookie, which is only good
// for reading and for writes from the API's own origin.
func (s *server) identify(r *http.Request, allowed []map[string][]string) (principal, error) {
	if token, ok := bearerToken(r); ok {
		return s.auth.authenticate(r.Context(), token)
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || !accepts(allowed, "session") {
		return principal{}, challenge(tokenMissing, "")
	}
	if err := s.sameOrigin.Check(r); err != nil {
		return principal{}, crossOrigin.problem()
	}
	return s.auth.authenticate(r.Context(), cookie.Value)
}

func accepts(allowed []map[string][]string, scheme string) bool {
	for _, way := range allowed {
		if _, ok := way[scheme]; ok {
			return true
		}
	}
	return false
}

// bearerToken reads the Authorization header as RFC 6750, section 2.1.
func bearerToken(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// challenge makes the 401 with its WWW-Authenticate header (RFC 6750, section 3). The reason is for people.
func challenge(k kind, reason string) *problem {
	p, value := k.problem(), `Bearer realm="sluice"`
	if reason != "" {
		p.Detail = reason
		value += `, error="invalid_token", error_description="` + reason + `"`
	}
	return p.with("WWW-Authenticate", value)
}

// refuse answers in place of an operation.
func (s *server) refuse(ctx huma.Context, p *problem) {
	ctx.SetHeader("Content-Type", p.ContentType(""))
	for name := range p.header {
		ctx.SetHeader(name, p.header.Get(name))
	}
	body := final(ctx, p)
	ctx.SetStatus(p.Status)
	if err := s.huma.Marshal(ctx.BodyWriter(), "application/json", body); err != nil {
		s.log.DebugContext(ctx.Context(), "could not send an error", "error", err)
	}
}
