package sagas

import (
	"slices"
	"sync"
	"testing"
)

func TestWhatIsAskedMeanwhileIsDoneTogether(t *testing.T) {
	t.Parallel()
	const most, goes, asked = 3, 2, 9
	begun, goOn, done := make(chan []int), make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	united := together[int]{most: most, goes: goes, do: func(some []int) {
		begun <- slices.Clone(some)
		<-goOn
		for range some {
			done <- struct{}{}
		}
	}}
	wg.Go(func() {
		for range asked {
			<-done
		}
	})
	var got []int
	for i := range goes { // each of these is done at once, and keeps one at work
		united.ask(i)
		got = append(got, <-begun...)
	}
	for i := goes; i < asked; i++ {
		united.ask(i)
	}
	for _, want := range [][]int{{2, 3, 4}, {5, 6, 7}, {8}} {
		goOn <- struct{}{}
		some := <-begun
		if !slices.Equal(some, want) {
			t.Errorf("did %v together, want %v", some, want)
		}
		got = append(got, some...)
	}
	for range goes {
		goOn <- struct{}{}
	}
	wg.Wait()
	slices.Sort(got)
	if len(got) != asked || len(slices.Compact(got)) != asked {
		t.Errorf("did %v", got)
	}
	united.ask(asked) // after a rest
	if some := <-begun; !slices.Equal(some, []int{asked}) {
		t.Errorf("did %v", some)
	}
	goOn <- struct{}{}
	<-done
}
