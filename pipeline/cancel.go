package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-media/sluice/sagas"
)

// cancelTries is how often an upload is cancelled that moves on meanwhile; there are fewer moves on the line.
const cancelTries = 8

// ErrSettled reports an upload that has its outcome already.
var ErrSettled = errors.New("the upload has its outcome already")

// Cancellation is somebody's wish that there be nothing of an upload.
type Cancellation struct {
	By      string       // names who wishes it in the history
	Aborted sagas.Reason // why, if the upload is on the line
	Deleted sagas.Reason // why, if it has its outcome

	// Published takes back what can be reached. It is done before the canceller has an answer; the rest follows when the
	// outcome is settled.
	Published Undoer
}

// Abort ends an upload that is on the line, wherever that is, as aborted. One that has its outcome is returned
// with ErrSettled.
func (r *Runner) Abort(ctx context.Context, u sagas.Upload, c Cancellation) (sagas.Upload, error) {
	for try := 1; ; try++ {
		if u.State.Terminal() { // aborted too: moving that to itself would count as its delivery
			return u, fmt.Errorf("%w: it is %s", ErrSettled, u.State)
		}
		ended, err := r.commit(ctx, c.By, u, 1, Outcome{State: sagas.Aborted, Reason: c.Aborted})
		if err == nil {
			return ended, r.withdraw(ctx, ended, c)
		}
		if !errors.Is(err, sagas.ErrMoved) || try == cancelTries {
			return u, err
		}
		if u, err = r.store.Load(ctx, u.ID); err != nil {
			return u, err
		}
	}
}

// Cancel aborts an upload that is on the line and deletes one that has its outcome. It may be repeated: an upload
// that is aborted or deleted stays so, and what an earlier try left undone is done.
func (r *Runner) Cancel(ctx context.Context, u sagas.Upload, c Cancellation) (sagas.Upload, error) {
	ended, err := r.Abort(ctx, u, c)
	if !errors.Is(err, ErrSettled) {
		return ended, err
	}
	if u = ended; u.State != sagas.Aborted && u.State != sagas.Deleted {
		u, err = r.commit(ctx, c.By, u, 1, Outcome{State: sagas.Deleted, Reason: c.Deleted})
		if errors.Is(err, sagas.ErrMoved) { // an outcome moves only here
			u, err = r.store.Load(ctx, ended.ID)
		}
		if err != nil {
			return ended, err
		}
	}
	if u.NotifiedAt != nil {
		return u, nil
	}
	return u, r.withdraw(ctx, u, c)
}

// withdraw removes what can be reached of an upload and sends it to be settled, even if nobody waits for it any more.
func (r *Runner) withdraw(ctx context.Context, u sagas.Upload, c Cancellation) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retractTimeout)
	defer cancel()
	return errors.Join(c.Published.Undo(ctx, u), r.Send(ctx, Settle, u))
}
