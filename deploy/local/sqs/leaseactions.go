package sqs

import "context"

// leaseEntry names a lease to end or to change, alone or in a batch.
type leaseEntry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int // of changes only, seconds
}

type leaseInput struct {
	QueueURL string `json:"QueueUrl"`
	leaseEntry
}

type leaseBatchInput struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []leaseEntry
}

func (s *Server) deleteMessage(_ context.Context, _ call, in *leaseInput) (*empty, error) {
	return s.onLease(in, deleteLeased)
}

func (s *Server) deleteMessageBatch(_ context.Context, _ call, in *leaseBatchInput) (*batchOutput[batchSuccess], error) {
	return s.onLeases(in, deleteLeased)
}

func (s *Server) changeMessageVisibility(_ context.Context, _ call, in *leaseInput) (*empty, error) {
	return s.onLease(in, changeLeased)
}

func (s *Server) changeMessageVisibilityBatch(_ context.Context, _ call, in *leaseBatchInput) (*batchOutput[batchSuccess], error) {
	return s.onLeases(in, changeLeased)
}

// leaseChange does something to one leased message of a locked queue.
type leaseChange func(q *queue, r receipt, entry leaseEntry, at millis) (ticket, error)

func deleteLeased(q *queue, r receipt, _ leaseEntry, _ millis) (ticket, error) {
	return q.delete(r), nil
}

func changeLeased(q *queue, r receipt, entry leaseEntry, at millis) (ticket, error) {
	if entry.VisibilityTimeout == nil {
		return 0, errorf(codeMissingParameter, "the request must contain the parameter VisibilityTimeout")
	}
	timeout, err := within("VisibilityTimeout", entry.VisibilityTimeout, 0, maxVisibilityTimeout, 0)
	if err != nil {
		return 0, err
	}
	return q.changeVisibility(r, timeout, at)
}

// onLease makes one change.
func (s *Server) onLease(in *leaseInput, change leaseChange) (*empty, error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	var refused error
	changed, err := q.onLeases([]leaseEntry{in.leaseEntry}, change, func(_ leaseEntry, err error) { refused = err })
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	return &empty{}, s.commit(changed)
}

// onLeases makes the changes of a batch, each of which may fail alone.
func (s *Server) onLeases(in *leaseBatchInput, change leaseChange) (*batchOutput[batchSuccess], error) {
	q, err := s.queueAt(in.QueueURL)
	if err != nil {
		return nil, err
	}
	if err := checkBatch(idsOf(in.Entries, func(e leaseEntry) string { return e.ID })); err != nil {
		return nil, err
	}
	out := newBatchOutput[batchSuccess](len(in.Entries))
	changed, err := q.onLeases(in.Entries, change, func(entry leaseEntry, err error) {
		if err != nil {
			out.fail(entry.ID, err)
			return
		}
		out.Successful = append(out.Successful, batchSuccess{entry.ID})
	})
	if err != nil {
		return nil, err
	}
	return out, s.commit(changed)
}

// onLeases makes each change and reports how it went.
func (q *queue) onLeases(entries []leaseEntry, change leaseChange, report func(leaseEntry, error)) (ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return 0, errQueueDoesNotExist()
	}
	at := now()
	q.advance(at)
	var last ticket
	for _, entry := range entries {
		changed, err := q.onLease(entry, change, at)
		last = max(last, changed)
		report(entry, err)
	}
	return last, nil
}

func (q *queue) onLease(entry leaseEntry, change leaseChange, at millis) (ticket, error) {
	if entry.ReceiptHandle == "" {
		return 0, errorf(codeMissingParameter, "the request must contain the parameter ReceiptHandle")
	}
	r, err := parseReceipt(entry.ReceiptHandle, q.id)
	if err != nil {
		return 0, err
	}
	return change(q, r, entry, at)
}
