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

// forever is the patience that only a full batch and the end can end.
var forever = patience{lone: time.Hour, quiet: time.Hour, most: time.Hour}

func TestBatchesKeepToTheLimits(t *testing.T) {
	const most = maxBatchBytes
	for name, test := range map[string]struct {
		items []int
		want  []int // lengths of the batches
	}{
		"one":               {[]int{1}, []int{1}},
		"a full batch":      {[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []int{10}},
		"one too many":      {[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []int{10, 1}},
		"all the bytes":     {[]int{most - 1, 1}, []int{2}},
		"a byte too many":   {[]int{most - 1, 2}, []int{1, 1}},
		"largest ones":      {[]int{most, most, most}, []int{1, 1, 1}},
		"small after large": {[]int{most, 1, 1}, []int{1, 2}},
		"nothing was added": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var f flushed
			b := newBatcher(1, forever, func(i int) int { return i }, f.flush)
			for _, item := range test.items {
				if len(b.add(nil, item)) > 0 {
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
			if !slices.Equal(slices.Concat(f.batches...), test.items) {
				t.Errorf("batches %v are not what was added, %v", f.batches, test.items)
			}
		})
	}
}

// TestBatchesWaitForCompany: a lone item hardly waits, those that follow each other closely do until no more come or
// for as long as the first of them can stand, and what fills a batch goes at once.
func TestBatchesWaitForCompany(t *testing.T) {
	p := patience{lone: 2 * time.Millisecond, quiet: 20 * time.Millisecond, most: 100 * time.Millisecond}
	for name, test := range map[string]struct {
		after []time.Duration // when each item comes, counted from the one before
		want  [][]int
		at    time.Duration // when the last batch goes, counted from the last item
	}{
		"after a rest":          {[]time.Duration{time.Second}, [][]int{{0}}, p.lone},
		"two after a rest":      {[]time.Duration{time.Second, p.lone / 2}, [][]int{{0, 1}}, p.lone / 2},
		"rest after rest":       {[]time.Duration{time.Second, time.Second}, [][]int{{0}, {1}}, p.lone},
		"closely":               {[]time.Duration{time.Second, p.quiet / 2, p.quiet / 2}, [][]int{{0}, {1, 2}}, p.quiet},
		"closely for too long":  {[]time.Duration{time.Second, 15e6, 15e6, 15e6, 15e6, 15e6, 15e6, 15e6}, [][]int{{0}, {1, 2, 3, 4, 5, 6, 7}}, 10 * time.Millisecond},
		"many at the same time": {make([]time.Duration, 10), [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f flushed
				var last time.Time
				b := newBatcher(1, p, weightless[int], func(batch []int) {
					f.flush(batch)
					last = time.Now()
				})
				for item, after := range test.after {
					time.Sleep(after)
					b.add(nil, item)
				}
				began := time.Now()
				time.Sleep(time.Minute)
				b.close()
				if !slices.EqualFunc(f.batches, test.want, slices.Equal) || last.Sub(began) != test.at {
					t.Errorf("flushed %v, the last after %s; want %v and %s", f.batches, last.Sub(began), test.want, test.at)
				}
			})
		})
	}
}

func TestWorkersFlushSideBySide(t *testing.T) {
	const workers = 3
	var together sync.WaitGroup
	together.Add(workers)
	b := newBatcher(workers, forever, weightless[int], func([]int) {
		together.Done()
		together.Wait() // returns only when all workers are here
	})
	for item := range workers * maxBatchEntries {
		b.add(nil, item)
	}
	b.close()
}

func TestAddGivesUp(t *testing.T) {
	hold, giveUp := make(chan struct{}), make(chan struct{})
	b := newBatcher(1, patience{}, weightless[int], func([]int) { <-hold })
	b.add(nil, 1)
	close(giveUp)
	for len(b.add(giveUp, 2)) == 0 { // until the only worker is busy with what it has
	}
	close(hold)
	b.close()
}
