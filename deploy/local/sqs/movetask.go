package sqs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxTasksKept is how many move tasks of one queue are remembered.
const maxTasksKept = 10

// Statuses of a message move task.
const (
	taskRunning    = "RUNNING"
	taskCompleted  = "COMPLETED"
	taskCancelling = "CANCELLING"
	taskCancelled  = "CANCELLED"
	taskFailed     = "FAILED"
)

// taskRecord is a message move task, as it is kept and recorded.
type taskRecord struct {
	Handle      string `json:"handle"`
	Source      string `json:"source"`                // ARN
	Destination string `json:"destination,omitempty"` // ARN; empty for the queues that the messages came from
	Rate        int    `json:"rate,omitempty"`        // messages per second; zero for as fast as possible
	Started     millis `json:"started"`
	// UpTo is the last sequence number that the task moves, so that a message
	// that comes back to the source meanwhile is left there.
	UpTo    uint64 `json:"upTo"`
	ToMove  int64  `json:"toMove"`
	Moved   int64  `json:"moved"`
	Status  string `json:"status"`
	Failure string `json:"failure,omitempty"`
}

// moveTasks are the message move tasks. Its mutex comes after those of queues.
type moveTasks struct {
	journal *journal

	mu    sync.Mutex
	tasks []*taskRecord // oldest first
}

func newMoveTasks(j *journal) *moveTasks { return &moveTasks{journal: j} }

// find returns the task of a handle, or nil. The caller holds the mutex.
func (t *moveTasks) find(handle string) *taskRecord {
	for _, task := range t.tasks {
		if task.Handle == handle {
			return task
		}
	}
	return nil
}

// start adds a task, unless one runs on the same source.
func (t *moveTasks) start(task taskRecord) (ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, other := range t.tasks {
		if other.Source == task.Source && other.active() {
			return 0, errorf(codeUnsupportedOperation, "there is already a task running; only one active task is allowed for a source queue at a given time")
		}
	}
	t.keep(&task)
	return t.journal.append(record{Task: &task}), nil
}

func (t *taskRecord) active() bool { return t.Status == taskRunning || t.Status == taskCancelling }

// keep adds a task and forgets the oldest of its source beyond the limit.
func (t *moveTasks) keep(task *taskRecord) {
	t.tasks = append(t.tasks, task)
	kept := 0
	for i := len(t.tasks) - 1; i >= 0; i-- {
		if t.tasks[i].Source != task.Source {
			continue
		}
		if kept++; kept > maxTasksKept {
			t.tasks = append(t.tasks[:i], t.tasks[i+1:]...)
		}
	}
}

// restore takes over a recorded task.
func (t *moveTasks) restore(task taskRecord) {
	if known := t.find(task.Handle); known != nil {
		*known = task
		return
	}
	t.keep(&task)
}

// update changes a task and records it.
func (t *moveTasks) update(handle string, change func(*taskRecord) error) (ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	task := t.find(handle)
	if task == nil {
		return 0, errorf(codeResourceNotFound, "the task does not exist")
	}
	if err := change(task); err != nil {
		return 0, err
	}
	return t.journal.append(record{Task: task}), nil
}

// countMove notes that a task has moved a message; the move's own record
// stands for it in the journal.
func (t *moveTasks) countMove(handle string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if task := t.find(handle); task != nil {
		task.Moved++
	}
}

// recent returns copies of the newest tasks of a source, newest first.
func (t *moveTasks) recent(source string, limit int) []taskRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	var tasks []taskRecord
	for i := len(t.tasks) - 1; i >= 0 && len(tasks) < limit; i-- {
		if t.tasks[i].Source == source {
			tasks = append(tasks, *t.tasks[i])
		}
	}
	return tasks
}

// records returns the tasks for a snapshot. The caller holds the mutex.
func (t *moveTasks) records() []record {
	records := make([]record, len(t.tasks))
	for i, task := range t.tasks {
		noted := *task
		records[i] = record{Task: &noted}
	}
	return records
}

// resumeMoveTasks goes on with what was running when the server last ended.
func (s *Server) resumeMoveTasks() {
	for _, task := range s.tasks.tasks {
		if task.active() {
			s.runMoveTask(*task)
		}
	}
}

// runMoveTask moves messages in the background until none is left, the task is
// cancelled or the server closes.
func (s *Server) runMoveTask(task taskRecord) {
	s.background.run(func() {
		failure := s.moveMessages(s.closing, task)
		if s.closing.Err() != nil {
			return // the task goes on at the next start
		}
		ended, err := s.tasks.update(task.Handle, func(t *taskRecord) error {
			switch {
			case t.Status == taskCancelling:
				t.Status = taskCancelled
			case failure != nil:
				t.Status, t.Failure = taskFailed, failure.Error()
			default:
				t.Status = taskCompleted
			}
			return nil
		})
		if err == nil {
			err = s.commit(ended)
		}
		if err != nil {
			s.logger.Error("could not record the end of a message move task", "task", task.Handle, "error", err)
		}
	})
}

// Reasons that a task fails for, as ListMessageMoveTasks reports them.
var (
	errTaskNoSource      = errors.New("AWS.SimpleQueueService.NonExistentQueue")
	errTaskUnknownOrigin = errors.New("CouldNotDetermineMessageSource")
)

// moveMessages moves every ready message that the source had at the task's
// start, one at a time, at the task's rate.
func (s *Server) moveMessages(ctx context.Context, task taskRecord) error {
	var due <-chan time.Time
	if task.Rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(task.Rate))
		defer ticker.Stop()
		due = ticker.C
	}
	for ctx.Err() == nil && s.taskStatus(task.Handle) == taskRunning {
		more, err := s.moveNext(task)
		if err != nil || !more {
			return err
		}
		if due == nil {
			continue
		}
		select {
		case <-due:
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *Server) taskStatus(handle string) string {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if task := s.tasks.find(handle); task != nil {
		return task.Status
	}
	return ""
}

// moveNext moves one message. It returns false when there is none to move.
func (s *Server) moveNext(task taskRecord) (bool, error) {
	source := s.queueOf(task.Source)
	if source == nil {
		return false, errTaskNoSource
	}
	seq, origin := source.oldest(task.UpTo)
	if seq == 0 {
		return false, nil
	}
	if task.Destination != "" {
		origin = task.Destination
	}
	if origin == "" {
		return false, errTaskUnknownOrigin
	}
	destination := s.queueOf(origin)
	if destination == nil {
		return false, errTaskNoSource
	}
	moved, err := s.moveMessage(source, destination, seq, task.Handle)
	if err != nil {
		return false, err
	}
	return true, s.commit(moved)
}

// oldest returns the sequence number and the origin's ARN of the first ready
// message that is not newer than upTo, or zero.
func (q *queue) oldest(upTo uint64) (seq uint64, origin string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(now())
	for element := q.ready.Front(); element != nil; element = element.Next() {
		if m, _ := element.Value.(*message); m.seq <= upTo {
			return m.seq, m.source
		}
	}
	return 0, ""
}

// moveMessage moves a message that is still ready, as a new one.
func (s *Server) moveMessage(source, destination *queue, seq uint64, handle string) (ticket, error) {
	defer lockBoth(source, destination)()
	if source.deleted || destination.deleted {
		return 0, errTaskNoSource
	}
	m := source.messages[seq]
	if m == nil || m.state != stateReady {
		return s.journal.tail(), nil
	}
	at := now()
	moved := source.moveTo(destination, m, moveRecord{Seq: s.nextSeq(), ID: newMessageID(), SentAt: at, Task: handle}, at)
	s.tasks.countMove(handle)
	return moved, nil
}
