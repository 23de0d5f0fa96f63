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
// to serve what it has cached. It lets go, in any case, of what a worker that died had copied of a large file.
func (c Copies) Undo(ctx context.Context, u sagas.Upload) error {
	var err error
	if u.Observed.Size > c.Objects.LargeCopy { // before the file: the parts might become one meanwhile
		err = c.Objects.AbortMultiparts(ctx, c.Objects.Media, u.Key)
	}
	if u.State == sagas.Ready {
		return err
	}
	return errors.Join(
		err,
		c.Objects.RemoveObject(ctx, c.Objects.Media, u.Key),
		c.Objects.RemoveFolder(ctx, c.Objects.Media, storage.Renditions(u)),
	)
}
