package sqs

import (
	"context"
	"errors"
	"maps"
	"slices"
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
	cancel        context.CancelCauseFunc

	mu     sync.Mutex
	ended  bool
	expiry *time.Timer
}

// newLease returns a lease on msg for the time given, and makes msg's context, derived from parent, end with it.
// expired is called when the lease has run its time.
func newLease(parent context.Context, msg *message.Message, receiptHandle string, length time.Duration, expired func(*lease)) *lease {
	ctx, cancel := context.WithCancelCause(parent)
	msg.SetContext(ctx)
	l := &lease{
		msg:           msg,
		messageID:     msg.Metadata.Get(MetadataMessageID),
		receiptHandle: receiptHandle,
		receiveCount:  ReceiveCount(msg),
		done:          ctx.Done(),
		cancel:        cancel,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expiry = time.AfterFunc(length, func() { expired(l) })
	return l
}

// extend lets the lease run until then, unless it has ended.
func (l *lease) extend(then time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.expiry.Reset(time.Until(then))
	}
}

// end ends the lease and the message's context with cause, and reports whether it was this call that did.
func (l *lease) end(cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	l.expiry.Stop()
	l.cancel(cause)
	return true
}

// leaseTable is the set of leases that heartbeats renew.
type leaseTable struct {
	mu   sync.Mutex
	held map[*lease]struct{}
}

func newLeaseTable() *leaseTable { return &leaseTable{held: map[*lease]struct{}{}} }

func (t *leaseTable) add(l *lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[l] = struct{}{}
}

// end ends l with cause, reports whether it was this call that did, and in any case has no more heartbeats for it.
func (t *leaseTable) end(l *lease, cause error) bool {
	t.mu.Lock()
	delete(t.held, l)
	t.mu.Unlock()
	return l.end(cause)
}

func (t *leaseTable) all() []*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.held))
}
