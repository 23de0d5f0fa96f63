package sagas_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sluice-media/sluice/sagas"
)

// patience is how long a database that swallows everything may keep a caller.
const patience = 30 * time.Second

// mustGiveUp has a test fail that would wait for ever, because the store does.
func (s cutStore) mustGiveUp(t *testing.T) {
	t.Helper()
	watchdog := time.AfterFunc(patience, func() {
		t.Errorf("the store has waited for an answer for %s: its statement has no deadline", patience)
		s.cutter.stop()
	})
	t.Cleanup(func() { watchdog.Stop() })
}

// A proxy that goes on to acknowledge what it does not forward defeats TCP's own timeouts.
func TestASilentDatabaseIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	s.cutter.silent.Store(true)
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	var wg sync.WaitGroup
	for name, ask := range map[string]func() error{
		"a read":      func() error { _, err := s.Load(ctx, u.ID); return err },
		"a beginning": func() error { _, err := s.Begin(ctx, beginning(t)); return err },
		"a claim":     func() error { _, err := s.ClaimStill(ctx, time.Hour, time.Time{}, 1, sagas.Uploaded); return err },
		"a move": func() error {
			_, err := s.Advance(ctx, sagas.Change{ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt})
			return err
		},
	} {
		wg.Go(func() {
			if err := ask(); !sagas.IsUnavailable(err) {
				t.Errorf("%s: %v is not unavailable", name, err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Errorf("it took longer than %s", patience)
	}
	s.cutter.silent.Store(false)
	if u, err := s.Load(t.Context(), u.ID); err != nil || u.State != sagas.Initiated {
		t.Errorf("afterwards it is %s, %v", u.State, err)
	}
}

// A statement that got no answer in time may have been committed, or be about to.
func TestAnUnansweredMoveIsFoundOut(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	s.mustGiveUp(t)
	s.cutter.next(lost)
	u = advance(t, s.Store, u, sagas.Uploaded, sagas.Facts{ETag: "abc"})
	if got := s.cutter.seen(); got != 3 { // the move, the same again, the look
		t.Errorf("%d statements, want 3", got)
	}
	if history := s.history(t, u.ID); u.State != sagas.Uploaded || u.ETag != "abc" || len(history) != 2 {
		t.Errorf("advanced to %+v, history %+v", u, history)
	}
}

// An unanswered statement that still waits for a lock does not make the same move a second time, nor is it overtaken.
func TestAnUnansweredMoveMayStillBeRunning(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	s.moveBehindALock(t, lost)
}

// The caller's own deadline is no outage.
func TestACallersDeadlineIsItsOwn(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	s.cutter.silent.Store(true)
	ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer leave()
	if _, err := s.Load(ctx, u.ID); !errors.Is(err, context.DeadlineExceeded) || sagas.IsUnavailable(err) {
		t.Errorf("got %v, want the deadline alone", err)
	}
}

// A listening connection on which nothing comes any more is given up for a new one.
func TestASilentListenerListensAgain(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	config := s.cutter.through
	config.Recheck = time.Hour // announcements only
	changes, err := sagas.NewChanges(config, s.direct, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { changes.Run(ctx) })
	defer wg.Wait()
	defer stop()
	watch := changes.Watch(u.ID)
	defer watch.Close()
	<-watch.C // what is read once it listens

	s.cutter.silent.Store(true)
	advance(t, sagas.NewStore(s.direct, "other"), u, sagas.Uploaded, sagas.Facts{})
	for deadline := time.Now().Add(patience); s.cutter.swallowed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was announced")
		}
	}
	s.cutter.silent.Store(false)
	for deadline := time.After(2 * patience); ; {
		select {
		case version := <-watch.C:
			if version == 2 {
				return
			}
		case <-deadline:
			t.Fatal("it never heard of the change")
		}
	}
}
