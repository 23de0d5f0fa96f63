package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/api/auth"
)

// The ways to authenticate, by their names in the OpenAPI document.
const (
	bearerScheme     = "bearer"
	sessionScheme    = "session"
	capabilityScheme = "capability"
	passScheme       = "pass"
)

// Who may call an operation.
var (
	bearers = ways(bearerScheme)
	anyone  = ways(bearerScheme, sessionScheme)
	holders = ways(bearerScheme, sessionScheme, capabilityScheme) // anyone, and whoever holds the upload's token

	passHolders = ways(passScheme)
	uploaders   = ways(bearerScheme, sessionScheme, passScheme)                   // anyone, and pages with a pass
	watchers    = ways(bearerScheme, sessionScheme, capabilityScheme, passScheme) // all of them
)

func ways(schemes ...string) (all []map[string][]string) {
	for _, scheme := range schemes {
		all = append(all, map[string][]string{scheme: {}})
	}
	return all
}

// tokenParameter carries a capability where no header can be sent.
const tokenParameter = "token"

func securitySchemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		bearerScheme:     {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A JWT or an API key."},
		sessionScheme:    {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "Set by POST /v1/session. Writes are only taken from the API's own origin."},
		capabilityScheme: {Type: "apiKey", In: "query", Name: tokenParameter, Description: "The token of one upload, as handed out with it. It is good as a bearer token too."},
		passScheme:       {Type: "http", Scheme: "bearer", BearerFormat: "pass", Description: "A pass, as a bearer token or in the path, " + passFolder + "{pass}/…, where nothing else can be sent."},
	}
}

// authenticated is the middleware of the operations that name a way to authenticate.
func (s *server) authenticated(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	p, err := s.identify(r, ctx.Operation().Security)
	if err == nil {
		err = covers(p, ctx)
	}
	if err != nil {
		s.refuse(ctx, s.explain(ctx.Context(), err))
		return
	}
	callOf(ctx.Context()).principal = p
	next(ctx)
}

// covers keeps a capability to its upload, and it and a pass to the operations that take one.
func covers(p auth.Principal, ctx huma.Context) error {
	allowed := ctx.Operation().Security
	switch {
	case p.Pass != "":
		return scoped(accepts(allowed, passScheme))
	case p.Upload == uuid.Nil:
		if !accepts(allowed, bearerScheme) {
			return challenge(tokenInvalid, "only a pass is taken here")
		}
		return nil
	case accepts(allowed, capabilityScheme) && ctx.Param("id") != p.Upload.String():
		return notFound.problem()
	default:
		return scoped(accepts(allowed, capabilityScheme) && (p.Operation == "" || p.Operation == ctx.Operation().OperationID))
	}
}

func scoped(within bool) error {
	if !within {
		return tokenScope.problem()
	}
	return nil
}

// identify prefers what no browser sends by itself to the session cookie, which is only good for reading and for
// writes from the API's own origin.
func (s *server) identify(r *http.Request, allowed []map[string][]string) (auth.Principal, error) {
	if len(r.Header.Values("Authorization")) > 1 { // a proxy may have looked at another one than this
		return auth.Principal{}, challenge(tokenInvalid, "there must be one Authorization header")
	}
	if pass := callOf(r.Context()).pass; pass != "" {
		if !auth.IsPass(pass) {
			return auth.Principal{}, challenge(tokenInvalid, "only a pass can be in the path")
		}
		return s.authenticate(r.Context(), pass)
	}
	if token, ok := bearerToken(r); ok {
		return s.authenticate(r.Context(), token)
	}
	if token := r.URL.Query().Get(tokenParameter); token != "" && accepts(allowed, capabilityScheme) {
		if !auth.IsCapability(token) {
			return auth.Principal{}, challenge(tokenInvalid, "only the token of an upload can be a parameter")
		}
		return s.authenticate(r.Context(), token)
	}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil || !accepts(allowed, sessionScheme) {
		return auth.Principal{}, challenge(tokenMissing, "")
	}
	if err := s.sameOrigin.Check(r); err != nil {
		return auth.Principal{}, crossOrigin.problem()
	}
	return s.authenticate(r.Context(), cookie.Value)
}

// authenticate turns refusals into problems.
func (s *server) authenticate(ctx context.Context, credential string) (auth.Principal, error) {
	p, err := s.auth.Authenticate(ctx, credential)
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return p, challenge(refusals[refused.Code], refused.Reason)
	}
	return p, err
}

var refusals = map[auth.Code]kind{auth.Invalid: tokenInvalid, auth.Expired: tokenExpired, auth.Early: tokenEarly}

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
	if err := encode(ctx.BodyWriter(), body); err != nil {
		s.log.DebugContext(ctx.Context(), "could not send an error", "error", err)
	}
}
