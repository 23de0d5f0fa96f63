package sagas_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// tries is how often the store tries a statement.
const tries = 6

// cutStore is a store whose connections go through a cutter, beside a direct pool on the same schema.
type cutStore struct {
	*sagas.Store
	cutter *cutter
	direct *pgxpool.Pool
}

func newCutStore(t *testing.T, mode string) cutStore {
	t.Helper()
	config := sagatest.Config(t)
	config.ExecMode = mode
	direct := connect(t, config)
	if _, err := sagas.Migrate(t.Context(), direct); err != nil {
		t.Fatal(err)
	}
	cutter, through := newCutter(t, config)
	store := sagas.NewStore(connect(t, through), "test")
	t.Cleanup(cutter.stop) // or the end of the pool would wait for a statement that nobody gives up
	return cutStore{store, cutter, direct}
}

func (s cutStore) history(t *testing.T, id uuid.UUID) []sagas.Transition {
	t.Helper()
	history, err := sagas.NewStore(s.direct, "judge").History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return history
}

// eachCut runs test for every way of losing a connection in the default exec mode, and for a lost reply in the others.
func eachCut(t *testing.T, test func(t *testing.T, s cutStore, plan []cut, statements int)) {
	t.Helper()
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	for _, tc := range []struct {
		name       string
		plan       []cut
		reset      bool
		statements int // with the tries and the look
	}{
		{"closed before", []cut{before}, false, 2},
		{"reset before", []cut{before}, true, 2},
		{"closed after", []cut{after}, false, 3},
		{"reset after", []cut{after}, true, 3},
		{"before and after", []cut{before, before, after}, false, 5},
		{"after, and the look too", []cut{after, pass, before}, false, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.cutter.reset.Store(tc.reset)
			test(t, s, tc.plan, tc.statements)
		})
	}
	for _, mode := range []string{"cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) { test(t, newCutStore(t, mode), []cut{after}, 3) })
	}
}

