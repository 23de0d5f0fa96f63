package sqs

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// queueTable holds the queues. Its mutex comes before every queue's mutex; who
// creates, changes or deletes a queue holds it for writing.
type queueTable struct {
	mu     sync.RWMutex
	byName map[string]*queue
	byARN  map[string]*queue
	byID   map[uint64]*queue
	lastID uint64
}

func newQueueTable() *queueTable {
	return &queueTable{byName: make(map[string]*queue), byARN: make(map[string]*queue), byID: make(map[uint64]*queue)}
}

func (t *queueTable) add(q *queue) {
	t.byName[q.name] = q
	t.byARN[q.arn] = q
	t.byID[q.id] = q
	t.lastID = max(t.lastID, q.id)
}

func (t *queueTable) drop(q *queue) {
	delete(t.byName, q.name)
	delete(t.byARN, q.arn)
	delete(t.byID, q.id)
}

// named returns the queue of a name, or nil.
func (t *queueTable) named(name string) *queue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// inOrder returns the queues in the order in which their mutexes are taken.
// The caller holds the table's mutex.
func (t *queueTable) inOrder() []*queue {
	queues := make([]*queue, 0, len(t.byID))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		queues = append(queues, t.byID[id])
	}
	return queues
}

func queueRecordOf(q *queue) *queueRecord {
	return &queueRecord{
		ID: q.id, Name: q.name, Values: q.settings.Load().values, Tags: q.tags,
		Created: q.created, Modified: q.modified, Purged: q.purgedAt,
	}
}

// apply repeats one change that was recorded, at start-up.
func (s *Server) apply(r record) error {
	switch {
	case r.Counters != nil:
		s.queues.lastID = max(s.queues.lastID, r.Counters.Queue)
		s.noteSeq(r.Counters.Seq)
		return nil
	case r.Queue != nil:
		return s.applyQueue(r.Queue)
	case r.DropQueue != nil:
		q, err := s.recorded(r.DropQueue.ID)
		if err != nil {
			return err
		}
		s.queues.drop(q)
		return nil
	case r.Purge != nil:
		q, err := s.recorded(r.Purge.Queue)
		if err != nil {
			return err
		}
		q.clear()
		q.purgedAt = r.Purge.At
		return nil
	case r.Message != nil:
		q, err := s.recorded(r.Message.Queue)
		if err != nil {
			return err
		}
		return s.applyInsert(q, r.Message)
	case r.Task != nil:
		s.tasks.restore(*r.Task)
		return nil
	default:
		return s.applyToMessage(r)
	}
}

func (s *Server) applyInsert(q *queue, r *messageRecord) error {
	if q.messages[r.Seq] != nil {
		return fmt.Errorf("queue %s has message %d already", q.name, r.Seq)
	}
	s.noteSeq(r.Seq)
	q.insert(r.message())
	return nil
}

func (s *Server) applyQueue(r *queueRecord) error {
	set, err := newSettings(r.Values)
	if err != nil {
		return fmt.Errorf("queue %s: %w", r.Name, err)
	}
	q := s.queues.byID[r.ID]
	if q == nil {
		q = newQueue(r.ID, r.Name, s.arn(r.Name), r.Created, set, s.journal)
		s.queues.add(q)
	}
	q.setSettings(set)
	q.tags = r.Tags
	q.modified, q.purgedAt = r.Modified, r.Purged
	return nil
}

// applyToMessage repeats a change to a message that is in a queue.
func (s *Server) applyToMessage(r record) error {
	switch {
	case r.Lease != nil:
		q, m, err := s.recordedMessage(r.Lease.Queue, r.Lease.Seq)
		if err != nil {
			return err
		}
		q.lease(m, *r.Lease)
	case r.Visibility != nil:
		q, m, err := s.recordedMessage(r.Visibility.Queue, r.Visibility.Seq)
		if err != nil {
			return err
		}
		q.hide(m, r.Visibility.Until)
	case r.Delete != nil:
		q, m, err := s.recordedMessage(r.Delete.Queue, r.Delete.Seq)
		if err != nil {
			return err
		}
		q.remove(m)
	case r.Move != nil:
		from, m, err := s.recordedMessage(r.Move.From, r.Move.Old)
		if err != nil {
			return err
		}
		to, err := s.recorded(r.Move.To)
		if err != nil {
			return err
		}
		if to.messages[r.Move.Seq] != nil {
			return fmt.Errorf("queue %s has message %d already", to.name, r.Move.Seq)
		}
		s.noteSeq(r.Move.Seq)
		from.move(to, m, *r.Move)
		s.tasks.countMove(r.Move.Task)
	}
	return nil
}

func (s *Server) recorded(queue uint64) (*queue, error) {
	q := s.queues.byID[queue]
	if q == nil {
		return nil, fmt.Errorf("queue %d does not exist", queue)
	}
	return q, nil
}

func (s *Server) recordedMessage(queue, seq uint64) (*queue, *message, error) {
	q, err := s.recorded(queue)
	if err != nil {
		return nil, nil, err
	}
	m := q.messages[seq]
	if m == nil {
		return nil, nil, fmt.Errorf("queue %s has no message %d", q.name, seq)
	}
	return q, m, nil
}

// capture stops every change for as long as it takes to note the state, and
// switches to a new journal that goes on from there.
func (s *Server) capture() ([]record, error) {
	s.queues.mu.Lock()
	defer s.queues.mu.Unlock()
	queues := s.queues.inOrder()
	for _, q := range queues {
		q.mu.Lock()
		defer q.mu.Unlock()
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if err := s.journal.rotate(s.dir.createNext); err != nil {
		return nil, err
	}
	records := []record{{Counters: &countersRecord{Queue: s.queues.lastID, Seq: s.lastSeq.Load()}}}
	for _, q := range queues {
		records = append(records, record{Queue: queueRecordOf(q)})
		for element := q.ready.Front(); element != nil; element = element.Next() {
			m, _ := element.Value.(*message)
			records = append(records, record{Message: messageRecordOf(q, m)})
		}
		for _, m := range q.deadlines.messages {
			if m.state != stateReady {
				records = append(records, record{Message: messageRecordOf(q, m)})
			}
		}
	}
	return append(records, s.tasks.records()...), nil
}

// compact replaces the journal so far by a snapshot.
func (s *Server) compact() error {
	records, err := s.capture()
	if err != nil {
		return err
	}
	size, err := s.dir.writeSnapshot(records)
	if err != nil {
		return err
	}
	s.compactAt.Store(max(s.config.CompactAt, size))
	s.logger.Debug("wrote a snapshot", "records", len(records), "bytes", size)
	return nil
}
