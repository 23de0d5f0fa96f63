package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-media/sluice/sagas"
)

// retractTimeout bounds how long a step is taken back whose message is lost already.
const retractTimeout = time.Minute

// Undoer takes back what a step has made of an upload. A stage whose work leaves something behind is one.
type Undoer interface {
	// Undo removes what u's outcome leaves no use for: for an upload that is ready, what was published stays. It must
	// be able to happen twice, beside itself, and where nothing was made.
	Undo(ctx context.Context, u sagas.Upload) error
}

// Steps are the stages of a line. Those that can take back their step do so together.
type Steps []Stage

// Undo implements Undoer: the last step first, because that is where things can be reached.
func (s Steps) Undo(ctx context.Context, u sagas.Upload) error {
	var errs []error
	for _, stage := range slices.Backward(s) {
		errs = append(errs, undo(ctx, stage, u))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cleaning up: %w", err)
	}
	return nil
}

// Settling is the stage that cleans up behind an outcome, before anybody is told of it. Whatever ends an upload sends
// it there, and nothing is committed: what is interrupted is repeated. The Sweeper does it once more for what was still
// being made at that time.
type Settling struct{ Steps Steps }

// Name implements Stage.
func (Settling) Name() string { return Settle }

// Run implements Stage.
func (s Settling) Run(ctx context.Context, u sagas.Upload) (Outcome, error) {
	return Outcome{State: u.State}, s.Steps.Undo(ctx, u)
}

func undo(ctx context.Context, stage Stage, u sagas.Upload) error {
	step, ok := stage.(Undoer)
	if !ok {
		return nil
	}
	if err := step.Undo(ctx, u); err != nil {
		return fmt.Errorf("undoing %s of upload %s: %w", stage.Name(), u.ID, err)
	}
	return nil
}

// retract takes back a step that came too late: u had its outcome when the stage was done, and nobody may come after
// it who would clean up.
func (r *Runner) retract(ctx context.Context, stage Stage, u sagas.Upload) error {
	if !u.State.Terminal() {
		return nil
	}
	err := undo(ctx, stage, u)
	if err != nil {
		r.metrics.failed.WithLabelValues(stage.Name()).Inc()
		r.log.Warn("could not take back a late step", "upload_id", u.ID, "stage", stage.Name(), "error", err)
	}
	return err
}

// retractLost does so for a step whose message was lost while it worked, and with it the context.
func (r *Runner) retractLost(ctx context.Context, stage Stage, u sagas.Upload) error {
	if _, ok := stage.(Undoer); !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), retractTimeout)
	defer cancel()
	u, err := r.store.Load(ctx, u.ID)
	if err != nil {
		return err
	}
	return r.retract(ctx, stage, u)
}
