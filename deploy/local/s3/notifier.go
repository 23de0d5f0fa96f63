package s3

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// sinkTimeout bounds one call of a Sink.
const sinkTimeout = 10 * time.Second

// Sink takes the JSON body of a notification, usually to send it to a queue.
// An error means that it is lost, as S3 tells nobody either. A Sink may be
// called concurrently.
type Sink func(ctx context.Context, body string) error

// Notification sends the ObjectCreated events of a bucket to a Sink. Events
// reach the Sink before the request that caused them is answered, unless
// Faults say otherwise.
type Notification struct {
	Bucket string
	Prefix string // of the keys; empty is all
	Sink   Sink
}

func (n Notification) wants(bucket, key string) bool {
	return n.Bucket == bucket && strings.HasPrefix(key, n.Prefix)
}

// notifier delivers events to the notifications that want them, disturbed by
// faults.
type notifier struct {
	lanes     []*lane
	faults    *Faults
	logger    *slog.Logger
	sequencer sequencer

	mu       sync.Mutex // guards the parked deliveries and lane.held
	parked   map[*delivery]struct{}
	closed   bool
	underway sync.WaitGroup // parked deliveries that are being made now
}

// lane is one notification and the delivery that waits for a later one there.
type lane struct {
	Notification
	held *delivery
}

// delivery is one that is made later.
type delivery struct {
	lane  *lane
	body  string
	timer *time.Timer
}

func newNotifier(notifications []Notification, faults *Faults, logger *slog.Logger) *notifier {
	n := &notifier{faults: faults, logger: logger, parked: map[*delivery]struct{}{}}
	for _, notification := range notifications {
		n.lanes = append(n.lanes, &lane{Notification: notification})
	}
	return n
}

func (n *notifier) wants(bucket, key string) bool {
	for _, l := range n.lanes {
		if l.wants(bucket, key) {
			return true
		}
	}
	return false
}

// notify delivers e, or parks it when a fault delays it.
func (n *notifier) notify(ctx context.Context, e event) {
	body, err := e.body(n.sequencer.next(e.time))
	if err != nil {
		n.logger.Error("S3 event not sent", "bucket", e.bucket, "key", e.key, "error", err)
		return
	}
	for _, l := range n.lanes {
		if !l.wants(e.bucket, e.key) {
			continue
		}
		for _, f := range n.faults.fates() {
			if f.wait > 0 && n.park(l, body, f) { //nolint:contextcheck // a late delivery outlives the request
				continue
			}
			n.send(ctx, l, body)
			n.release(ctx, l)
		}
	}
}

// park keeps a delivery for later. It reports false when the delivery must be
// made now: when the notifier is closed, and when it should wait for a later
// one while another already waits for this one.
func (n *notifier) park(l *lane, body string, f fate) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || f.hold && l.held != nil {
		return false
	}
	d := &delivery{lane: l, body: body}
	if f.hold {
		l.held = d
	}
	n.parked[d] = struct{}{}
	d.timer = time.AfterFunc(f.wait, func() { n.deliver(context.Background(), d) })
	return true
}

// release makes the delivery that waited for the one just made.
func (n *notifier) release(ctx context.Context, l *lane) {
	n.mu.Lock()
	held := l.held
	n.mu.Unlock()
	if held != nil {
		n.deliver(ctx, held)
	}
}

// deliver makes a parked delivery unless somebody else does.
func (n *notifier) deliver(ctx context.Context, d *delivery) {
	if !n.take(d) {
		return
	}
	defer n.underway.Done()
	n.send(ctx, d.lane, d.body)
}

func (n *notifier) take(d *delivery) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.parked[d]; !ok {
		return false
	}
	delete(n.parked, d)
	if d.lane.held == d {
		d.lane.held = nil
	}
	d.timer.Stop()
	n.underway.Add(1)
	return true
}

// send calls the sink. It goes on when ctx is cancelled: the object exists,
// whatever becomes of the request.
func (n *notifier) send(ctx context.Context, l *lane, body string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sinkTimeout)
	defer cancel()
	if err := l.Sink(ctx, body); err != nil {
		n.logger.Error("S3 event lost", "bucket", l.Bucket, "prefix", l.Prefix, "error", err)
	}
}

// close makes every parked delivery now.
func (n *notifier) close(ctx context.Context) {
	n.mu.Lock()
	n.closed = true
	rest := make([]*delivery, 0, len(n.parked))
	for d := range n.parked {
		rest = append(rest, d)
	}
	n.mu.Unlock()
	for _, d := range rest {
		n.deliver(ctx, d)
	}
	n.underway.Wait()
}
