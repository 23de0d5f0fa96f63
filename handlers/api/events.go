package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/sluice-media/sluice/sagas"
)

const (
	// Clients whose stream ended come back after this and up to as much again, so that they do not come all at once.
	comeBackAfter = 1500 * time.Millisecond

	// readTimeout bounds one reading of an upload for everybody who streams it.
	readTimeout = 10 * time.Second
)

type eventsInput struct {
	ID          string `path:"id" example:"0199e0a2-7c1f-7d3a-9b1e-2f6a5c8d4e10" doc:"The upload's id."`
	LastEventID int64  `header:"Last-Event-ID" minimum:"0" example:"5" doc:"Newest version that the client has. Browsers send it when they connect again."`
}

// streamEvents answers with a stream of the upload's versions, or with 204 when the client has its last one: that
// keeps an EventSource from connecting again.
func (s *server) streamEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	id, err := named(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	watch := s.changes.Watch(id) // before the upload is read: no change falls between
	begun := false
	defer func() {
		if !begun {
			watch.Close()
		}
	}()
	u, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	known := min(in.LastEventID, u.Version)
	if u.State.Terminal() && u.Version == known {
		return &huma.StreamResponse{Body: func(hctx huma.Context) { hctx.SetStatus(http.StatusNoContent) }}, nil
	}
	first := event{version: known}
	if u.Version > known {
		if first, err = s.event(ctx, u); err != nil {
			return nil, err
		}
	}
	call := callOf(ctx)
	st := &stream{
		server: s, watch: watch, id: id, owner: call.principal.Owner, expires: call.principal.Expires,
		sent: first.version, newest: first.version,
	}
	begun = true
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		if err := st.take(w, first); err != nil {
			watch.Close()
			s.log.WarnContext(ctx, "could not begin a stream", "upload_id", in.ID, "error", err)
			return
		}
		go st.run(context.WithoutCancel(ctx), first.last)
	}}, nil
}

// stream is one client that follows one upload, on a connection of its own. There may be many thousands, so it keeps
// nothing but what is here and one goroutine with a small stack.
type stream struct {
	server  *server
	watch   *sagas.Watch
	conn    net.Conn
	id      uuid.UUID
	owner   sagas.Owner
	expires time.Time // when the client's credential ends; zero: never
	sent    int64     // the newest version that the client has
	newest  int64     // the newest version that there is
}

// take gets the connection from the HTTP server, which would keep its buffers, the request and two goroutines for as
// long as the answer lasts, and begins an answer that ends with the connection (RFC 9112, 6.3).
func (st *stream) take(w http.ResponseWriter, first event) error {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would wait for more
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("taking the connection: %w", err)
	}
	st.conn = conn
	var begin bytes.Buffer
	begin.WriteString("HTTP/1.1 200 OK\r\n")
	err = header.Write(&begin)
	retry := comeBackAfter + rand.N(comeBackAfter) //nolint:gosec // nothing secret about it
	fmt.Fprintf(&begin, "\r\nretry: %d\n\n%s", retry.Milliseconds(), first.text)
	if err = errors.Join(err, st.send(begin.Bytes())); err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// run sends each change until the upload has its outcome, which it may have had at first, the client has gone, its
// credential has ended or the process is about to stop.
func (st *stream) run(ctx context.Context, over bool) {
	st.server.metrics.streams.Inc()
	defer st.server.metrics.streams.Dec()
	defer st.watch.Close()
	var err error
	if !over {
		err = st.follow(ctx)
	}
	if err = errors.Join(err, st.conn.Close()); err != nil {
		st.server.log.DebugContext(ctx, "stream cut off", "upload_id", st.id.String(), "error", err)
	}
}

func (st *stream) follow(ctx context.Context) error {
	heartbeat := time.NewTicker(st.server.config.Heartbeat)
	defer heartbeat.Stop()
	for {
		if !st.expires.IsZero() && time.Now().After(st.expires) {
			return nil
		}
		if st.newest > st.sent {
			last, err := st.pass(ctx)
			if err != nil || last {
				return err
			}
		}
		select {
		case <-st.server.changes.Done():
			return nil
		case st.newest = <-st.watch.C:
		case <-heartbeat.C: // also the time to try again what could not be read
			if err := st.send(beat); err != nil {
				return err
			}
		}
	}
}

// pass sends the newest version. One that cannot be read now is left for later; the error is one of sending.
func (st *stream) pass(ctx context.Context) (last bool, err error) {
	read := <-st.server.eventOf(ctx, st.owner, st.id, st.newest)
	if read.Err != nil {
		st.server.log.WarnContext(ctx, "could not read a change", "upload_id", st.id.String(), "error", read.Err)
		return false, nil //nolint:nilerr // see above
	}
	e, ok := read.Val.(event)
	if !ok || e.version <= st.sent {
		return false, nil
	}
	st.sent = e.version
	return e.last, st.send(e.text)
}

// beat is a comment: it keeps proxies from taking the connection for dead, and shows whether it is.
var beat = []byte(": heartbeat\n\n")

// send gives a client that does not take it in time up.
func (st *stream) send(b []byte) error {
	if err := st.conn.SetWriteDeadline(time.Now().Add(st.server.config.StreamTimeout)); err != nil {
		return err
	}
	_, err := st.conn.Write(b)
	return err
}

// event is one version of an upload as it is streamed.
type event struct {
	version int64
	last    bool // no other will come: this is the outcome
	text    []byte
}

// eventOf reads an upload of which at least this version exists: once for all who ask at the same time, and on a stack
// that does not stay with any of them. It yields an event.
func (s *server) eventOf(ctx context.Context, o sagas.Owner, id uuid.UUID, atLeast int64) <-chan singleflight.Result {
	return s.reads.DoChan(fmt.Sprintf("%s %d", id, atLeast), func() (any, error) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		u, err := s.store.Get(ctx, o, id)
		if err != nil {
			return nil, err
		}
		return s.event(ctx, u)
	})
}

// event writes an upload as the HTML standard has it (section 9.2.6, "Interpreting an event stream").
func (s *server) event(ctx context.Context, u sagas.Upload) (event, error) {
	body, err := s.whole(ctx, u)
	if err != nil {
		return event{}, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return event{}, fmt.Errorf("encoding upload %s: %w", u.ID, err)
	}
	return event{
		version: u.Version, last: u.State.Terminal(),
		text: fmt.Appendf(nil, "event: upload\nid: %d\ndata: %s\n\n", u.Version, data),
	}, nil
}
