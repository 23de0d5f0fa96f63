package sagas

import (
	"slices"
	"sync"
	"testing"
)

func TestWhatIsAskedMeanwhileIsDoneTogether(t *testing.T) {
	t.Parallel()
	const most, asked = 3, 8
	begun, goOn, done := make(chan []int), make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	united := together[int]{most: most, do: func(some []int) {
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
	united.ask(0) // is done at once
	got := <-begun
	for i := 1; i < asked; i++ {
		united.ask(i)
	}
	for _, want := range [][]int{{1, 2, 3}, {4, 5, 6}, {7}} {
		goOn <- struct{}{}
		some := <-begun
		if !slices.Equal(some, want) {
			t.Errorf("did %v together, want %v", some, want)
		}
		got = append(got, some...)
	}
	goOn <- struct{}{}
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
