package api

import (
	"context"
	"fmt"

	"github.com/sluice-media/sluice/sagas"
)

type cancelInput struct {
	ID string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
}

// cancelUpload answers when nothing of the upload can be read from the media bucket any more. The rest is removed
// before its outcome is delivered.
func (s *server) cancelUpload(ctx context.Context, in *cancelInput) (*showOutput, error) {
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	u, err = s.end(ctx, u)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, u)
}

// end cancels an upload, whatever it stands at.
func (s *server) end(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
	u, err := s.cancel(ctx, u)
	if err != nil && (u.State == sagas.Aborted || u.State == sagas.Deleted) {
		return u, unfinished{fmt.Errorf("removing upload %s: %w", u.ID, err)}
	}
	return u, err
}

// unfinished is the error of a request that took effect, and has to be repeated to be done with.
type unfinished struct{ error }

// Unwrap returns what went wrong.
func (u unfinished) Unwrap() error { return u.error }
