package sqs

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/aws/smithy-go"
)

// faultLog logs a fault that lasts once, not once a request: when it begins, when it turns into another, when it ends.
type faultLog struct {
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]string // by action
}

func (f *faultLog) note(action string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := faultKind(err)
	if f.last[action] == kind {
		return
	}
	if f.last == nil {
		f.last = map[string]string{}
	}
	f.last[action] = kind
	f.logger.Error("sqs requests fail", "action", action, "error", err)
}

func (f *faultLog) clear(action string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, failing := f.last[action]; failing {
		delete(f.last, action)
		f.logger.Info("sqs requests succeed again", "action", action)
	}
}

// faultKind returns what two errors of the same kind have in common: no request ids, no ports.
func faultKind(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// fail records that a request failed as a whole.
func (s *subscription) fail(action string, err error) {
	s.metrics.errors.WithLabelValues(s.topic, action).Inc()
	s.faults.note(action, err)
}
