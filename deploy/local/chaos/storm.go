package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// storm lets the customers in while the plan strikes, and returns when both have come to their end.
func (r *run) storm(ctx context.Context, plan []action) error {
	storming, end := context.WithCancel(ctx)
	defer end()
	var striking sync.WaitGroup
	striking.Go(func() { r.strike(ctx, storming, plan) })
	err := r.letIn(ctx)
	end()
	striking.Wait()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused := r.receiver.calm(); r.profile.RefuseWebhooks > 0 {
		r.tally.set("webhook refused", refused)
	}
	return errors.Join(r.striker.calm(r.profile), r.disarm(ctx))
}

// strike carries the plan out, and then others of the same length until storming ends.
func (r *run) strike(ctx, storming context.Context, plan []action) {
	r.striker.run(ctx, plan, r.Duration)
	for again := uint64(1); storming.Err() == nil; again++ {
		r.striker.run(storming, newPlan(r.Seed+again, r.profile, r.Duration), r.Duration)
	}
}

// letIn lets the customers in one by one, spread over the duration if there is room for them, and returns when all have
// left.
func (r *run) letIn(ctx context.Context) error {
	began := time.Now()
	kinds := r.queue()
	slots := make(chan struct{}, r.Clients)
	var inside sync.WaitGroup
	defer inside.Wait()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	for i, kind := range kinds {
		select {
		case <-progress.C:
			if _, err := fmt.Fprintf(r.Out, "  after %.0f s %d customers have come; %d uploads are underway\n", time.Since(began).Seconds(), i, r.underway()); err != nil {
				return err
			}
		default:
		}
		due := began.Add(r.Duration * time.Duration(i) / time.Duration(len(kinds)))
		if err := wait(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := r.waitForRoom(ctx); err != nil {
			return err
		}
		slots <- struct{}{}
		inside.Go(func() {
			defer func() { <-slots }()
			dice := rand.New(rand.NewPCG(r.Seed, uint64(1000+i))) //nolint:gosec // Reproducible on purpose.
			if err := r.customers.serve(ctx, kind, dice); err != nil {
				r.turnAway(err)
			}
		})
	}
	return nil
}

// underway is how many uploads S3 accepted whose outcome is not told yet.
func (r *run) underway() int {
	return len(r.ledger.those(func(receipt Receipt) bool {
		_, told := r.receiver.toldOf(receipt.ID)
		return !told && receipt.Accepted()
	}))
}

// waitForRoom waits until fewer uploads are underway than there may be.
func (r *run) waitForRoom(ctx context.Context) error {
	for since := time.Now(); time.Since(since) < roomFor; {
		if r.underway() < r.Underway {
			return nil
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) turnAway(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turnedAway = append(r.turnedAway, err.Error())
}

// queue is the customers in the order in which they come, the tardy ones first.
func (r *run) queue() []string {
	var crowd []string
	for _, kind := range sorted(r.profile.Crowd) {
		crowd = append(crowd, slices.Repeat([]string{kind}, r.profile.Crowd[kind])...)
	}
	dice := rand.New(rand.NewPCG(r.Seed, 3)) //nolint:gosec // Reproducible on purpose.
	next := deck(dice, crowd)
	kinds := make([]string, 0, r.Uploads)
	for range r.Uploads {
		kinds = append(kinds, next())
	}
	// Half and half, so that there is always somebody who waits, and nobody at the end.
	slices.SortStableFunc(kinds[len(kinds)/2:], func(a, b string) int { return lateness(a) - lateness(b) })
	return kinds
}

func lateness(kind string) int {
	if slices.Contains(tardy(), kind) {
		return 0
	}
	return 1
}