func TestALostReplyOfBeginIsFoundOut(t *testing.T) {
	eachCut(t, func(t *testing.T, s cutStore, plan []cut, statements int) {
		t.Helper()
		b := beginning(t)
		s.cutter.next(plan...)
		u, err := s.Begin(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.cutter.seen(); got != statements {
			t.Errorf("%d statements, want %d", got, statements)
		}
		if u.ID != b.ID || u.Version != 1 || u.Metadata["album"] != "summer" {
			t.Errorf("began %+v", u)
		}
		if history := s.history(t, b.ID); len(history) != 1 {
			t.Errorf("history is %+v", history)
		}
	})
}

func TestALostReplyOfAdvanceIsFoundOut(t *testing.T) {
	eachCut(t, func(t *testing.T, s cutStore, plan []cut, statements int) {
		t.Helper()
		u := begin(t, s.Store)
		s.cutter.next(plan...)
		u = advance(t, s.Store, u, sagas.Uploaded, sagas.Facts{ETag: "abc"})
		if got := s.cutter.seen(); got != statements {
			t.Errorf("%d statements, want %d", got, statements)
		}
		if u.State != sagas.Uploaded || u.Version != 2 || u.ETag != "abc" {
			t.Errorf("advanced to %+v", u)
		}
		if history := s.history(t, u.ID); len(history) != 2 {
			t.Errorf("history is %+v", history)
		}
	})
}

func TestALostReplyOfADeliveryIsFoundOut(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := advance(t, s.Store, begin(t, s.Store), sagas.Aborted, sagas.Facts{})
	s.cutter.next(after)
	if u = advance(t, s.Store, u, sagas.Aborted, sagas.Facts{}); u.NotifiedAt == nil || u.Version != 3 {
		t.Errorf("not recorded: %+v", u)
	}
}

func TestALostReplyDoesNotMakeAnothersMoveOurs(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	for name, other := range map[string]struct {
		worker, stage string
		later         time.Duration
	}{
		"another worker": {"other", "test", 0},
		"another stage":  {"test", "sweeper", 0},
		"another try":    {"test", "test", time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			u := begin(t, s.Store)
			change := sagas.Change{ID: u.ID, Stage: other.stage, From: u.State, To: sagas.Uploaded, StartedAt: u.ReadAt.Add(other.later)}
			if _, err := sagas.NewStore(s.direct, other.worker).Advance(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			s.cutter.next(after)
			change.Stage, change.StartedAt = "test", u.ReadAt
			if _, err := s.Advance(t.Context(), change); !errors.Is(err, sagas.ErrMoved) {
				t.Errorf("got %v, want ErrMoved", err)
			}
			if history := s.history(t, u.ID); len(history) != 2 {
				t.Errorf("history is %+v", history)
			}
		})
	}
}

func TestALostReplyDoesNotMakeAnothersUploadOurs(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	for name, change := range map[string]func(*sagas.Beginning){
		"owner":    func(b *sagas.Beginning) { b.Owner.Subject = "user-43" },
		"filename": func(b *sagas.Beginning) { b.Filename = "b.jpg" },
		"key":      func(b *sagas.Beginning) { b.Key += "x" },
		"size":     func(b *sagas.Beginning) { b.Declared.Size++ },
		"checksum": func(b *sagas.Beginning) { b.Declared.SHA256 = nil },
		"metadata": func(b *sagas.Beginning) { b.Metadata = nil },
		"parts": func(b *sagas.Beginning) {
			b.Method, b.Multipart = sagas.MethodMultipart, sagas.Multipart{PartCount: 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := beginning(t)
			other := b
			change(&other)
			if _, err := s.Begin(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			for _, plan := range [][]cut{nil, {after}} {
				s.cutter.next(plan...)
				_, err := s.Begin(t.Context(), b)
				expectCode(t, err, "23505")
			}
		})
	}
}

func TestAnUploadBeginsOnce(t *testing.T) {
	t.Parallel()
	s := sagatest.Store(t)
	b := beginning(t)
	if _, err := s.Begin(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	_, err := s.Begin(t.Context(), b)
	expectCode(t, err, "23505")
}

func TestAStatementMayOutliveItsConnection(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	s.moveBehindALock(t, during)
}

// moveBehindALock moves an upload once, by a statement that has to wait for another's lock and whose reply is spoilt
// as how says, so that it is tried again while the first one is still waiting.
func (s cutStore) moveBehindALock(t *testing.T, how cut) {
	t.Helper()
	u := begin(t, s.Store)
	unlock := s.lock(t, u.ID)
	s.cutter.next(how)
	moved := make(chan error, 1)
	go func() {
		_, err := s.Advance(context.Background(), sagas.Change{
			ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
		})
		moved <- err
	}()
	waitForBlocked(t, s.direct, 2) // the try that was given up, and the next one
	unlock()
	if err := <-moved; err != nil {
		t.Error(err)
	}
	if history := s.history(t, u.ID); len(history) != 2 {
		t.Errorf("history is %+v", history)
	}
}

func TestAStatementWhoseServerProcessEndsIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	unlock := s.lock(t, u.ID)
	moved := make(chan error, 1)
	go func() {
		_, err := s.Advance(context.Background(), sagas.Change{
			ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt,
		})
		moved <- err
	}()
	for _, pid := range waitForBlocked(t, s.direct, 1) {
		if _, err := s.direct.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid); err != nil {
			t.Fatal(err)
		}
	}
	unlock()
	if err := <-moved; err != nil {
		t.Error(err)
	}
}

// lock keeps others from moving an upload until unlock is called, or the test ends.
func (s cutStore) lock(t *testing.T, id uuid.UUID) (unlock func()) {
	t.Helper()
	tx, err := s.direct.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock = sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(unlock)
	if _, err := tx.Exec(t.Context(), "SELECT FROM uploads WHERE id = $1 FOR UPDATE", id); err != nil {
		t.Fatal(err)
	}
	return unlock
}

// waitForBlocked waits until n sessions wait for a lock on a row of the schema of pool, and returns their processes.
func waitForBlocked(t *testing.T, pool *pgxpool.Pool, n int) []int32 {
	t.Helper()
	const blocked = `
		SELECT DISTINCT waiting.pid FROM pg_locks AS waiting
		JOIN pg_locks AS held ON held.pid = waiting.pid AND held.relation = 'uploads'::regclass
		WHERE NOT waiting.granted`
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		rows, err := pool.Query(t.Context(), blocked)
		if err != nil {
			t.Fatal(err)
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) >= n {
			return pids
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never were %d sessions blocked", n)
	return nil
}

func TestReadsAreTriedAgain(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	for name, read := range map[string]func() error{
		"Load":         func() error { _, err := s.Load(t.Context(), u.ID); return err },
		"Get":          func() error { _, err := s.Get(t.Context(), owner, u.ID); return err },
		"GetByKey":     func() error { _, err := s.GetByKey(t.Context(), owner, u.Bucket, u.Key); return err },
		"LoadByObject": func() error { _, err := s.LoadByObject(t.Context(), u.Bucket, u.Key); return err },
		"History":      func() error { _, err := s.History(t.Context(), u.ID); return err },
		"Backlogs":     func() error { _, err := s.Backlogs(t.Context()); return err },
		"ClaimStill": func() error {
			_, err := s.ClaimStill(t.Context(), time.Hour, time.Time{}, 1, sagas.Uploaded)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.cutter.next(before, after)
			if err := read(); err != nil {
				t.Error(err)
			}
			if got := s.cutter.seen(); got != 3 {
				t.Errorf("%d statements, want 3", got)
			}
		})
	}
}

func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	s.cutter.next(before, before, before, before, before, before, before, before)
	_, err := s.Advance(t.Context(), sagas.Change{ID: u.ID, Stage: "test", From: sagas.Initiated, To: sagas.Uploaded, StartedAt: u.ReadAt})
	if !sagas.IsUnavailable(err) {
		t.Errorf("%v is not unavailable", err)
	}
	if got := s.cutter.seen(); got != tries {
		t.Errorf("%d tries, want %d", got, tries)
	}
}

func TestACallerThatLeavesEndsTheTries(t *testing.T) {
	t.Parallel()
	s := newCutStore(t, "cache_statement")
	u := begin(t, s.Store)
	s.cutter.next(before, before, before, before, before, before, before, before)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		for s.cutter.seen() < 2 {
			time.Sleep(time.Millisecond)
		}
		leave()
	}()
	_, err := s.Load(ctx, u.ID)
	if !errors.Is(err, context.Canceled) || sagas.IsUnavailable(err) {
		t.Errorf("got %v, want context.Canceled alone", err)
	}
	if got := s.cutter.seen(); got >= tries {
		t.Errorf("%d tries after the caller left", got)
	}
}

func expectCode(t *testing.T, err error, code string) {
	t.Helper()
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != code {
		t.Errorf("got %v, want SQLSTATE %s", err, code)
	}
}
