package sqs

import (
	"container/list"
	"time"
)

// content is the part of a message that never changes; copies of a message
// share it.
type content struct {
	ID         string                    `json:"id"`
	Body       string                    `json:"body"`
	Attributes map[string]attributeValue `json:"attributes,omitempty"`
	// System holds the system attributes that the sender gave: AWSTraceHeader
	// and MessageGroupId.
	System map[string]string `json:"system,omitempty"`
	Sender string            `json:"sender,omitempty"`
}

// state says where in its queue a message is.
type state string

const (
	stateReady    state = ""         // may be received
	stateDelayed  state = "delayed"  // not yet receivable for the first time
	stateInFlight state = "inflight" // leased to a consumer
)

// message is one message in one queue. Its queue's mutex guards it.
type message struct {
	*content

	seq           uint64 // in order of entering a queue, unique in the server
	sentAt        millis
	firstReceived millis // zero until received
	lastReceived  millis
	receives      int    // in all queues that it went through
	earlier       int    // those of the receives that were in other queues
	lease         uint64 // of the last receive; zero until received
	source        string // ARN of the queue that it was dead-lettered from

	state     state
	visibleAt millis        // when a delay or a lease ends; meaningless when ready
	element   *list.Element // in the ready list; nil unless ready
	heapIndex int           // in the deadline heap
}

// millis is a moment in milliseconds of Unix time, which is how messages'
// times are shown and stored.
type millis int64

func now() millis { return millis(time.Now().UnixMilli()) }

// after returns the moment that is so many seconds later.
func (m millis) after(seconds int) millis { return m + millis(seconds)*1000 }

// until returns how long it is from m to the later moment t.
func (m millis) until(t millis) time.Duration { return time.Duration(t-m) * time.Millisecond }
