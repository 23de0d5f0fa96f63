package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// passFolder is before a pass in a path: what follows the pass is the path of an operation. It is for clients such as
// Uppy 6, whose requests have no room for any other credential.
const passFolder = "/u/"

// opened are the folders of the operations that can be behind a pass. Nothing that a browser shows is among them: a page
// would tell its URL to others.
var opened = []string{"/v1/", "/s3/"}

// passed takes the pass out of the path, before anything logs or counts it.
func passed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), passFolder)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		pass, path, _ := strings.Cut(rest, "/")
		inner := r.Clone(r.Context())
		inner.URL.Path, inner.URL.RawPath, inner.RequestURI = passFolder, "", ""
		for _, folder := range opened {
			if plain, err := url.PathUnescape("/" + path); err == nil && strings.HasPrefix(plain, folder) {
				inner.URL.Path, inner.URL.RawPath = plain, "/"+path
				callOf(r.Context()).pass = pass
			}
		}
		next.ServeHTTP(w, inner)
	})
}

// passServers say in the document that an operation can be behind a pass.
func passServers() []*huma.Server {
	return []*huma.Server{
		{URL: "/"},
		{
			URL: passFolder + "{pass}", Description: "With a pass in the path, for requests that can carry no other credential.",
			Variables: map[string]*huma.ServerVariable{"pass": {Default: "pass_…", Description: "The token of a pass."}},
		},
	}
}

// passRoutes are the operations about passes.
func (s *server) passRoutes() {
	tags := []string{"passes"}

	register(s, huma.Operation{
		OperationID: "create-pass", Method: http.MethodPost, Path: "/v1/passes", DefaultStatus: http.StatusCreated,
		Summary: "Ask for a pass", Tags: tags, Security: bearers,
		Description: "A pass lets a page of any allowed origin upload in the caller's name, for a short time, so many files with so " +
			"many bytes. It is good for what Uppy calls, under /s3/, and for seeing what became of uploads that were begun with a " +
			"pass; and for nothing else. Its endpoint is Uppy's companionEndpoint.",
	}, s.createPass, malformed, invalid, bodyTooLarge, unsupportedBody)

	register(s, huma.Operation{
		OperationID: "show-pass", Method: http.MethodGet, Path: "/v1/pass",
		Summary: "Show the pass that one calls with", Tags: tags, Security: passHolders,
		Description: "Says in plain words why a pass is not good, where a client such as Uppy only knows the status.",
	}, s.showPass)

	register(s, huma.Operation{
		OperationID: "revoke-pass", Method: http.MethodDelete, Path: "/v1/passes/{pass}", DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a pass", Tags: tags, Security: anyone,
		Description: "It is no longer good for anything, from now on. Uploads that were begun with it go on.",
	}, s.revokePass, notFound)
}

type createPassInput struct {
	Body v1.NewPass

	request *http.Request
}

// Resolve implements huma.Resolver.
func (in *createPassInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

type createPassOutput struct {
	Body v1.IssuedPass
}

func (s *server) createPass(ctx context.Context, in *createPassInput) (*createPassOutput, error) {
	most := sagas.Quota{Files: in.Body.Files, Bytes: in.Body.Bytes}
	token, record := auth.NewPass(callOf(ctx).principal.Owner, most)
	p, err := s.store.AddPass(ctx, record, time.Duration(in.Body.Seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	out := &createPassOutput{}
	out.Body.Pass = pass(p)
	out.Body.Token, out.Body.Endpoint = token, s.base(in.request)+passFolder+token
	return out, nil
}

func pass(p sagas.Pass) v1.Pass {
	return v1.Pass{
		ID: p.ID, ExpiresAt: p.ExpiresAt.UTC(), Files: p.Most.Files, Bytes: p.Most.Bytes, FilesBegun: p.Begun.Files, BytesBegun: p.Begun.Bytes,
	}
}

type showPassOutput struct {
	Body v1.Pass
}

func (s *server) showPass(ctx context.Context, _ *struct{}) (*showPassOutput, error) {
	p, err := s.store.Pass(ctx, callOf(ctx).principal.Pass)
	if err != nil {
		return nil, err
	}
	return &showPassOutput{Body: pass(p)}, nil
}

type revokePassInput struct {
	Pass string `path:"pass" example:"7gqk2m4xw5tzc3vd" doc:"The pass's id, which is not its token."`
}

func (s *server) revokePass(ctx context.Context, in *revokePassInput) (*struct{}, error) {
	if hasControl(in.Pass) {
		return nil, noPass.problem()
	}
	_, err := s.store.RevokePass(ctx, callOf(ctx).principal.Owner, in.Pass)
	if errors.Is(err, sagas.ErrNoPass) {
		return nil, noPass.problem()
	}
	return nil, err
}

// within keeps a pass to uploads that were begun with one, though not with the same: a page that is loaded again has
// another.
func within(ctx context.Context, u sagas.Upload) bool {
	return callOf(ctx).principal.Pass == "" || u.Pass != ""
}
