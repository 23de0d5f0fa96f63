package sagas

import "sync"

// together does for many at once what each asks for alone. What is asked while nothing is being done is done at once;
// what is asked meanwhile waits and is then done in one go.
type together[T any] struct {
	do   func([]T) // must say to each what has come of it
	most int       // in one go

	mu      sync.Mutex
	waiting []T
	going   bool
}

// ask returns at once.
func (t *together[T]) ask(one T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = append(t.waiting, one)
	if !t.going {
		t.going = true
		go t.work()
	}
}

// work runs while anything waits.
func (t *together[T]) work() {
	for some := t.take(); len(some) > 0; some = t.take() {
		t.do(some)
	}
}

// take returns what is to be done next. Nothing means that work ends.
func (t *together[T]) take() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	some := t.waiting[:min(len(t.waiting), t.most)]
	t.waiting = t.waiting[len(some):]
	t.going = len(some) > 0
	return some
}
