package sqs

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// newTestJournal starts a journal on an empty file and returns its path.
func newTestJournal(tb testing.TB) (*journal, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "journal")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	j := newJournal()
	j.start(file, 0)
	return j, path
}

// TestCommitMeansWritten lets many goroutines append at once. What a commit has
// returned for must be in the file at that moment, each writer's in its order.
func TestCommitMeansWritten(t *testing.T) {
	j, path := newTestJournal(t)
	var writers sync.WaitGroup
	const writerCount, each = 8, 200
	for writer := range uint64(writerCount) {
		writers.Go(func() {
			for n := range uint64(each) {
				done := j.append(record{Delete: &deleteRecord{Queue: writer, Seq: n}})
				if err := j.commit(done); err != nil {
					t.Error(err)
					return
				}
				info, err := os.Stat(path)
				if err != nil || info.Size() < int64(done) {
					t.Errorf("the file has %d bytes after the commit of %d: %v", info.Size(), done, err)
					return
				}
			}
		})
	}
	writers.Wait()
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	next := make(map[uint64]uint64)
	good, err := readFile(path, func(r record) error {
		if r.Delete.Seq != next[r.Delete.Queue] {
			t.Errorf("writer %d: record %d follows record %d", r.Delete.Queue, r.Delete.Seq, next[r.Delete.Queue])
		}
		next[r.Delete.Queue] = r.Delete.Seq + 1
		return nil
	})
	if err != nil || good != j.size.Load() {
		t.Errorf("read %d of %d bytes: %v", good, j.size.Load(), err)
	}
	for writer := range uint64(writerCount) {
		if next[writer] != each {
			t.Errorf("writer %d has %d records, want %d", writer, next[writer], each)
		}
	}
}

// TestRotateLosesNothing changes the file under the writers.
func TestRotateLosesNothing(t *testing.T) {
	j, first := newTestJournal(t)
	second := first + "-2"
	j.append(record{Delete: &deleteRecord{Seq: 1}})
	err := j.rotate(func() (*os.File, error) { return os.Create(second) })
	if err != nil {
		t.Fatal(err)
	}
	j.append(record{Delete: &deleteRecord{Seq: 2}})
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	for seq, path := range map[uint64]string{1: first, 2: second} {
		var got []uint64
		if _, err := readFile(path, func(r record) error { got = append(got, r.Delete.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0] != seq {
			t.Errorf("%s has the records %v, want %d", path, got, seq)
		}
	}
	if err := j.commit(j.append(record{Delete: &deleteRecord{Seq: 3}})); err == nil {
		t.Error("committed to a closed journal")
	}
}

func TestDecodeRecord(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"purge":{"queue":1,"at":2}}`:                  true,
		`{"message":{"content":{"id":"a","body":"b"}}}`: true,
		``:                         false,
		`{}`:                       false,
		`{"purge":{},"delete":{}}`: false,
		`{"message":{}}`:           false,
		`{"message":{"content":{"id":"a","body":"b"},"state":"unknown"}}`: false,
		`{"purge":{"queue":-1}}`: false,
	} {
		if _, err := decodeRecord([]byte(payload)); (err == nil) != want {
			t.Errorf("%s: %v", payload, err)
		}
	}
}
