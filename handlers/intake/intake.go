// Package intake is the first stage: it finds the object that a client has uploaded and pins it by ETag and
// version. It asks S3 itself, so it does not matter who says that something has arrived: an event, the client's
// confirmation or the sweeper.
package intake

import (
	"context"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Stage implements pipeline.Stage.
type Stage struct {
	objects *storage.Client
}

// New returns the stage.
func New(objects *storage.Client) *Stage { return &Stage{objects: objects} }

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
