package pipeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

func cancellation(published *undoable) pipeline.Cancellation {
	return pipeline.Cancellation{
		By: "api", Published: published,
		Aborted: sagas.Reason{Code: sagas.ClientAborted}, Deleted: sagas.Reason{Code: sagas.ClientDeleted},
	}
}

func TestCancelEndsAnUploadWhereverItStands(t *testing.T) {
	for _, from := range sagas.States() {
		t.Run(string(from), func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, from)
			want, code := sagas.Aborted, sagas.ClientAborted
			if from.Terminal() {
				want, code = sagas.Deleted, sagas.ClientDeleted
			}
			if from == sagas.Aborted || from == sagas.Deleted {
				want, code = from, ""
			}
			published := &undoable{}
			for try := int64(1); try <= 2; try++ {
				got, err := b.runner.Cancel(t.Context(), u, cancellation(published))
				if err != nil || got.State != want || got.Reason.Code != code {
					t.Errorf("got %s because of %q, %v", got.State, got.Reason.Code, err)
				}
				b.expect(t, u, want, map[string]int64{pipeline.Settle: try})
			}
			u = b.move(t, b.load(t, u), want) // delivered
			if _, err := b.runner.Cancel(t.Context(), u, cancellation(published)); err != nil || len(published.undone) != 2 {
				t.Errorf("after the delivery: %v, withdrawn %q", err, published.undone)
			}
			b.expect(t, u, want, map[string]int64{pipeline.Settle: 2})
		})
	}
}

// The stages go on while somebody cancels.
func TestCancelCatchesUpWithTheLine(t *testing.T) {
	for _, now := range []sagas.State{sagas.Processed, sagas.Ready} {
		b := newBundle(t)
		read := b.begin(t, sagas.Uploaded)
		for u := read; u.State != now; {
			u = b.move(t, u, map[sagas.State]sagas.State{sagas.Uploaded: sagas.Verified, sagas.Verified: sagas.Clean,
				sagas.Clean: sagas.Processed, sagas.Processed: sagas.Ready}[u.State])
		}
		got, err := b.runner.Cancel(t.Context(), read, cancellation(&undoable{}))
		want := map[sagas.State]sagas.State{sagas.Processed: sagas.Aborted, sagas.Ready: sagas.Deleted}[now]
		if err != nil || got.State != want {
			t.Errorf("from %s: got %s, %v", now, got.State, err)
		}
	}
}

func TestAbortLeavesOutcomes(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Ready)
	got, err := b.runner.Abort(t.Context(), u, cancellation(&undoable{}))
	if !errors.Is(err, pipeline.ErrSettled) || got.State != sagas.Ready {
		t.Errorf("got %s, %v", got.State, err)
	}
	b.expect(t, u, sagas.Ready, nil)
}

// Whoever repeats a Cancel that failed half-way completes it.
func TestCancelIsCompletedByRepeatingIt(t *testing.T) {
	b := newBundle(t)
	why := errors.New("503 SlowDown")
	published := &undoable{undo: func(context.Context, sagas.Upload) error { return why }}
	u, err := b.runner.Cancel(t.Context(), b.begin(t, sagas.Ready), cancellation(published))
	if !errors.Is(err, why) || u.State != sagas.Deleted {
		t.Errorf("got %s, %v", u.State, err)
	}
	published.undo = nil
	if _, err := b.runner.Cancel(t.Context(), u, cancellation(published)); err != nil || len(published.undone) != 2 {
		t.Errorf("got %v, withdrawn %d times", err, len(published.undone))
	}
}

// Its client may have gone when the upload is ended, but not yet withdrawn.
func TestCancelOutlivesItsClient(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Ready)
	ctx, leave := context.WithCancel(t.Context())
	published := &undoable{undo: func(ctx context.Context, _ sagas.Upload) error {
		leave()
		return ctx.Err()
	}}
	if _, err := b.runner.Cancel(ctx, u, cancellation(published)); err != nil {
		t.Error(err)
	}
	b.expect(t, u, sagas.Deleted, map[string]int64{pipeline.Settle: 1})
}
