package sqs

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flushed collects the batches of a batcher of integers, each of which counts as that many bytes.
type flushed struct {
	mu      sync.Mutex
	batches [][]int
}

func (f *flushed) flush(batch []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, batch)
}

func (f *flushed) batcher(workers int, linger time.Duration) *batcher[int] {
	return newBatcher(workers, linger, 0, func(i int) int { return i }, f.flush)
}

func TestBatchesKeepToTheLimits(t *testing.T) {
	const most = maxBatchBytes
	for name, test := range map[string]struct {
		groups [][]int
		want   []int // lengths of the batches
	}{
		"one":                {[][]int{{1}}, []int{1}},
		"a full batch":       {[][]int{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, []int{10}},
		"one too many":       {[][]int{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, []int{10, 1}},
		"groups joined":      {[][]int{{1, 1, 1}, {1, 1, 1, 1}, {1, 1}}, []int{9}},
		"a group split":      {[][]int{{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}}, []int{10, 2}},
		"all the bytes":      {[][]int{{most - 1, 1}}, []int{2}},
		"a byte too many":    {[][]int{{most - 1, 2}}, []int{1, 1}},
		"largest ones":       {[][]int{{most, most}, {most}}, []int{1, 1, 1}},
		"small after large":  {[][]int{{most, 1, 1}}, []int{1, 2}},
		"nothing was added":  {nil, nil},
		"a group of nothing": {[][]int{{}, {1}}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var f flushed
			b := f.batcher(1, time.Hour)
			for _, group := range test.groups {
				if !b.add(nil, group...) {
					t.Fatal("not taken")
				}
			}
			b.close()
			var lengths []int
			for _, batch := range f.batches {
				lengths = append(lengths, len(batch))
			}
			if !slices.Equal(lengths, test.want) {
				t.Errorf("batches of %v, want %v", lengths, test.want)
			}
			if all := slices.Concat(test.groups...); !slices.Equal(slices.Concat(f.batches...), all) {
				t.Errorf("batches %v are not what was added, %v", f.batches, all)
			}
		})
	}
}

func TestLoneItemIsFlushedAfterItsLinger(t *testing.T) {
	done := make(chan []int)
	b := newBatcher(1, time.Millisecond, time.Hour, func(int) int { return 0 }, func(batch []int) { done <- batch })
	b.add(nil, 7)
	if batch := <-done; !slices.Equal(batch, []int{7}) {
		t.Errorf("flushed %v", batch)
	}
	b.close()
}

// TestBusyBatcherFillsItsBatches: what follows a batch closely waits for company, and what fills a batch goes at once.
func TestBusyBatcherFillsItsBatches(t *testing.T) {
	const linger, spacing = time.Millisecond, time.Second
	synctest.Test(t, func(t *testing.T) {
		done := make(chan []int)
		b := newBatcher(1, linger, spacing, func(int) int { return 0 }, func(batch []int) { done <- batch })
		began := time.Now()
		expect := func(want []int, at time.Duration) {
			t.Helper()
			if batch := <-done; !slices.Equal(batch, want) || time.Since(began) != at {
				t.Errorf("flushed %v at %s, want %v at %s", batch, time.Since(began), want, at)
			}
		}
		b.add(nil, 1)
		expect([]int{1}, linger)
		b.add(nil, 2)
		time.Sleep(spacing / 2)
		b.add(nil, 3)
		expect([]int{2, 3}, linger+spacing)
		full := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		b.add(nil, full...)
		expect(full, linger+spacing)
		b.close()
	})
}

func TestWorkersFlushSideBySide(t *testing.T) {
	const workers = 3
	var together sync.WaitGroup
	together.Add(workers)
	b := newBatcher(workers, 0, 0, func(int) int { return 0 }, func([]int) {
		together.Done()
		together.Wait() // returns only when all workers are here
	})
	for range workers {
		b.add(nil, make([]int, maxBatchEntries)...)
	}
	b.close()
}

func TestAddGivesUp(t *testing.T) {
	hold, giveUp := make(chan struct{}), make(chan struct{})
	b := newBatcher(1, 0, 0, func(int) int { return 0 }, func([]int) { <-hold })
	b.add(nil, 1)
	close(giveUp)
	for b.add(giveUp, 2) { // until the only worker is busy with what it has
	}
	close(hold)
	b.close()
}
