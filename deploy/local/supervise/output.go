package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	tailLines   = 15
	longestLine = 64 << 10
	// rotateAt bounds a log file, in bytes; one older file is kept beside it.
	rotateAt = 32 << 20
)

// output is where the runs of one service write: its log file, and the logger for the lines that matter.
type output struct {
	path      string
	important func(line string) bool
	logger    *slog.Logger
	readers   sync.WaitGroup

	mu     sync.Mutex
	file   *os.File
	size   int64
	recent []string
	open   map[*os.File]struct{}
}

func openOutput(dir string, spec Spec, logger *slog.Logger) (*output, error) {
	o := &output{path: filepath.Join(dir, spec.Name+".log"), important: spec.Important, logger: logger, open: map[*os.File]struct{}{}}
	if err := o.openFile(); err != nil {
		return nil, fmt.Errorf("log of %s: %w", spec.Name, err)
	}
	return o, nil
}

func (o *output) openFile() error {
	file, err := os.OpenFile(o.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	o.file, o.size = file, info.Size()
	return nil
}

// pipe returns the end that a program writes to. A program's children may keep it open after the program has died,
// so nobody waits for its end before a restart.
func (o *output) pipe() (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	o.open[read] = struct{}{}
	o.mu.Unlock()
	o.readers.Go(func() {
		o.consume(read)
		o.mu.Lock()
		delete(o.open, read)
		o.mu.Unlock()
		_ = read.Close()
	})
	return write, nil
}

// drain waits until all that ended programs wrote is recorded, and a second at most for what children of theirs that
// are still alive may write.
func (o *output) drain() {
	o.mu.Lock()
	for read := range o.open {
		_ = read.SetReadDeadline(time.Now().Add(time.Second))
	}
	o.mu.Unlock()
	o.readers.Wait()
}

func (o *output) consume(read io.Reader) {
	lines := bufio.NewReaderSize(read, longestLine)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		o.record(string(line))
	}
}

func (o *output) record(line string) {
	if o.important != nil && o.important(line) {
		o.logger.Warn(line)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recent = append(o.recent, line)
	if len(o.recent) > tailLines {
		o.recent = o.recent[1:]
	}
	if o.size > rotateAt {
		o.rotate()
	}
	written, err := fmt.Fprintln(o.file, line)
	if err != nil {
		o.logger.Error("log line lost", "error", err)
	}
	o.size += int64(written)
}

func (o *output) rotate() {
	if err := errors.Join(os.Rename(o.path, o.path+".1"), o.file.Close(), o.openFile()); err != nil {
		o.logger.Error("log file not rotated", "error", err)
	}
}

// tail is the last lines written, indented for an error message, or empty.
func (o *output) tail() string {
	o.drain()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) == 0 {
		return ""
	}
	return "\n    " + strings.Join(o.recent, "\n    ") + "\n    (all of it: " + o.path + ")"
}

func (o *output) close() {
	o.drain()
	if err := o.file.Close(); err != nil {
		o.logger.Error("log file not closed", "error", err)
	}
}
