package sagas

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// channel is where new versions are announced. A channel is the whole database's, whatever the schema.
	channel = "sluice_uploads"

	// announcePause gathers announcements under load; the first after a rest goes out at once.
	announcePause   = 5 * time.Millisecond
	announceTimeout = 5 * time.Second

	// maxPayload is what Postgres takes in a notification by default, in bytes (PostgreSQL manual, NOTIFY).
	maxPayload = 7999
)

// announcer tells the listening processes of new versions, in transactions of its own. Inside the statements that move
// an upload a notification would cost more than the move: Postgres commits transactions that notify one at a time,
// each holding a database-wide lock while its commit is flushed. An announcement is therefore only a hint and can be
// lost with its process; Changes reads again what is waited for.
type announcer struct {
	pool *pgxpool.Pool

	mu      sync.Mutex
	pending map[uuid.UUID]int64
	idle    chan struct{} // closed when nothing is left to send; nil before the first announcement
}

// announce returns at once. Several versions of one upload that wait to be sent become one announcement.
func (a *announcer) announce(id uuid.UUID, version int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending != nil {
		a.pending[id] = max(version, a.pending[id])
		return
	}
	a.pending, a.idle = map[uuid.UUID]int64{id: version}, make(chan struct{})
	go a.send(a.idle)
}

// send runs while there is anything to send.
func (a *announcer) send(idle chan<- struct{}) {
	defer close(idle)
	for {
		batch := a.take()
		if batch == nil {
			return
		}
		for _, payload := range payloads(batch) {
			ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
			_, err := a.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, payload)
			cancel()
			if err != nil {
				break // whoever waits finds out by reading again
			}
		}
		time.Sleep(announcePause)
	}
}

// take empties what is pending. Nil means that there was nothing and that send ends.
func (a *announcer) take() map[uuid.UUID]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) == 0 {
		a.pending = nil
		return nil
	}
	batch := a.pending
	a.pending = map[uuid.UUID]int64{}
	return batch
}

// flush waits until everything announced so far was sent, or ctx ends.
func (a *announcer) flush(ctx context.Context) error {
	a.mu.Lock()
	idle := a.idle
	a.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("announcing changes: %w", context.Cause(ctx))
	}
}

// payloads writes versions as lines of id, space, version, as many to a notification as fit.
func payloads(versions map[uuid.UUID]int64) []string {
	var all []string
	var b strings.Builder
	for id, version := range versions {
		line := id.String() + " " + strconv.FormatInt(version, 10) + "\n"
		if b.Len()+len(line) > maxPayload {
			all = append(all, b.String())
			b.Reset()
		}
		b.WriteString(line)
	}
	return append(all, b.String())
}

// readPayload calls tell for each line. Lines that it cannot read are somebody else's.
func readPayload(payload string, tell func(uuid.UUID, int64)) {
	for line := range strings.SplitSeq(payload, "\n") {
		id, version, _ := strings.Cut(line, " ")
		upload, err := uuid.Parse(id)
		if err != nil {
			continue
		}
		if v, err := strconv.ParseInt(version, 10, 64); err == nil {
			tell(upload, v)
		}
	}
}
