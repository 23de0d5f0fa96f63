package sagas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// versionsAtOnce bounds the uploads in one query for their versions.
const versionsAtOnce = 1000

// listenTimeout is how long a listening connection may be quiet before it is asked for a sign of life.
const listenTimeout = 15 * time.Second

const versionsSQL = `SELECT id, version FROM uploads WHERE id = ANY (@ids::text[]::uuid[])`

// Changes tells those who wait for an upload of its new versions. One connection listens for all of them, on the
// direct URL; nobody who waits holds one. What is watched is also read again every Config.Recheck, in one query for
// many: that finds what was announced while nobody listened, or never.
type Changes struct {
	pool    *pgxpool.Pool
	direct  *pgx.ConnConfig
	recheck time.Duration
	log     *slog.Logger

	listening chan struct{} // says that announcements come again, after a gap
	done      chan struct{}

	mu      sync.Mutex
	watched map[uuid.UUID][]*Watch
}

// NewChanges returns a Changes that has news while it runs; the pool is for reading versions.
func NewChanges(c Config, pool *pgxpool.Pool, log *slog.Logger) (*Changes, error) {
	direct, err := pgxpool.ParseConfig(c.Direct().URL)
	if err != nil {
		return nil, fmt.Errorf("parsing the direct database url: %w", err)
	}
	c.dial(direct.ConnConfig)
	return &Changes{
		pool: pool, direct: direct.ConnConfig, recheck: c.Recheck, log: log,
		listening: make(chan struct{}, 1), done: make(chan struct{}), watched: map[uuid.UUID][]*Watch{},
	}, nil
}

// Watch follows one upload until it is closed.
type Watch struct {
	// C yields the newest version known, and forgets those before it that were not taken. It may repeat one that
	// the upload had already when the watch began.
	C <-chan int64

	changes *Changes
	id      uuid.UUID
	c       chan int64
	told    int64
	index   int // in changes.watched[id]
}

// Watch begins to follow an upload. To miss nothing, read the upload afterwards and not before.
func (c *Changes) Watch(id uuid.UUID) *Watch {
	ch := make(chan int64, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &Watch{C: ch, c: ch, changes: c, id: id, index: len(c.watched[id])}
	c.watched[id] = append(c.watched[id], w)
	return w
}

// Close ends the watch. It must be called once.
func (w *Watch) Close() {
	w.changes.mu.Lock()
	defer w.changes.mu.Unlock()
	all := w.changes.watched[w.id]
	last := len(all) - 1
	if last == 0 {
		delete(w.changes.watched, w.id)
		return
	}
	all[w.index], all[last].index = all[last], w.index
	all[last] = nil
	w.changes.watched[w.id] = all[:last]
}

// Done is closed when no more news will come: whoever waits should answer with what there is.
func (c *Changes) Done() <-chan struct{} { return c.done }

// Run brings the news until ctx ends.
func (c *Changes) Run(ctx context.Context) {
	defer close(c.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.keepListening(ctx) })
	ticker := time.NewTicker(c.recheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.listening:
		}
		if err := c.readAgain(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("could not look for changes", "error", err)
		}
	}
}

// keepListening connects again, with growing pauses, until ctx ends.
func (c *Changes) keepListening(ctx context.Context) {
	wait := pauses()
	for {
		err := c.listen(ctx, wait)
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("not listening for changes", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.NextBackOff()):
		}
	}
}

// listen tells of announcements until the connection breaks.
func (c *Changes) listen(ctx context.Context, wait backoff.BackOff) (err error) {
	conn, err := pgx.ConnectConfig(ctx, c.direct)
	if err != nil {
		return fmt.Errorf("connecting to listen: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(ctx))
	}()
	if err := beginListening(ctx, conn); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	wait.Reset()
	select {
	case c.listening <- struct{}{}:
	default: // it is going to read anyway
	}
	for {
		n, err := c.next(ctx, conn)
		if err != nil {
			return fmt.Errorf("waiting for announcements: %w", err)
		}
		if n != nil {
			readPayload(n.Payload, c.tell)
		}
	}
}

func beginListening(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, "LISTEN "+channel)
	return err
}

// next waits for an announcement. When none has come for a while it asks whether the server is still there, and
// returns nil if so.
func (c *Changes) next(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	quiet, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	n, err := conn.WaitForNotification(quiet)
	if err == nil || ctx.Err() != nil || quiet.Err() == nil {
		return n, err
	}
	ctx, cancel = context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return nil, conn.Ping(ctx)
}

func (c *Changes) tell(id uuid.UUID, version int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watched[id] {
		if version <= w.told {
			continue
		}
		w.told = version
		select {
		case <-w.c:
		default:
		}
		w.c <- version // there is room: nobody else sends
	}
}

// readAgain tells of the versions that the database has of everything watched.
func (c *Changes) readAgain(ctx context.Context) error {
	ids := c.ids()
	for len(ids) > 0 {
		some := ids[:min(len(ids), versionsAtOnce)]
		ids = ids[len(some):]
		_, err := all(ctx, c.pool, versionsSQL, pgx.NamedArgs{"ids": some}, func(row pgx.CollectableRow) (struct{}, error) {
			var id uuid.UUID
			var version int64
			err := row.Scan(&id, &version)
			if err == nil {
				c.tell(id, version)
			}
			return struct{}{}, err
		})
		if err != nil {
			return fmt.Errorf("reading versions: %w", err)
		}
	}
	return nil
}

func (c *Changes) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.watched))
	for id := range c.watched {
		ids = append(ids, id.String())
	}
	return ids
}
