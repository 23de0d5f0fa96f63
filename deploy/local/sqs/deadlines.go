package sqs

import (
	"container/heap"
	"time"
)

// deadlines orders a queue's messages by the moment at which time changes them:
// the end of a delay or a lease, or the end of the retention period.
type deadlines struct {
	messages  []*message
	retention int // seconds, of the queue
}

// expiry is when the message leaves the queue undelivered. It counts from when
// the message was sent, also in a dead-letter queue.
func (d *deadlines) expiry(m *message) millis { return m.sentAt.after(d.retention) }

// of is the next moment at which time changes the message.
func (d *deadlines) of(m *message) millis {
	expiry := d.expiry(m)
	if m.state == stateReady {
		return expiry
	}
	return min(m.visibleAt, expiry)
}

// next is the message with the earliest deadline, or nil.
func (d *deadlines) next() *message {
	if len(d.messages) == 0 {
		return nil
	}
	return d.messages[0]
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (d *deadlines) Len() int           { return len(d.messages) }
func (d *deadlines) Less(i, j int) bool { return d.of(d.messages[i]) < d.of(d.messages[j]) }
func (d *deadlines) Swap(i, j int) {
	d.messages[i], d.messages[j] = d.messages[j], d.messages[i]
	d.messages[i].heapIndex = i
	d.messages[j].heapIndex = j
}

func (d *deadlines) Push(x any) {
	m, _ := x.(*message)
	m.heapIndex = len(d.messages)
	d.messages = append(d.messages, m)
}

func (d *deadlines) Pop() any {
	last := len(d.messages) - 1
	m := d.messages[last]
	d.messages[last] = nil
	d.messages = d.messages[:last]
	return m
}

// setRetention changes the retention period, which moves every deadline.
func (d *deadlines) setRetention(seconds int) {
	if d.retention == seconds {
		return
	}
	d.retention = seconds
	heap.Init(d)
}

// advance applies what time has done to the queue by the given moment: ended
// delays and leases make messages ready, ended retention deletes them.
func (q *queue) advance(at millis) {
	for m := q.deadlines.next(); m != nil && q.deadlines.of(m) <= at; m = q.deadlines.next() {
		if q.deadlines.expiry(m) <= at {
			q.remove(m)
			q.journal.append(record{Delete: &deleteRecord{Queue: q.id, Seq: m.seq}})
			continue
		}
		q.place(m, stateReady)
	}
}

// setAlarm makes sure that the waiting pollers, if any, learn of the next
// deadline. Without pollers no timer runs.
func (q *queue) setAlarm(at millis) {
	m := q.deadlines.next()
	if q.pollers.Len() == 0 || m == nil {
		return
	}
	deadline := q.deadlines.of(m)
	if q.alarmAt != 0 && q.alarmAt <= deadline {
		return
	}
	q.alarmAt = deadline
	if q.alarm == nil {
		q.alarm = time.AfterFunc(at.until(deadline), q.ring)
		return
	}
	q.alarm.Reset(at.until(deadline))
}

// ring is the alarm's function.
func (q *queue) ring() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.alarmAt = 0
	if q.deleted {
		return
	}
	at := now()
	q.advance(at)
	q.setAlarm(at)
}
