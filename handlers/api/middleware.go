package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/cors"

	"github.com/sluice-media/sluice/handlers/api/auth"
)

// call is what is known of the request being answered. The outermost middleware makes it, the inner ones and the
// handlers fill it in, and the access log reads it.
type call struct {
	requestID string
	pass      string   // that was in the path
	tags      []string // of the operation, once it is known
	principal auth.Principal
	limits    limits // of the principal's tenant
	uploadID  uuid.UUID
	waited    bool // for a change: how long says nothing about the server
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

const requestIDHeader = "X-Request-Id"

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identified gives the request its id: the caller's, when it is fit for a log, or a new one.
func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !requestIDPattern.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set(requestIDHeader, id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer") // a capability can be in the URL
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, &call{requestID: id})))
	})
}

// observed logs and counts every request. Query strings, headers and bodies are never logged: presigned URLs and
// tokens are in them.
func (s *server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, rec, c := time.Now(), &recorder{ResponseWriter: w}, callOf(r.Context())
		defer func() {
			took, route := time.Since(began), routeOf(r)
			s.metrics.requests.WithLabelValues(methodLabel(r.Method), route, strconv.Itoa(rec.sent())).Inc()
			if !c.waited {
				s.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
			}
			s.logAccess(r, rec, route, took)
		}()
		next.ServeHTTP(rec, r)
	})
}

func (s *server) logAccess(r *http.Request, rec *recorder, route string, took time.Duration) {
	c, level := callOf(r.Context()), slog.LevelInfo
	switch route {
	case "/healthz", "/readyz", "/metrics":
		level = slog.LevelDebug
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	// Without the place in the code, which is the same for every request and the dearest part of a line.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	attrs := append(make([]slog.Attr, 0, 9), // all that follow
		slog.String("request_id", c.requestID),
		slog.String("method", r.Method),
		slog.String("path", r.URL.Path),
		slog.Int("status", rec.sent()),
		slog.Int64("bytes", rec.bytes),
		slog.Float64("seconds", took.Seconds()),
	)
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		attrs = append(attrs, slog.String("remote", host))
	}
	if c.principal.Tenant != "" {
		attrs = append(attrs, slog.String("tenant", c.principal.Tenant))
	}
	if c.uploadID != uuid.Nil {
		attrs = append(attrs, slog.String("upload_id", c.uploadID.String()))
	}
	line.AddAttrs(attrs...)                       // once, or it makes room each time
	_ = s.log.Handler().Handle(r.Context(), line) // as slog itself does
}

// routeOf is the pattern that the mux matched, without its method: a bounded set, unlike paths.
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	_, path, _ := strings.Cut(r.Pattern, "/")
	return "/" + path
}

func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// recovered turns a panic into a 500, or cuts the answer short when it has begun.
func (s *server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(rec, r, p)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

func (s *server) panicked(w *recorder, r *http.Request, value any) {
	ctx := r.Context()
	s.log.ErrorContext(ctx, "panic", "request_id", callOf(ctx).requestID, "panic", value, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) //nolint:forbidigo // the only way to tell net/http that the answer is not whole
	}
	s.write(ctx, w, internal.problem())
}

// crossOriginCalls lets pages of the configured origins call with a bearer token. Cookies stay at home.
func crossOriginCalls(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", idempotencyHeader, "If-None-Match", "Last-Event-ID", requestIDHeader},
		ExposedHeaders: []string{"ETag", "Location", "Retry-After", replayedHeader, requestIDHeader},
		MaxAge:         600,
	}).Handler(next)
}

// matched answers what no route takes, in the same form as every other error.
func (s *server) matched(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if !isClean(r.URL.EscapedPath()) { // the mux would send the client elsewhere
			s.write(r.Context(), w, noRoute.problem())
			return
		}
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := &recorder{ResponseWriter: discard{http.Header{}}}
		handler.ServeHTTP(answer, r)
		p := noRoute.problem()
		if answer.status == http.StatusMethodNotAllowed {
			p = methodNotAllowed.problem().with("Allow", answer.Header().Get("Allow"))
		}
		s.write(r.Context(), w, p)
	})
}

// isClean reports a path without empty segments and dots.
func isClean(p string) bool {
	return p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/")
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is sent
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) sent() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// discard is a response that goes nowhere.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
