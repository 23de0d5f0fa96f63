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
// kept. It lets go of all parts in any case: S3 may have begun a multipart upload twice, when its answer was lost, and
// then an upload that arrived leaves another one open.
func (s *Stage) Undo(ctx context.Context, u sagas.Upload) error {
	var err error
	if u.Method == sagas.MethodMultipart { // before the object: the parts might become one meanwhile
		err = s.objects.AbortMultiparts(ctx, u.Bucket, u.Key)
	}
	if s.keeps(u.State) {
		return err
	}
	return errors.Join(err, s.objects.RemoveObject(ctx, u.Bucket, u.Key))
}

// keeps tells that the original of an upload with this outcome stays.
func (s *Stage) keeps(outcome sagas.State) bool {
	switch outcome {
	case sagas.Ready:
		return s.config.KeepPublished
	case sagas.Rejected, sagas.Infected, sagas.Unscannable, sagas.Failed:
		return s.config.KeepRefused
	default:
		return false
	}
}
