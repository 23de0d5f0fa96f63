package sqs

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Why the context of a message ended before its handler had acked or nacked it; context.Cause tells.
var (
	// ErrLeaseLost: the message could not be kept invisible; someone else may be handling it by now.
	ErrLeaseLost = errors.New("lease on the sqs message lost")
	// ErrDrained: shutdown's grace is over and the message has been given back.
	ErrDrained = errors.New("shutdown grace over, sqs message given back")
)

// errSettled is the cause of an ordinary end: the message was acked or nacked.
var errSettled = errors.New("sqs message settled")

// lease is the right to handle a received message until its visibility timeout, which heartbeats push out. It ends
// exactly once, in whichever way comes first; whoever ends it decides what becomes of the message.
type lease struct {
	msg           *message.Message // belongs to the handler once handed over
	messageID     string           // SQS's
	receiptHandle string
	receiveCount  int
	done          <-chan struct{} // closed when the lease ends
	cause         error           // of its end, once done is closed
	cancel        context.CancelCauseFunc
	renewals      sync.WaitGroup // on their way; none begins once the lease has ended

	expires time.Time     // guarded by the table's mu, as what follows
	place   *list.Element // in the table; nil once the lease has ended
}

// newLease returns a lease on msg, and makes msg's context, derived from parent, end with it. It begins when it is
// added to a leaseTable.
func newLease(parent context.Context, msg *message.Message, receiptHandle string) *lease {
	ctx, cancel := context.WithCancelCause(parent)
	msg.SetContext(ctx)
	return &lease{
		msg:           msg,
		messageID:     msg.Metadata.Get(MetadataMessageID),
		receiptHandle: receiptHandle,
		receiveCount:  ReceiveCount(msg),
		done:          ctx.Done(),
		cancel:        cancel,
	}
}

// leaseTable is the set of leases that have not ended.
type leaseTable struct {
	expired func(*lease) // called with each lease that has run its time, to end it

	mu    sync.Mutex
	held  *list.List // of *lease, those that expire first in front
	alarm *time.Timer
}

func newLeaseTable(expired func(*lease)) *leaseTable {
	t := &leaseTable{expired: expired, held: list.New()}
	t.alarm = time.AfterFunc(time.Hour, t.expire)
	return t
}

// add lets leases run until then.
func (t *leaseTable) add(then time.Time, leases []*lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		t.put(l, then)
	}
}

// extend lets the lease run until then, unless it has ended.
func (t *leaseTable) extend(l *lease, then time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.place != nil {
		t.held.Remove(l.place)
		t.put(l, then)
	}
}

// put has l run until then. The caller holds mu.
func (t *leaseTable) put(l *lease, then time.Time) {
	l.expires = then
	earlier := t.held.Back()
	for earlier != nil && leaseAt(earlier).expires.After(then) {
		earlier = earlier.Prev()
	}
	if earlier != nil {
		l.place = t.held.InsertAfter(l, earlier)
		return
	}
	l.place = t.held.PushFront(l)
	t.wake(then)
}

// wake has expire called then. The caller holds mu.
func (t *leaseTable) wake(then time.Time) {
	if t.alarm == nil {
		t.alarm = time.AfterFunc(time.Until(then), t.expire)
	} else {
		t.alarm.Reset(time.Until(then))
	}
}

// expire reports the leases that have run their time, and has itself called again when the next one has.
func (t *leaseTable) expire() {
	for _, l := range t.overdue(time.Now()) {
		t.expired(l)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if next := t.held.Front(); next != nil {
		t.wake(leaseAt(next).expires)
	}
}

func (t *leaseTable) overdue(now time.Time) (overdue []*lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for place := t.held.Front(); place != nil; place = place.Next() {
		l := leaseAt(place)
		if l.expires.After(now) {
			break
		}
		overdue = append(overdue, l)
	}
	return overdue
}

// end ends leases and their messages' contexts with cause, and returns those that it was this call that ended.
func (t *leaseTable) end(cause error, leases ...*lease) (ended []*lease) {
	ended = t.remove(leases)
	for _, l := range ended {
		l.cause = cause
		l.cancel(cause)
	}
	return ended
}

func (t *leaseTable) remove(leases []*lease) (held []*lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held = make([]*lease, 0, len(leases))
	for _, l := range leases {
		if l.place != nil {
			t.held.Remove(l.place)
			l.place = nil
			held = append(held, l)
		}
	}
	return held
}

// beginRenewals returns those of the leases that have not ended, for each of which the caller ends a renewal.
func (t *leaseTable) beginRenewals(leases []*lease) (held []*lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range leases {
		if l.place != nil {
			l.renewals.Add(1)
			held = append(held, l)
		}
	}
	return held
}

func (t *leaseTable) all() []*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*lease, 0, t.held.Len())
	for place := t.held.Front(); place != nil; place = place.Next() {
		all = append(all, leaseAt(place))
	}
	return all
}

func leaseAt(place *list.Element) *lease {
	l, _ := place.Value.(*lease) // nothing else is in a leaseTable
	return l
}
