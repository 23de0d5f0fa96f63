// Package api is Sluice's HTTP interface: it gives clients permission to upload, shows them how far their uploads
// have come, and describes itself. It handles metadata only; no byte of a file passes through it.
//
// Every call is made by a principal, a subject of a tenant, and sees that principal's uploads only. Errors are
// RFC 9457 problems with a code that does not change; errors.go is the table of them. The bodies are in package
// v1 beside this one, and the OpenAPI document, which is made from the code, is kept in openapi.json.
//
// It needs the sagas' database and a Changes that runs, credentials that may put objects into the incoming bucket, for
// signing, a Confirm that can HEAD them and reach the queues, and a Cancel that can remove objects from the media bucket.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/singleflight"

	"github.com/sluice-media/sluice/handlers/api/auth"
	"github.com/sluice-media/sluice/handlers/ops"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Deps is what the API works with.
type Deps struct {
	Store   *sagas.Store
	Objects *storage.Client
	Changes *sagas.Changes // for who waits; when it ends they are answered

	// Confirm asks S3 whether the object of an initiated upload is there and moves the upload on. It returns
	// storage.ErrNotFound when nothing has arrived.
	Confirm func(ctx context.Context, u sagas.Upload) (sagas.Upload, error)

	// Cancel aborts an upload that is on its way and deletes one that has its outcome. It returns the upload as it
	// stands, with an error also when it is cancelled but not everything was done that follows from that.
	Cancel func(ctx context.Context, u sagas.Upload) (sagas.Upload, error)

	// Mount adds what is served beside the operations, if anything. Its patterns must not overlap with theirs.
	Mount func(*http.ServeMux)

	Checks  []ops.Check // what /readyz asks
	Metrics *prometheus.Registry
	Log     *slog.Logger
}

// server answers the operations.
type server struct {
	config     Config
	auth       *auth.Authenticator
	sealer     *auth.Sealer
	tenants    *tenants
	sameOrigin *http.CrossOriginProtection
	store      *sagas.Store
	changes    *sagas.Changes
	reads      singleflight.Group
	objects    *storage.Client
	confirm    func(context.Context, sagas.Upload) (sagas.Upload, error)
	cancel     func(context.Context, sagas.Upload) (sagas.Upload, error)
	checks     []ops.Check
	metrics    *metrics
	log        *slog.Logger
	huma       huma.API
	examples   map[string]map[string]example // by operation and name
}

// New returns the handler of the whole API. What it does in the background ends with ctx.
func New(ctx context.Context, c Config, d Deps) (http.Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if d.Changes == nil {
		return nil, errors.New("the api needs to be told of changes")
	}
	sameOrigin, err := ownOrigin(c.PublicURL)
	if err != nil {
		return nil, err
	}
	authenticator, err := auth.New(ctx, c.Auth, d.Store, d.Log)
	if err != nil {
		return nil, err
	}
	sealer, err := auth.NewSealer(c.Auth, "kept answers")
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registering the api's metrics: %w", err)
	}
	examples, err := readExamples()
	if err != nil {
		return nil, err
	}
	s := &server{
		config: c, auth: authenticator, sealer: sealer, tenants: newTenants(c, d.Store), sameOrigin: sameOrigin,
		store: d.Store, changes: d.Changes, objects: d.Objects, confirm: d.Confirm, cancel: d.Cancel, checks: d.Checks,
		metrics: m, log: d.Log, examples: examples,
	}

	mux := http.NewServeMux()
	s.huma = humago.New(mux, openAPI())
	s.routes() //nolint:contextcheck // every request has a context of its own
	if err := s.describe(mux); err != nil {
		return nil, err
	}
	if d.Mount != nil {
		d.Mount(mux)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{Registry: d.Metrics}))

	go s.forget(ctx)

	h := s.matched(mux)
	h = crossOriginCalls(c.AllowedOrigins, h)
	h = s.recovered(h)
	h = s.observed(h)
	h = passed(h)
	return identified(h), nil
}

// ownOrigin checks that a request comes from a page of the API itself. Behind a proxy that is the public URL.
func ownOrigin(publicURL string) (*http.CrossOriginProtection, error) {
	protection := http.NewCrossOriginProtection()
	if publicURL == "" {
		return protection, nil
	}
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, fmt.Errorf("public-url: %w", err)
	}
	if err := protection.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("public-url: %w", err)
	}
	return protection, nil
}
