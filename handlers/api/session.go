package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const sessionCookie = "sluice_session"

// sessionInput is the request as far as the cookie depends on it.
type sessionInput struct {
	request *http.Request
}

// Resolve implements huma.Resolver.
func (in *sessionInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

type sessionOutput struct {
	Cookie http.Cookie `header:"Set-Cookie"`
}

// startSession puts the caller's bearer token in a cookie, for pages that are served from the API's own origin.
func (s *server) startSession(ctx context.Context, in *sessionInput) (*sessionOutput, error) {
	token, _ := bearerToken(in.request)
	maxAge := 0 // until the browser is closed
	if expires := callOf(ctx).principal.Expires; !expires.IsZero() {
		maxAge = max(1, int(time.Until(expires).Seconds()))
	}
	return s.session(in.request, token, maxAge), nil
}

// endSession makes the browser forget the cookie. The token stays valid until it expires.
func (s *server) endSession(_ context.Context, in *sessionInput) (*sessionOutput, error) {
	if err := s.sameOrigin.Check(in.request); err != nil {
		return nil, crossOrigin.problem()
	}
	return s.session(in.request, "", -1), nil
}

func (s *server) session(r *http.Request, token string, maxAge int) *sessionOutput {
	return &sessionOutput{Cookie: http.Cookie{ //nolint:gosec // Secure would make it useless where the API is served without TLS
		Name: sessionCookie, Value: token, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.overTLS(r), SameSite: http.SameSiteLaxMode,
	}}
}

// overTLS reports whether the client reached the API by https, as far as the API can know.
func (s *server) overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.config.PublicURL, "https:") ||
		s.config.TrustForwardedProto && r.Header.Get("X-Forwarded-Proto") == "https"
}

// base is the URL at which the client reaches the API, without a slash at its end.
func (s *server) base(r *http.Request) string {
	switch {
	case s.config.PublicURL != "":
		return strings.TrimSuffix(s.config.PublicURL, "/")
	case s.overTLS(r):
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}
