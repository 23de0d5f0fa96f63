package sagas_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// never is a recheck that does not come within a test.
const never = time.Hour

// changesBundle is a store, and a Changes that runs in what is another process for all it knows.
type changesBundle struct {
	*sagas.Changes
	t     *testing.T
	name  string // of the listening connection
	pool  *pgxpool.Pool
	store *sagas.Store
	stop  func() // ends Run and waits for it
}

func newChangesBundle(t *testing.T, recheck time.Duration, change ...func(*sagas.Config)) *changesBundle {
	t.Helper()
	pool := sagatest.Pool(t)
	b := &changesBundle{t: t, name: "listener-" + uuid.NewString(), pool: pool, store: sagas.NewStore(pool, "test")}
	c := sagatest.Config(t)
	direct, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	direct.RawQuery += "&application_name=" + b.name
	c.DirectURL, c.Recheck = direct.String(), recheck
	for _, f := range change {
		f(&c)
	}
	if b.Changes, err = sagas.NewChanges(c, pool, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	b.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(b.stop)
	return b
}

// listener waits until the listening connection stands and returns its process id.
func (b *changesBundle) listener() (pid int) {
	b.t.Helper()
	eventually(b.t, func() bool {
		err := b.pool.QueryRow(context.Background(),
			"SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%' AND state = 'idle'", b.name).Scan(&pid)
		return err == nil
	})
	return pid
}

// gone waits until a connection has ended.
func (b *changesBundle) gone(pid int) {
	b.t.Helper()
	eventually(b.t, func() (gone bool) {
		err := b.pool.QueryRow(context.Background(), "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&gone)
		return err == nil && gone
	})
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// await takes news until version has come.
func await(t *testing.T, w *sagas.Watch, version int64) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case v := <-w.C:
			if v >= version {
				return
			}
		case <-deadline:
			t.Fatalf("version %d was not told", version)
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	u, other := begin(t, b.store), begin(t, b.store)
	first, second, unmoved := b.Watch(u.ID), b.Watch(u.ID), b.Watch(other.ID)
	u = advance(t, b.store, u, sagas.Uploaded, sagas.Facts{})
	await(t, first, 2)
	await(t, second, 2)
	second.Close()
	advance(t, b.store, u, sagas.Verified, sagas.Facts{})
	await(t, first, 3)
	select {
	case v := <-unmoved.C:
		t.Errorf("an upload that did not move was told to have version %d", v)
	case v := <-second.C:
		t.Errorf("a watch that was closed got version %d", v)
	default:
	}
}

// Whoever does not take the news gets the newest later, and holds nobody up.
func TestOnlyTheNewestVersionIsKept(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	u := begin(t, b.store)
	slow, quick := b.Watch(u.ID), b.Watch(u.ID)
	for _, to := range []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean} {
		u = advance(t, b.store, u, to, sagas.Facts{})
		await(t, quick, u.Version)
	}
	if v := <-slow.C; v != 4 {
		t.Errorf("version %d, want 4", v)
	}
}

func TestChangesWhileNobodyListensAreFoundAfterwards(t *testing.T) {
	b := newChangesBundle(t, never)
	u := begin(t, b.store)
	w := b.Watch(u.ID)
	for _, to := range []sagas.State{sagas.Uploaded, sagas.Verified, sagas.Clean} {
		pid := b.listener()
		// Announced to nobody, because it is written past the store.
		if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET version = version + 1, state = $2 WHERE id = $1", u.ID, to); err != nil {
			t.Fatal(err)
		}
		if _, err := b.pool.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid); err != nil {
			t.Fatal(err)
		}
		u.Version++
		await(t, w, u.Version)
		b.gone(pid)
	}
}

func TestChangesThatWereNeverAnnouncedAreFound(t *testing.T) {
	for name, change := range map[string]func(*sagas.Config){
		"lost":               func(*sagas.Config) {},
		"nobody can listen":  func(c *sagas.Config) { c.DirectURL = "postgres://sluice@" + closedPort(t) + "/sluice" },
		"pool settings left": func(c *sagas.Config) { c.DirectURL = c.URL + "&pool_max_conns=3" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newChangesBundle(t, 20*time.Millisecond, change)
			u := begin(t, b.store)
			w := b.Watch(u.ID)
			if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET version = 7 WHERE id = $1", u.ID); err != nil {
				t.Fatal(err)
			}
			await(t, w, 7)
		})
	}
}

// What is watched and then read cannot be missed, whenever it happens.
func TestNoChangeIsMissed(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				u := begin(t, b.store)
				wg.Go(func() { advance(t, b.store, u, sagas.Uploaded, sagas.Facts{}) })
				w := b.Watch(u.ID)
				v, err := b.store.Version(context.Background(), owner, u.ID)
				if err != nil {
					t.Error(err)
				}
				if v == 1 {
					await(t, w, 2)
				}
				w.Close()
			}
		})
	}
	wg.Wait()
}

