package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// openLog gives the stack its logger, which shows the operator what is at level or above and keeps all from Info on in
// a file, and what depends on a logger. The result closes the file.
func (s *stack) openLog(stderr io.Writer, level slog.Level) (func(context.Context) error, error) {
	path := filepath.Join(s.layout.logs(), "sluice-local.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.logger = slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}),
		slog.NewTextHandler(file, nil),
	))
	s.supervisor = &supervise.Supervisor{Logs: s.layout.logs(), Logger: s.logger}
	s.lifecycle = &lifecycle{logger: s.logger}
	return func(context.Context) error { return file.Close() }, nil
}
