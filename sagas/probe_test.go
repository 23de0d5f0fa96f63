package sagas_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func probeBeginning() sagas.Beginning {
	id := uuid.New()
	return sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: "sluice", Subject: "doctor"}, Method: sagas.MethodPut, Filename: "probe",
		Bucket: "incoming", Key: "uploads/doctor-" + id.String(), Declared: sagas.Content{Type: "text/plain", Size: 1}, Lifetime: time.Hour,
	}
}

// wantSettled checks that nothing is left to be done for the probe, and removes it.
func wantSettled(t *testing.T, store *sagas.Store, id uuid.UUID) {
	t.Helper()
	u, err := store.Load(t.Context(), id)
	if err != nil || u.State != sagas.Deleted || u.NotifiedAt == nil {
		t.Errorf("the probe is %s, notified %v, %v", u.State, u.NotifiedAt, err)
	}
	if err := store.Forget(t.Context(), id); err != nil {
		t.Error(err)
	}
	if _, err := store.Load(t.Context(), id); !errors.Is(err, sagas.ErrNotFound) {
		t.Errorf("forgotten, but %v", err)
	}
}

func TestProbeSeesWhoTriesToMoveIt(t *testing.T) {
	pool := sagatest.Pool(t)
	store, other := sagas.NewStore(pool, "doctor"), sagas.NewStore(pool, "worker")
	b := probeBeginning()
	moved := make(chan error, 1)
	took, err := store.Probe(t.Context(), b, 30*time.Second, func(ctx context.Context) error {
		u, err := other.LoadByObject(ctx, b.Bucket, b.Key)
		if err != nil {
			return err
		}
		go func() {
			_, err := other.Advance(context.WithoutCancel(ctx), sagas.Change{
				ID: u.ID, Stage: "intake", From: u.State, To: sagas.Uploaded, StartedAt: u.ReadAt, Facts: sagas.Facts{ETag: "e"},
			})
			moved <- err
		}()
		return nil
	})
	if err != nil || took <= 0 {
		t.Errorf("took %s, %v", took, err)
	}
	if err := <-moved; !errors.Is(err, sagas.ErrMoved) {
		t.Errorf("the other one's move ended with %v", err)
	}
	wantSettled(t, store, b.ID)
}

func TestProbeThatNobodyMoves(t *testing.T) {
	store := sagatest.Store(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	unsent := errors.New("not sent")
	for name, c := range map[string]struct {
		wait time.Duration
		send func(context.Context) error
		want error
	}{
		"nobody": {100 * time.Millisecond, func(ctx context.Context) error {
			claimed, err := store.ClaimArrivals(ctx, 0, time.Time{}, 10)
			if len(claimed) > 0 {
				t.Error("a sweeper took the probe")
			}
			return err
		}, sagas.ErrUntouched},
		"not sent":  {time.Minute, func(context.Context) error { return unsent }, unsent},
		"cancelled": {time.Minute, func(context.Context) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			b := probeBeginning()
			in := t.Context()
			if name == "cancelled" {
				in = ctx
			}
			if _, err := store.Probe(in, b, c.wait, c.send); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			wantSettled(t, store, b.ID)
		})
	}
}

func TestForgetLeavesUploadsAlone(t *testing.T) {
	store := sagatest.Store(t)
	b := probeBeginning()
	if _, err := store.Begin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := store.Forget(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(t.Context(), b.ID); err != nil {
		t.Error(err)
	}
}
