package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gateFresh is how long one answer serves all subscribers of a process.
const gateFresh = 2 * time.Second

// Gate joins checks into the gate of several subscribers: while one of them fails, nothing is received that could
// only fail, and no message wears out its attempts. The checks run at once, at most every two seconds.
func Gate(checks ...func(context.Context) error) func(context.Context) error {
	var mu sync.Mutex
	var asked time.Time
	var answer error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(asked) < gateFresh {
			return answer
		}
		errs := make([]error, len(checks))
		var wg sync.WaitGroup
		for i, check := range checks {
			wg.Go(func() { errs[i] = check(ctx) })
		}
		wg.Wait()
		answer, asked = errors.Join(errs...), time.Now()
		return answer
	}
}
