package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

type showInput struct {
	ID          string `path:"id" doc:"The upload's id."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that the client has; a match is answered by 304."`
}

type showOutput struct {
	Status       int
	ETag         string `header:"ETag"`
	CacheControl string `header:"Cache-Control"`
	Body         *v1.Upload
}

func (s *server) showUpload(ctx context.Context, in *showInput) (*showOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if matches(in.IfNoneMatch, etag(u)) {
		return &showOutput{Status: http.StatusNotModified, ETag: etag(u), CacheControl: revalidated}, nil
	}
	return s.shown(ctx, u)
}

// find returns the caller's upload. Anything else, somebody else's upload included, does not exist.
func (s *server) find(ctx context.Context, id string) (sagas.Upload, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || parsed.String() != id {
		return sagas.Upload{}, notFound.problem()
	}
	call := callOf(ctx)
	call.uploadID = parsed
	u, err := s.store.Get(ctx, call.principal.Owner, parsed)
	if errors.Is(err, sagas.ErrNotFound) {
		return sagas.Upload{}, notFound.problem()
	}
	return u, err
}

func (s *server) shown(ctx context.Context, u sagas.Upload) (*showOutput, error) {
	history, err := s.store.History(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	body := s.resource(u, history)
	return &showOutput{Status: http.StatusOK, ETag: etag(u), CacheControl: revalidated, Body: &body}, nil
}

func etag(u sagas.Upload) string { return `"` + strconv.FormatInt(u.Version, 10) + `"` }

// matches compares weakly, as If-None-Match wants (RFC 9110, 13.1.2).
func matches(ifNoneMatch, etag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == etag {
			return true
		}
	}
	return false
}