func TestWatchesCloseInAnyOrder(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {0, 2, 1}} {
		u := begin(t, b.store)
		watches := []*sagas.Watch{b.Watch(u.ID), b.Watch(u.ID), b.Watch(u.ID)}
		open := map[int]bool{0: true, 1: true, 2: true}
		for n, to := range []sagas.State{sagas.Uploaded, sagas.Verified} {
			watches[order[n]].Close()
			delete(open, order[n])
			u = advance(t, b.store, u, to, sagas.Facts{})
			for i := range open {
				await(t, watches[i], u.Version)
			}
		}
		watches[order[2]].Close()
	}
}

func TestNewsEndWithTheContext(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	select {
	case <-b.Done():
		t.Fatal("done while it runs")
	default:
	}
	b.stop()
	<-b.Done()
	b.Watch(uuid.New()).Close()
}

func TestFlushWaitsForAnnouncements(t *testing.T) {
	b := newChangesBundle(t, never)
	b.listener()
	if err := b.store.Flush(t.Context()); err != nil {
		t.Errorf("with nothing to announce: %v", err)
	}
	moved := map[uuid.UUID]*sagas.Watch{}
	for range 300 { // more than fit into one notification
		u := begin(t, b.store)
		moved[u.ID] = b.Watch(u.ID)
		if _, err := b.pool.Exec(t.Context(), "SELECT pg_notify('sluice_uploads', $1)", fmt.Sprintf("%s\n%s x\n", u.ID, u.ID)); err != nil {
			t.Fatal(err)
		}
		advance(t, b.store, u, sagas.Expired, sagas.Facts{})
	}
	if err := b.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range moved {
		await(t, w, 2)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	advance(t, b.store, begin(t, b.store), sagas.Expired, sagas.Facts{})
	if err := b.store.Flush(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("flushing for somebody who has left: %v", err)
	}
}

func TestVersion(t *testing.T) {
	s := sagatest.Store(t)
	u := advance(t, s, begin(t, s), sagas.Uploaded, sagas.Facts{})
	if v, err := s.Version(t.Context(), owner, u.ID); err != nil || v != 2 {
		t.Errorf("version %d, %v", v, err)
	}
	for _, other := range []sagas.Owner{{Tenant: "acme", Subject: "user-43"}, {Tenant: "other", Subject: owner.Subject}} {
		if _, err := s.Version(t.Context(), other, u.ID); !errors.Is(err, sagas.ErrNotFound) {
			t.Errorf("of %v: %v, want ErrNotFound", other, err)
		}
	}
}

// Questions that are answered together get each its own answer, and one that is not wanted any more holds up nobody.
func TestManyVersionsAtOnce(t *testing.T) {
	s := sagatest.Store(t)
	first, second := begin(t, s), advance(t, s, begin(t, s), sagas.Uploaded, sagas.Facts{})
	stranger := sagas.Owner{Tenant: "other", Subject: owner.Subject}
	left, leave := context.WithCancel(t.Context())
	leave()
	var wg sync.WaitGroup
	for range 200 {
		for id, want := range map[uuid.UUID]int64{first.ID: 1, second.ID: 2} {
			wg.Go(func() {
				if v, err := s.Version(context.Background(), owner, id); err != nil || v != want {
					t.Errorf("version %d, %v, want %d", v, err, want)
				}
			})
			wg.Go(func() {
				if v, err := s.Version(context.Background(), stranger, id); !errors.Is(err, sagas.ErrNotFound) {
					t.Errorf("a stranger got version %d, %v", v, err)
				}
			})
		}
		wg.Go(func() {
			if _, err := s.Version(left, owner, first.ID); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestVersionWithoutADatabase(t *testing.T) {
	s := sagas.NewStore(connect(t, sagas.Config{
		URL: "postgres://sluice@" + closedPort(t) + "/sluice?sslmode=disable", MaxConns: 1, ConnectTimeout: time.Second,
	}), "test")
	if _, err := s.Version(t.Context(), owner, uuid.New()); !sagas.IsUnavailable(err) {
		t.Errorf("%v, want one that says that the database is away", err)
	}
}

// BenchmarkAdvance moves uploads over 16 connections. Compare it with an advance that notifies in its own statement:
// that is why it does not.
func BenchmarkAdvance(b *testing.B) {
	c := sagatest.Config(b)
	c.MaxConns = 17
	pool, err := sagas.Connect(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := sagas.Migrate(b.Context(), pool); err != nil {
		b.Fatal(err)
	}
	s := sagas.NewStore(pool, "bench")
	uploads := make(chan sagas.Upload, b.N)
	for range b.N {
		id := uuid.Must(uuid.NewV7())
		u, err := s.Begin(b.Context(), sagas.Beginning{
			ID: id, Owner: owner, Method: sagas.MethodPut, Filename: "a.jpg", Bucket: "incoming", Key: id.String(),
			Declared: sagas.Content{Type: "image/jpeg"}, Lifetime: time.Hour,
		})
		if err != nil {
			b.Fatal(err)
		}
		uploads <- u
	}
	close(uploads)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for u := range uploads {
				_, err := s.Advance(b.Context(), sagas.Change{
					ID: u.ID, Stage: "bench", From: u.State, To: sagas.Uploaded, StartedAt: u.ReadAt,
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "moves/s")
}
