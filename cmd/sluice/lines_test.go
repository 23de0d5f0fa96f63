package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slowWriter writes when it is let.
type slowWriter struct {
	bytes.Buffer
	begun, goOn chan struct{}
	writes      int
	err         error
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.begun <- struct{}{}
	<-w.goOn
	w.writes++
	_, _ = w.Buffer.Write(p) // never fails
	return len(p), w.err
}

func newSlowWriter() *slowWriter {
	return &slowWriter{begun: make(chan struct{}), goOn: make(chan struct{})}
}

func write(t *testing.T, l *lines, text string) {
	t.Helper()
	if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d, %v", n, len(text), err)
	}
}

func TestLinesOfTheSameTimeAreWrittenTogether(t *testing.T) {
	t.Parallel()
	w := newSlowWriter()
	l := newLines(w)
	write(t, l, "first\n")
	<-w.begun
	var want strings.Builder
	want.WriteString("first\n")
	for i := range 1000 { // nobody waits for the writer
		line := fmt.Sprintf("line %d\n", i)
		write(t, l, line)
		want.WriteString(line)
	}
	w.goOn <- struct{}{}
	<-w.begun
	w.goOn <- struct{}{}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if w.String() != want.String() || w.writes != 2 {
		t.Errorf("%d writes of %d bytes, want 2 of %d", w.writes, w.Len(), want.Len())
	}
	write(t, l, "after a rest\n")
	<-w.begun
	w.goOn <- struct{}{}
	if err := l.Close(); err != nil || !strings.HasSuffix(w.String(), "\nafter a rest\n") {
		t.Errorf("%v, %q", err, w.String()[w.Len()-20:])
	}
}

// A log that nobody reads does not take the memory.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	w := newSlowWriter()
	l := newLines(w)
	write(t, l, "first\n")
	<-w.begun
	half := strings.Repeat("x", maxLines/2)
	write(t, l, half)
	write(t, l, half)
	more := make(chan struct{})
	go func() {
		_, _ = l.Write([]byte("one too many")) // what became of it is seen below
		close(more)
	}()
	w.goOn <- struct{}{}
	<-w.begun
	<-more // there is room again
	w.goOn <- struct{}{}
	<-w.begun
	w.goOn <- struct{}{}
	if err := l.Close(); err != nil || w.Len() != len("first\n")+2*len(half)+len("one too many") {
		t.Errorf("%v, %d bytes", err, w.Len())
	}
	if w.writes != 3 {
		t.Errorf("%d writes: what is too much was taken before there was room", w.writes)
	}
}

func TestLinesTellOfAnErrorAndGoOn(t *testing.T) {
	t.Parallel()
	w := newSlowWriter()
	w.err = errors.New("disk full")
	l := newLines(w)
	write(t, l, "first\n")
	<-w.begun
	w.goOn <- struct{}{}
	if err := l.Close(); !errors.Is(err, w.err) {
		t.Errorf("closed with %v", err)
	}
}

func TestLinesFromManyAreWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLines(&out)
	var wg sync.WaitGroup
	for i := range 20 {
		line := strings.Repeat(string(rune('a'+i)), 99) + "\n"
		wg.Go(func() {
			for range 500 {
				write(t, l, line)
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(out.String()) {
		seen++
		if len(line) != 100 || strings.Count(line, line[:1]) != 99 {
			t.Fatalf("got %q", line)
		}
	}
	if seen != 20*500 {
		t.Errorf("%d lines", seen)
	}
}
