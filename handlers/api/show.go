package api

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

const (
	maxWait     = time.Minute
	answerGrace = 30 * time.Second // to write the answer after a wait
)

type showInput struct {
	ID          string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
	IfNoneMatch string `header:"If-None-Match" example:"\"5\"" doc:"ETags that the client has; a match is answered by 304."`
	Wait        string `query:"wait" example:"30s" doc:"How long to wait for a version that the client does not have, such as 30s: at most 60s. Afterwards the answer is what it would be without waiting."`
	After       int64  `query:"after" minimum:"0" example:"5" doc:"Newest version that the client has. Left out, it is the one in If-None-Match."`

	connection *http.ResponseController
}

// Resolve implements huma.Resolver.
func (in *showInput) Resolve(ctx huma.Context) []error {
	_, w := humago.Unwrap(ctx)
	in.connection = http.NewResponseController(w)
	return nil
}

// seen is the newest version that the client says it has.
func (in *showInput) seen() int64 {
	newest := in.After
	for candidate := range candidates(in.IfNoneMatch) {
		if v, err := strconv.ParseInt(strings.Trim(candidate, `"`), 10, 64); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}

type showOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Body         *v1.Upload
}

// showUpload reads no more than the version for a client that has it.
func (s *server) showUpload(ctx context.Context, in *showInput) (*showOutput, error) {
	if in.Wait != "" {
		if err := s.waited(ctx, in); err != nil {
			return nil, err
		}
	}
	if in.IfNoneMatch != "" {
		id, err := named(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		version, err := s.version(ctx, id)
		if err != nil {
			return nil, err
		}
		if matches(in.IfNoneMatch, etag(version)) {
			return &showOutput{Status: http.StatusNotModified, ETag: etag(version), CacheControl: revalidated}, nil
		}
	}
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, u)
}

// waited returns when the upload has a version that the client has not, when the client has waited long enough, or
// when the process is about to stop. It holds no connection to the database meanwhile.
func (s *server) waited(ctx context.Context, in *showInput) error {
	wait, err := time.ParseDuration(in.Wait)
	if err != nil || wait <= 0 || wait > maxWait {
		p := invalid.problem()
		p.Errors = []v1.Fault{{Location: "query.wait", Message: "must be a duration such as 30s, at most 60s", Value: short(in.Wait)}}
		return p
	}
	id, err := named(ctx, in.ID)
	if err != nil {
		return err
	}
	watch := s.changes.Watch(id) // before the version is read: no change falls between
	defer watch.Close()
	version, err := s.version(ctx, id)
	if err != nil {
		return err
	}
	seen := in.seen()
	if version > seen {
		return nil
	}
	callOf(ctx).waited = true
	if err := in.outlast(wait); err != nil {
		return err
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		select {
		case version := <-watch.C:
			if version > seen {
				return nil
			}
		case <-end.C:
			return nil
		case <-s.changes.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outlast keeps the server's own timeouts from cutting a wait: the one for writing, and the one for reading, which
// would end the request's context.
func (in *showInput) outlast(wait time.Duration) error {
	return errors.Join(
		in.connection.SetReadDeadline(time.Time{}),
		in.connection.SetWriteDeadline(time.Now().Add(wait+answerGrace)),
	)
}

// named is the id in a path, and nothing else that means the same.
func named(ctx context.Context, id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return uuid.Nil, notFound.problem()
	}
	callOf(ctx).uploadID = parsed
	return parsed, nil
}

// version is that of the caller's upload.
func (s *server) version(ctx context.Context, id uuid.UUID) (int64, error) {
	if callOf(ctx).principal.Pass != "" {
		u, err := s.find(ctx, id.String())
		return u.Version, err
	}
	version, err := s.store.Version(ctx, callOf(ctx).principal.Owner, id)
	if errors.Is(err, sagas.ErrNotFound) {
		return 0, notFound.problem()
	}
	return version, err
}

// find returns the caller's upload. Anything else, somebody else's upload included, does not exist.
func (s *server) find(ctx context.Context, id string) (sagas.Upload, error) {
	parsed, err := named(ctx, id)
	if err != nil {
		return sagas.Upload{}, err
	}
	u, err := s.store.Get(ctx, callOf(ctx).principal.Owner, parsed)
	if errors.Is(err, sagas.ErrNotFound) || err == nil && !within(ctx, u) {
		return sagas.Upload{}, notFound.problem()
	}
	return u, err
}

func (s *server) shown(ctx context.Context, u sagas.Upload) (*showOutput, error) {
	body, err := s.whole(ctx, u)
	if err != nil {
		return nil, err
	}
	return &showOutput{Status: http.StatusOK, ETag: etag(u.Version), CacheControl: revalidated, Body: &body}, nil
}

// whole is the resource with its history.
func (s *server) whole(ctx context.Context, u sagas.Upload) (v1.Upload, error) {
	history, err := s.store.History(ctx, u.ID)
	if err != nil {
		return v1.Upload{}, err
	}
	return s.resource(u, history), nil
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matches compares weakly, as If-None-Match wants (RFC 9110, 13.1.2).
func matches(ifNoneMatch, etag string) bool {
	for candidate := range candidates(ifNoneMatch) {
		if candidate == "*" || candidate == etag {
			return true
		}
	}
	return false
}

// candidates are the ETags of an If-None-Match, whether they are weak or not.
func candidates(ifNoneMatch string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
			if !yield(strings.TrimPrefix(strings.TrimSpace(candidate), "W/")) {
				return
			}
		}
	}
}
