package sqs

import (
	"container/heap"
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// maxInFlight is how many messages of a queue may be leased at once.
const maxInFlight = 120_000

// queue is one standard queue. Its mutex guards everything below it. A
// goroutine that needs two queues' mutexes takes that of the lower id first
// (lockBoth), and every change is appended to the journal under the mutex, so
// that the journal has a queue's changes in their order.
type queue struct {
	id      uint64
	name    string
	arn     string
	created millis
	journal *journal
	// settings may be read without the mutex; they are replaced as a whole.
	settings atomic.Pointer[settings]

	mu        sync.Mutex
	deleted   bool
	modified  millis
	purgedAt  millis              // zero until purged
	tags      map[string]string   // replaced as a whole
	messages  map[uint64]*message // by sequence number
	ready     list.List           // of *message, in the order of delivery
	inFlight  int
	delayed   int
	deadlines deadlines
	pollers   list.List   // of *poller, those that wait
	alarm     *time.Timer // nil until a poller first waited
	alarmAt   millis      // zero when the alarm is not set
}

func newQueue(id uint64, name, arn string, created millis, set *settings, j *journal) *queue {
	q := &queue{
		id: id, name: name, arn: arn, created: created, modified: created, journal: j,
		messages: make(map[uint64]*message),
	}
	q.setSettings(set)
	return q
}

func (q *queue) setSettings(set *settings) {
	q.settings.Store(set)
	q.deadlines.setRetention(set.retention)
}

// lockBoth locks a queue and, unless it is nil or the same, another one, and
// returns what unlocks them.
func lockBoth(q, other *queue) (unlock func()) {
	if other == nil || other == q {
		q.mu.Lock()
		return q.mu.Unlock
	}
	first, second := q, other
	if second.id < first.id {
		first, second = second, first
	}
	first.mu.Lock()
	second.mu.Lock()
	return func() {
		second.mu.Unlock()
		first.mu.Unlock()
	}
}

// insert adds a message that is ready, delayed or in flight, as its state says.
func (q *queue) insert(m *message) {
	q.messages[m.seq] = m
	heap.Push(&q.deadlines, m)
	q.enter(m)
}

// remove takes a message out of the queue, whatever its state.
func (q *queue) remove(m *message) {
	q.exit(m)
	heap.Remove(&q.deadlines, m.heapIndex)
	delete(q.messages, m.seq)
}

// place moves a message to a state; its visibleAt must be set before.
func (q *queue) place(m *message, to state) {
	q.exit(m)
	m.state = to
	heap.Fix(&q.deadlines, m.heapIndex)
	q.enter(m)
}

// enter counts the message into its state, and tells a poller of a ready one.
func (q *queue) enter(m *message) {
	switch m.state {
	case stateDelayed:
		q.delayed++
	case stateInFlight:
		q.inFlight++
	case stateReady:
		m.element = q.ready.PushBack(m)
		q.wakeOne()
	}
}

// exit counts the message out of its state.
func (q *queue) exit(m *message) {
	switch m.state {
	case stateDelayed:
		q.delayed--
	case stateInFlight:
		q.inFlight--
	case stateReady:
		q.ready.Remove(m.element)
		m.element = nil
	}
}

// clear removes every message.
func (q *queue) clear() {
	clear(q.messages)
	q.ready.Init()
	q.inFlight, q.delayed = 0, 0
	q.deadlines.messages = nil
}

// send appends a message to the queue, hidden for a delay in seconds.
func (q *queue) send(c *content, seq uint64, delay int, at millis) ticket {
	m := &message{content: c, seq: seq, sentAt: at}
	if delay > 0 {
		m.state, m.visibleAt = stateDelayed, at.after(delay)
	}
	q.insert(m)
	q.setAlarm(at)
	return q.journal.append(record{Message: messageRecordOf(q, m)})
}

// delivery is one message as it is handed to a consumer.
type delivery struct {
	*content
	sentAt, firstReceived millis
	receives              int
	source                string
	handle                string
}

// deliver leases up to limit ready messages for a timeout in seconds. Messages
// that have used up their receives go to the dead-letter queue instead, which
// is nil when there is none and otherwise locked as well.
func (q *queue) deliver(limit, timeout int, dead *queue, nextSeq func() uint64, at millis) ([]delivery, ticket, error) {
	var (
		delivered []delivery
		last      ticket
	)
	for element := q.ready.Front(); element != nil && len(delivered) < limit; element = q.ready.Front() {
		m, _ := element.Value.(*message)
		if dead != nil && q.exhausted(m) {
			last = q.moveTo(dead, m, moveRecord{Seq: nextSeq(), Source: q.arn}, at)
			continue
		}
		if q.inFlight >= maxInFlight {
			if len(delivered) == 0 {
				return nil, last, errorf(codeOverLimit, "queue %s has %d messages in flight, which is the limit", q.name, maxInFlight)
			}
			break
		}
		lease := leaseRecord{Queue: q.id, Seq: m.seq, Lease: newLease(), At: at, Until: at.after(timeout)}
		q.lease(m, lease)
		last = q.journal.append(record{Lease: &lease})
		delivered = append(delivered, delivery{
			content: m.content, sentAt: m.sentAt, firstReceived: m.firstReceived, receives: m.receives, source: m.source,
			handle: receipt{queue: q.id, seq: m.seq, lease: m.lease}.handle(),
		})
	}
	q.setAlarm(at)
	return delivered, last, nil
}

// exhausted tells whether the message has been received as often as the
// queue's redrive policy lets it.
func (q *queue) exhausted(m *message) bool {
	policy := q.settings.Load().redrive
	return policy != nil && m.receives-m.earlier >= policy.maxReceiveCount
}

// lease hands the message out.
func (q *queue) lease(m *message, l leaseRecord) {
	m.lease = l.Lease
	m.receives++
	m.lastReceived = l.At
	if m.firstReceived == 0 {
		m.firstReceived = l.At
	}
	m.visibleAt = l.Until
	q.place(m, stateInFlight)
}

// moveTo takes the message out of q and puts it into another queue, ready to be
// received there. The record's from, to and old sequence number are filled in.
func (q *queue) moveTo(to *queue, m *message, move moveRecord, at millis) ticket {
	move.From, move.Old, move.To = q.id, m.seq, to.id
	q.move(to, m, move)
	to.setAlarm(at)
	return q.journal.append(record{Move: &move})
}

// move does what the record says.
func (q *queue) move(to *queue, m *message, move moveRecord) {
	q.remove(m)
	m.seq = move.Seq
	m.state = stateReady
	m.earlier = m.receives
	m.source = move.Source
	if move.ID != "" {
		renamed := *m.content
		renamed.ID = move.ID
		m.content = &renamed
		m.sentAt = move.SentAt
		m.receives, m.earlier = 0, 0
		m.firstReceived, m.lastReceived = 0, 0
	}
	to.insert(m)
}

// delete removes the message of a receipt, unless it has been leased anew
// since or is gone, either of which is success.
func (q *queue) delete(r receipt) ticket {
	m := q.messages[r.seq]
	if m == nil || m.lease != r.lease {
		return q.journal.tail()
	}
	q.remove(m)
	return q.journal.append(record{Delete: &deleteRecord{Queue: q.id, Seq: m.seq}})
}

// changeVisibility makes a lease end in a number of seconds from now; with
// zero the message is ready at once.
func (q *queue) changeVisibility(r receipt, timeout int, at millis) (ticket, error) {
	m := q.messages[r.seq]
	switch {
	case m == nil || m.lease != r.lease:
		return 0, errorf(codeInvalidParameterValue,
			"value %s for parameter ReceiptHandle is invalid: message does not exist or is not available for visibility timeout change", r.handle())
	case m.state != stateInFlight:
		return 0, errorf(codeMessageNotInflight, "message %s is not in flight", m.ID)
	case at.after(timeout) > m.lastReceived.after(maxVisibilityTimeout):
		return 0, errorf(codeInvalidParameterValue,
			"value %d for parameter VisibilityTimeout is invalid: the total visibility timeout of a message is at most %d seconds", timeout, maxVisibilityTimeout)
	}
	q.hide(m, at.after(timeout))
	done := q.journal.append(record{Visibility: &visibilityRecord{Queue: q.id, Seq: m.seq, Until: m.visibleAt}})
	q.advance(at)
	q.setAlarm(at)
	return done, nil
}

// hide makes an in-flight message visible at another moment.
func (q *queue) hide(m *message, until millis) {
	m.visibleAt = until
	heap.Fix(&q.deadlines, m.heapIndex)
}

// newLease returns a number that no other lease has.
func newLease() uint64 {
	var b [8]byte
	// Read never fails: the runtime stops the program instead.
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func newMessageID() string { return uuid.NewString() }
