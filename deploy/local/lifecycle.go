package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// lifecycle stops what was started, the last first.
type lifecycle struct {
	logger *slog.Logger
	steps  []step
}

type step struct {
	name string
	stop func(context.Context) error
}

func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.steps = append(l.steps, step{name, stop})
}

// stop stops everything, whatever fails on the way, and returns all that failed.
func (l *lifecycle) stop(ctx context.Context) error {
	var failures []error
	for _, step := range slices.Backward(l.steps) {
		l.logger.Debug("stopping", "what", step.name)
		if err := step.stop(ctx); err != nil {
			failures = append(failures, fmt.Errorf("stop %s: %w", step.name, err))
		}
	}
	l.steps = nil
	return errors.Join(failures...)
}
