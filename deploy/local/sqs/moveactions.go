package sqs

import (
	"context"

	"github.com/google/uuid"
)

const (
	maxMoveRate    = 500 // messages per second
	maxTasksListed = 10
)

type startMessageMoveTaskInput struct {
	SourceARN                    string `json:"SourceArn"`
	DestinationARN               string `json:"DestinationArn"`
	MaxNumberOfMessagesPerSecond *int
}

type taskHandle struct {
	TaskHandle string
}

func (s *Server) startMessageMoveTask(_ context.Context, _ call, in *startMessageMoveTaskInput) (*taskHandle, error) {
	if in.SourceARN == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter SourceArn")
	}
	rate, err := within("MaxNumberOfMessagesPerSecond", in.MaxNumberOfMessagesPerSecond, 1, maxMoveRate, 0)
	if err != nil {
		return nil, err
	}
	source := s.queueOf(in.SourceARN)
	switch {
	case source == nil:
		return nil, errorf(codeResourceNotFound, "the resource that you specified for the SourceArn parameter doesn't exist")
	case len(s.sourcesOf(source)) == 0:
		return nil, errorf(codeInvalidParameterValue, "the source queue must be configured as a dead-letter queue")
	case in.DestinationARN == in.SourceARN:
		return nil, errorf(codeInvalidParameterValue, "the source and the destination cannot be the same queue")
	case in.DestinationARN != "" && s.queueOf(in.DestinationARN) == nil:
		return nil, errorf(codeResourceNotFound, "the resource that you specified for the DestinationArn parameter doesn't exist")
	}
	task := taskRecord{
		Handle: uuid.NewString(), Source: in.SourceARN, Destination: in.DestinationARN, Rate: rate,
		Started: now(), UpTo: s.lastSeq.Load(), ToMove: source.countReady(), Status: taskRunning,
	}
	started, err := s.tasks.start(task)
	if err != nil {
		return nil, err
	}
	if err := s.commit(started); err != nil {
		return nil, err
	}
	s.runMoveTask(task)
	return &taskHandle{task.Handle}, nil
}

func (q *queue) countReady() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advance(now())
	return int64(q.ready.Len())
}

type listMessageMoveTasksInput struct {
	SourceARN  string `json:"SourceArn"`
	MaxResults *int
}

type listMessageMoveTasksOutput struct {
	Results []moveTaskEntry
}

type moveTaskEntry struct {
	ApproximateNumberOfMessagesMoved  int64
	ApproximateNumberOfMessagesToMove int64
	DestinationARN                    string `json:"DestinationArn,omitempty"`
	FailureReason                     string `json:"FailureReason,omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:"MaxNumberOfMessagesPerSecond,omitempty"`
	SourceARN                         string `json:"SourceArn"`
	StartedTimestamp                  int64
	Status                            string
	TaskHandle                        string `json:"TaskHandle,omitempty"`
}

func (s *Server) listMessageMoveTasks(_ context.Context, _ call, in *listMessageMoveTasksInput) (*listMessageMoveTasksOutput, error) {
	if in.SourceARN == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter SourceArn")
	}
	limit, err := within("MaxResults", in.MaxResults, 1, maxTasksListed, 1)
	if err != nil {
		return nil, err
	}
	if s.queueOf(in.SourceARN) == nil {
		return nil, errorf(codeResourceNotFound, "the resource that you specified for the SourceArn parameter doesn't exist")
	}
	out := &listMessageMoveTasksOutput{Results: []moveTaskEntry{}}
	for _, task := range s.tasks.recent(in.SourceARN, limit) {
		entry := moveTaskEntry{
			ApproximateNumberOfMessagesMoved: task.Moved, ApproximateNumberOfMessagesToMove: task.ToMove,
			DestinationARN: task.Destination, SourceARN: task.Source, FailureReason: task.Failure,
			MaxNumberOfMessagesPerSecond: task.Rate, StartedTimestamp: int64(task.Started), Status: task.Status,
		}
		if task.Status == taskRunning {
			entry.TaskHandle = task.Handle
		}
		out.Results = append(out.Results, entry)
	}
	return out, nil
}

type cancelMessageMoveTaskOutput struct {
	ApproximateNumberOfMessagesMoved int64
}

func (s *Server) cancelMessageMoveTask(_ context.Context, _ call, in *taskHandle) (*cancelMessageMoveTaskOutput, error) {
	if in.TaskHandle == "" {
		return nil, errorf(codeMissingParameter, "the request must contain the parameter TaskHandle")
	}
	out := &cancelMessageMoveTaskOutput{}
	changed, err := s.tasks.update(in.TaskHandle, func(t *taskRecord) error {
		if t.Status != taskRunning {
			return errorf(codeUnsupportedOperation, "only a running task can be cancelled; this one is %s", t.Status)
		}
		t.Status = taskCancelling
		out.ApproximateNumberOfMessagesMoved = t.Moved
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, s.commit(changed)
}
