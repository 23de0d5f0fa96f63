package sqs

import "container/list"

// poller is one long poll that waits for a queue to have a ready message.
//
// A poller that is woken leaves the waiting list and owes the queue a look. If
// it cannot take that look any more, because its client has gone, it must hand
// the wake-up on, or a message would lie there while others wait for one.
type poller struct {
	wake    chan struct{}
	element *list.Element // in the queue's waiting list; nil when not waiting
}

func newPoller() *poller { return &poller{wake: make(chan struct{}, 1)} }

// enrol puts the poller at the end of the waiting list. The caller has just
// seen, under the same lock, that nothing is ready.
func (q *queue) enrol(p *poller, at millis) {
	p.element = q.pollers.PushBack(p)
	q.setAlarm(at)
}

// wakeOne wakes the poller that has waited longest.
func (q *queue) wakeOne() {
	front := q.pollers.Front()
	if front == nil {
		return
	}
	p, _ := q.pollers.Remove(front).(*poller)
	p.element = nil
	p.wake <- struct{}{}
}

// wakeAll wakes every poller, so that each finds the queue deleted.
func (q *queue) wakeAll() {
	for q.pollers.Len() > 0 {
		q.wakeOne()
	}
}

// leave takes a poller that gives up out of the waiting list, or hands the
// wake-up that it got on to the next.
func (q *queue) leave(p *poller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.element != nil {
		q.pollers.Remove(p.element)
		p.element = nil
		return
	}
	if q.ready.Len() > 0 {
		q.wakeOne()
	}
}
