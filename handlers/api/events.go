package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

const (
	// Clients whose stream ended come back after this and up to as much again, so that they do not come all at once.
	comeBackAfter = 1500 * time.Millisecond

	// readTimeout bounds one reading of an upload for everybody who streams it.
	readTimeout = 10 * time.Second
)

type eventsInput struct {
	ID          string `path:"id" doc:"The upload's id."`
	LastEventID int64  `header:"Last-Event-ID" minimum:"0" doc:"Newest version that the client has. Browsers send it when they connect again."`
}

// streamEvents answers with a stream of the upload's versions, or with 204 when the client has its last one: that
// keeps an EventSource from connecting again.
func (s *server) streamEvents(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	id, err := named(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	watch := s.changes.Watch(id) // before the upload is read: no change falls between
	u, err := s.find(ctx, in.ID)
	if err != nil {
		watch.Close()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer watch.Close()
		if u.State.Terminal() && u.Version <= in.LastEventID {
			hctx.SetStatus(http.StatusNoContent)
			return
		}
		call := callOf(ctx)
		call.waited = true
		hctx.SetHeader("Content-Type", "text/event-stream")
		hctx.SetHeader("X-Accel-Buffering", "no") // nginx would wait for more
		hctx.SetStatus(http.StatusOK)
		_, w := humago.Unwrap(hctx)
		st := &stream{
			server: s, watch: watch, id: id, owner: call.principal.Owner, sent: min(in.LastEventID, u.Version),
			w: w, connection: http.NewResponseController(w),
		}
		if expires := call.principal.Expires; !expires.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, expires)
			defer cancel()
		}
		s.metrics.streams.Inc()
		defer s.metrics.streams.Dec()
		if err := st.run(ctx, u); err != nil {
			s.log.DebugContext(ctx, "stream cut off", "upload_id", id.String(), "error", err)
		}
	}}, nil
}

// stream is one client that follows one upload.
type stream struct {
	server     *server
	watch      *sagas.Watch
	id         uuid.UUID
	owner      sagas.Owner
	sent       int64 // the newest version that the client has
	w          http.ResponseWriter
	connection *http.ResponseController
}

// run sends the upload as it stands and then each change, until it has its outcome, the client has gone, its
// credential has ended or the process is about to stop. Its error is one of sending.
func (st *stream) run(ctx context.Context, u sagas.Upload) error {
	if err := st.connection.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	retry := comeBackAfter + rand.N(comeBackAfter) //nolint:gosec // nothing secret about it
	if err := st.send(fmt.Appendf(nil, "retry: %d\n\n", retry.Milliseconds())); err != nil {
		return err
	}
	newest := u.Version
	if newest > st.sent {
		e, err := st.server.event(ctx, u)
		if err == nil {
			err = st.pass(e)
		}
		if err != nil || e.last {
			return err
		}
	}
	heartbeat := time.NewTicker(st.server.config.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.server.changes.Done():
			return nil
		case newest = <-st.watch.C:
		case <-heartbeat.C:
			if newest > st.sent {
				break // it could not be read before
			}
			if err := st.send([]byte(": heartbeat\n\n")); err != nil {
				return err
			}
		}
		if newest <= st.sent {
			continue
		}
		e, err := st.server.eventOf(ctx, st.owner, st.id, newest)
		if err != nil {
			st.server.log.WarnContext(ctx, "could not read a change", "upload_id", st.id.String(), "error", err)
			continue
		}
		if err := st.pass(e); err != nil || e.last {
			return err
		}
	}
}

func (st *stream) pass(e event) error {
	st.sent = e.version
	return st.send(e.text)
}

// send writes and flushes. A client that does not take it in time is given up.
func (st *stream) send(b []byte) error {
	if err := st.connection.SetWriteDeadline(time.Now().Add(st.server.config.StreamTimeout)); err != nil {
		return err
	}
	if _, err := st.w.Write(b); err != nil {
		return err
	}
	return st.connection.Flush()
}

// event is one version of an upload as it is streamed.
type event struct {
	version int64
	last    bool // no other will come: this is the outcome
	text    []byte
}

// eventOf reads an upload of which at least this version exists. It is read once for all who ask at the same time.
func (s *server) eventOf(ctx context.Context, o sagas.Owner, id uuid.UUID, atLeast int64) (event, error) {
	v, err, _ := s.reads.Do(fmt.Sprintf("%s %d", id, atLeast), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout) // whoever came first may leave
		defer cancel()
		u, err := s.store.Get(ctx, o, id)
		if err != nil {
			return event{}, err
		}
		return s.event(ctx, u)
	})
	e, _ := v.(event)
	return e, err
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
