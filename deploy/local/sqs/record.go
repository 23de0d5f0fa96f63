package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
)

// record is one entry of the journal: exactly one of its fields is set. A
// snapshot is written in the same records.
type record struct {
	Counters   *countersRecord   `json:"counters,omitempty"`
	Queue      *queueRecord      `json:"queue,omitempty"`
	DropQueue  *dropQueueRecord  `json:"dropQueue,omitempty"`
	Purge      *purgeRecord      `json:"purge,omitempty"`
	Message    *messageRecord    `json:"message,omitempty"`
	Lease      *leaseRecord      `json:"lease,omitempty"`
	Visibility *visibilityRecord `json:"visibility,omitempty"`
	Delete     *deleteRecord     `json:"delete,omitempty"`
	Move       *moveRecord       `json:"move,omitempty"`
	Task       *taskRecord       `json:"task,omitempty"`
}

// countersRecord keeps numbers from being given out again after a snapshot.
type countersRecord struct {
	Queue uint64 `json:"queue"`
	Seq   uint64 `json:"seq"`
}

// queueRecord creates a queue, or replaces what can be set of it.
type queueRecord struct {
	ID       uint64            `json:"id"`
	Name     string            `json:"name"`
	Values   map[string]string `json:"values"`
	Tags     map[string]string `json:"tags,omitempty"`
	Created  millis            `json:"created"`
	Modified millis            `json:"modified"`
	Purged   millis            `json:"purged,omitempty"`
}

// dropQueueRecord deletes a queue with its messages.
type dropQueueRecord struct {
	ID uint64 `json:"id"`
}

// purgeRecord deletes the messages of a queue.
type purgeRecord struct {
	Queue uint64 `json:"queue"`
	At    millis `json:"at"`
}

// messageRecord puts a message into a queue, just sent or, in a snapshot, in
// any state.
type messageRecord struct {
	Content       *content `json:"content"`
	Queue         uint64   `json:"queue"`
	Seq           uint64   `json:"seq"`
	SentAt        millis   `json:"sentAt"`
	State         state    `json:"state,omitempty"`
	VisibleAt     millis   `json:"visibleAt,omitempty"`
	FirstReceived millis   `json:"firstReceived,omitempty"`
	LastReceived  millis   `json:"lastReceived,omitempty"`
	Receives      int      `json:"receives,omitempty"`
	Earlier       int      `json:"earlier,omitempty"`
	Lease         uint64   `json:"lease,omitempty"`
	Source        string   `json:"source,omitempty"`
}

// leaseRecord hands a message out to a consumer.
type leaseRecord struct {
	Queue uint64 `json:"queue"`
	Seq   uint64 `json:"seq"`
	Lease uint64 `json:"lease"`
	At    millis `json:"at"`
	Until millis `json:"until"`
}

// visibilityRecord changes when a lease ends.
type visibilityRecord struct {
	Queue uint64 `json:"queue"`
	Seq   uint64 `json:"seq"`
	Until millis `json:"until"`
}

// deleteRecord removes a message.
type deleteRecord struct {
	Queue uint64 `json:"queue"`
	Seq   uint64 `json:"seq"`
}

// moveRecord takes a message from one queue to another, where it gets a new
// sequence number. A message move task also gives it a new id and a new time
// of sending; a redrive to a dead-letter queue keeps them.
type moveRecord struct {
	From   uint64 `json:"from"`
	Old    uint64 `json:"old"`
	To     uint64 `json:"to"`
	Seq    uint64 `json:"seq"`
	Source string `json:"source,omitempty"`
	ID     string `json:"id,omitempty"`
	SentAt millis `json:"sentAt,omitempty"`
	Task   string `json:"task,omitempty"`
}

func messageRecordOf(q *queue, m *message) *messageRecord {
	return &messageRecord{
		Content: m.content, Queue: q.id, Seq: m.seq, SentAt: m.sentAt, State: m.state, VisibleAt: m.visibleAt,
		FirstReceived: m.firstReceived, LastReceived: m.lastReceived,
		Receives: m.receives, Earlier: m.earlier, Lease: m.lease, Source: m.source,
	}
}

func (r *messageRecord) message() *message {
	return &message{
		content: r.Content, seq: r.Seq, sentAt: r.SentAt, state: r.State, visibleAt: r.VisibleAt,
		firstReceived: r.FirstReceived, lastReceived: r.LastReceived,
		receives: r.Receives, earlier: r.Earlier, lease: r.Lease, source: r.Source,
	}
}

// decodeRecord reads a record's JSON.
func decodeRecord(payload []byte) (record, error) {
	var r record
	if err := json.Unmarshal(payload, &r); err != nil {
		return record{}, fmt.Errorf("decode record: %w", err)
	}
	return r, r.check()
}

// check tells what is missing in a record that was read.
func (r *record) check() error {
	set := 0
	for _, present := range []bool{
		r.Counters != nil, r.Queue != nil, r.DropQueue != nil, r.Purge != nil, r.Message != nil,
		r.Lease != nil, r.Visibility != nil, r.Delete != nil, r.Move != nil, r.Task != nil,
	} {
		if present {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("a record must say one thing, not %d", set)
	}
	if m := r.Message; m != nil {
		if m.Content == nil {
			return errors.New("a message record must have the content")
		}
		if m.State != stateReady && m.State != stateDelayed && m.State != stateInFlight {
			return fmt.Errorf("a message cannot be in state %q", m.State)
		}
	}
	return nil
}
