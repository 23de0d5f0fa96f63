// Package intake is the first stage: it finds the object that a client has uploaded and pins it by ETag and
// version. It asks S3 itself, so it does not matter who says that something has arrived: an event, the client's
// confirmation or the sweeper.
package intake

import (
	"context"
	"errors"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Stage implements pipeline.Stage and pipeline.Undoer.
type Stage struct {
	config  Config
	objects *storage.Client
}

// New returns the stage.
func New(c Config, objects *storage.Client) *Stage { return &Stage{config: c, objects: objects} }

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Intake }

// Run pins the object that is there now. It returns storage.ErrNotFound when nothing has arrived.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	o, err := s.objects.Head(ctx, storage.Ref{Bucket: u.Bucket, Key: u.Key})
	if err != nil {
		return pipeline.Outcome{}, err
	}
	return pipeline.Advance(sagas.Uploaded, sagas.Facts{
		ETag: o.ETag, VersionID: o.VersionID, Observed: sagas.Content{Size: o.Size},
	}), nil
}

// Undo removes the object, in whatever versions the client has sent it, unless the outcome is one whose original is
// kept. Of an upload that did not arrive as a whole, it lets go of the parts.
func (s *Stage) Undo(ctx context.Context, u sagas.Upload) error {
	var err error
	switch u.State {
	case sagas.Ready:
		if s.config.KeepPublished {
			return nil
		}
	case sagas.Rejected, sagas.Infected, sagas.Unscannable, sagas.Failed:
		if s.config.KeepRefused {
			return nil
		}
	default: // the parts first: they might become an object meanwhile
		err = s.objects.AbortMultiparts(ctx, u.Bucket, u.Key)
	}
	return errors.Join(err, s.objects.RemoveObject(ctx, u.Bucket, u.Key))
}
