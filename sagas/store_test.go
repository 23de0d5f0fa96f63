package sagas_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

var owner = sagas.Owner{Tenant: "acme", Subject: "user-42"}

func beginning(t testing.TB) sagas.Beginning {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return sagas.Beginning{
		ID: id, Owner: owner, Method: sagas.MethodPut, Filename: "ein Foto.jpg",
		Bucket: "incoming", Key: "uploads/" + id.String() + ".jpg",
		Declared: sagas.Content{Type: "image/jpeg", Size: 1234, SHA256: bytes.Repeat([]byte{7}, 32)},
		MaxSize:  5000,
		Metadata: map[string]string{"album": "summer"},
		Lifetime: time.Hour,
	}
}

func begin(t *testing.T, s *sagas.Store) sagas.Upload {
	t.Helper()
	u, err := s.Begin(t.Context(), beginning(t))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func advance(t *testing.T, s *sagas.Store, u sagas.Upload, to sagas.State, f sagas.Facts) sagas.Upload {
	t.Helper()
	moved, err := s.Advance(t.Context(), sagas.Change{
		ID: u.ID, Stage: "test", From: u.State, To: to, Attempt: 2, StartedAt: u.ReadAt, Facts: f,
	})
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func TestBegin(t *testing.T) {
	s := sagatest.Store(t)
	b := beginning(t)
	u, err := s.Begin(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != b.ID || u.Owner != owner || u.State != sagas.Initiated || u.Version != 1 || u.Filename != b.Filename ||
		u.Declared.Size != 1234 || u.MaxSize != 5000 || !bytes.Equal(u.Declared.SHA256, b.Declared.SHA256) || u.Metadata["album"] != "summer" {
		t.Errorf("began %+v from %+v", u, b)
	}
	if got := u.ExpiresAt.Sub(u.CreatedAt); got != time.Hour {
		t.Errorf("expires after %s, want 1h", got)
	}
	history, err := s.History(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 1 || history[0].From != "" || history[0].To != sagas.Initiated || history[0].Seq != 1 {
		t.Errorf("history is %+v", history)
	}
}

func TestAdvanceKeepsFactsAndHistory(t *testing.T) {
	s := sagatest.Store(t)
	u := begin(t, s)
	u = advance(t, s, u, sagas.Uploaded, sagas.Facts{ETag: "abc", VersionID: "v1", Observed: sagas.Content{Size: 1234}})
	u = advance(t, s, u, sagas.Verified, sagas.Facts{Observed: sagas.Content{Type: "image/jpeg"}})
	variant := sagas.Variant{Name: "200", Key: "thumbnails/x/200.jpg", Type: "image/jpeg", Width: 200, Height: 150, Size: 99, ETag: "e"}
	u = advance(t, s, u, sagas.Clean, sagas.Facts{})
	u = advance(t, s, u, sagas.Processed, sagas.Facts{Width: 4000, Height: 3000, Variants: []sagas.Variant{variant}})

	read, err := s.Load(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if read.State != sagas.Processed || read.Version != 5 || read.ETag != "abc" || read.VersionID != "v1" ||
		read.MaxSize != 5000 || read.Observed.Size != 1234 || read.Observed.Type != "image/jpeg" || read.Width != 4000 ||
		len(read.Variants) != 1 || read.Variants[0] != variant {
		t.Errorf("read %+v", read)
	}
	history, err := s.History(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 5 {
		t.Fatalf("%d transitions, want 5", len(history))
	}
	for i, h := range history[1:] {
		if h.From != history[i].To || h.Seq != int64(i+2) || h.Attempt != 2 || h.Worker != "test" || h.FinishedAt.Before(h.StartedAt) {
			t.Errorf("transition %d is %+v after %+v", i+2, h, history[i])
		}
	}
}

func TestAStateChangeIsOneCompareAndSet(t *testing.T) {
	s := sagatest.Store(t)
	u := begin(t, s)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := s.Advance(context.Background(), sagas.Change{
				ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, sagas.ErrMoved):
				t.Errorf("lost with %v, want ErrMoved", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 won, want 1", won.Load())
	}
	history, err := s.History(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(history) != 2 {
		t.Errorf("%d transitions, want 2", len(history))
	}
}

func TestAdvanceRefusesWhatTheTableDoesNotAllow(t *testing.T) {
	s := sagatest.Store(t)
	u := begin(t, s)
	_, err := s.Advance(t.Context(), sagas.Change{ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Ready, StartedAt: u.ReadAt})
	var illegal *sagas.IllegalTransitionError
	if !errors.As(err, &illegal) || illegal.To != sagas.Ready {
		t.Errorf("got %v, want an IllegalTransitionError", err)
	}
}

func TestTheDatabaseKnowsTheStates(t *testing.T) {
	pool := sagatest.Pool(t)
	u := begin(t, sagas.NewStore(pool, "test"))
	for _, state := range sagas.States() {
		if _, err := pool.Exec(t.Context(), "UPDATE uploads SET state = $1 WHERE id = $2", state, u.ID); err != nil {
			t.Errorf("%s is refused: %v", state, err)
		}
	}
	_, err := pool.Exec(t.Context(), "UPDATE uploads SET state = 'published' WHERE id = $1", u.ID)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "23514" {
		t.Errorf("an unknown state gave %v, want a check violation", err)
	}
}

func TestAnOutcomeIsDeliveredOnce(t *testing.T) {
	s := sagatest.Store(t)
	u := advance(t, s, begin(t, s), sagas.Aborted, sagas.Facts{})
	if u.NotifiedAt != nil {
		t.Fatal("notified before it was")
	}
	told := advance(t, s, u, sagas.Aborted, sagas.Facts{})
	if told.NotifiedAt == nil || told.Version != u.Version+1 {
		t.Errorf("not recorded: %+v", told)
	}
	_, err := s.Advance(t.Context(), sagas.Change{ID: u.ID, Stage: "test", From: sagas.Aborted, To: sagas.Aborted, StartedAt: u.ReadAt})
	if !errors.Is(err, sagas.ErrMoved) {
		t.Errorf("recorded twice: %v", err)
	}
	if deleted := advance(t, s, told, sagas.Deleted, sagas.Facts{}); deleted.NotifiedAt != nil {
		t.Error("the next outcome counts as delivered")
	}
}

func TestUploadsAreTheirOwnersOnly(t *testing.T) {
	s := sagatest.Store(t)
	u := begin(t, s)
	for name, tc := range map[string]struct {
		owner sagas.Owner
		want  error
	}{
		"the owner":      {owner, nil},
		"another person": {sagas.Owner{Tenant: owner.Tenant, Subject: "user-43"}, sagas.ErrNotFound},
		"another tenant": {sagas.Owner{Tenant: "other", Subject: owner.Subject}, sagas.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Get(t.Context(), tc.owner, u.ID); !errors.Is(err, tc.want) {
				t.Errorf("Get: %v, want %v", err, tc.want)
			}
			if _, err := s.GetByKey(t.Context(), tc.owner, u.Bucket, u.Key); !errors.Is(err, tc.want) {
				t.Errorf("GetByKey: %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := s.LoadByObject(t.Context(), "media", u.Key); !errors.Is(err, sagas.ErrNotFound) {
		t.Errorf("found by another bucket: %v", err)
	}
}

func TestBacklogs(t *testing.T) {
	s := sagatest.Store(t)
	begin(t, s)
	begin(t, s)
	done := advance(t, s, begin(t, s), sagas.Aborted, sagas.Facts{})
	got := backlogs(t, s)
	if got[sagas.Initiated] != 2 || got[sagas.Aborted] != 1 {
		t.Errorf("backlogs are %v, want 2 initiated and 1 aborted", got)
	}
	advance(t, s, done, sagas.Aborted, sagas.Facts{})
	if got := backlogs(t, s); got[sagas.Aborted] != 0 {
		t.Errorf("a delivered outcome is still counted: %v", got)
	}
}

func backlogs(t *testing.T, s *sagas.Store) map[sagas.State]int64 {
	t.Helper()
	list, err := s.Backlogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[sagas.State]int64{}
	for _, b := range list {
		counts[b.State] = b.Count
	}
	return counts
}

func TestMigrate(t *testing.T) {
	pool, err := sagas.Connect(t.Context(), sagatest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := sagas.CheckSchema(t.Context(), pool); !errors.Is(err, sagas.ErrOldSchema) {
		t.Errorf("an empty schema gives %v, want ErrOldSchema", err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := sagas.Migrate(context.Background(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := sagas.CheckSchema(t.Context(), pool); err != nil {
		t.Errorf("a migrated schema gives %v", err)
	}
}
