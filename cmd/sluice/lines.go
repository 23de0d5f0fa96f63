package main

import (
	"io"
	"sync"
	"time"
)

const (
	// linesPause gathers lines under load. What comes after a rest is written at once.
	linesPause = 5 * time.Millisecond
	// maxLines is how many bytes may wait. Who writes more waits for room.
	maxLines = 256 << 10
)

// lines writes a log with few system calls: what comes shortly after a line is written in one go. Its writers do not
// wait for the disk, or for whoever reads the log, until maxLines are full. A process that is killed loses what it
// logged within the last linesPause.
type lines struct {
	to io.Writer

	mu      sync.Mutex
	changed sync.Cond // of what follows
	waiting []byte
	writing bool
	err     error // of the last write
}

func newLines(to io.Writer) *lines {
	l := &lines{to: to}
	l.changed.L = &l.mu
	return l
}

// Write implements io.Writer. It keeps a copy of p, and returns the error of an earlier write.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing && len(l.waiting) > 0 && len(l.waiting)+len(p) > maxLines {
		l.changed.Wait()
	}
	l.waiting = append(l.waiting, p...)
	if !l.writing {
		l.writing = true
		go l.write()
	}
	return len(p), l.err
}

// write runs until nothing came during a pause.
func (l *lines) write() {
	var spare []byte
	for {
		l.mu.Lock()
		some := l.waiting
		l.waiting = spare[:0]
		l.writing = len(some) > 0
		l.changed.Broadcast()
		l.mu.Unlock()
		if len(some) == 0 {
			return
		}
		_, err := l.to.Write(some)
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
		spare = some
		time.Sleep(linesPause)
	}
}

// Close waits until everything is written. It returns the error of the last write.
func (l *lines) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.changed.Wait()
	}
	return l.err
}
