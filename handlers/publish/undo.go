package publish

import (
	"context"
	"errors"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Copies are what the stage has let out. They implement pipeline.Undoer for whoever must not wait for the stage.
type Copies struct {
	Objects *storage.Client
}

// Undo removes the file and its renditions from the media bucket, the file first, unless u is ready. The CDN may go on
// to serve what it has cached.
func (c Copies) Undo(ctx context.Context, u sagas.Upload) error {
	if u.State == sagas.Ready {
		return nil
	}
	return errors.Join(
		c.Objects.RemoveObject(ctx, c.Objects.Media, u.Key),
		c.Objects.RemoveFolder(ctx, c.Objects.Media, storage.Renditions(u)),
	)
}
