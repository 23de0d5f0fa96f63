package s3

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// defaultMaxDelay bounds delays when a FaultPlan does not say.
const defaultMaxDelay = time.Second

// FaultPlan says how notifications are disturbed. S3 promises delivery at
// least once and in no order, so all but Drop is what a client must expect;
// Drop stands for a notification that is late by hours. Probabilities are
// between 0 and 1 and are drawn for each event and notification.
type FaultPlan struct {
	// Drop is the probability that an event is never delivered.
	Drop float64
	// Duplicate is the probability that an event is delivered twice.
	Duplicate float64
	// Delay is the probability that a delivery is late, by a random time up
	// to MaxDelay.
	Delay float64
	// Reorder is the probability that a delivery waits until a later one
	// has been made, for MaxDelay at most.
	Reorder float64
	// MaxDelay is one second when zero.
	MaxDelay time.Duration
}

// Faults draws the fate of every event from a FaultPlan, which may be changed
// at any time. The same seed and sequence of events give the same fates.
type Faults struct {
	mu     sync.Mutex
	plan   FaultPlan
	rand   *rand.Rand
	counts FaultCounts
}

// FaultCounts says how often each fault has struck, in deliveries; Events is
// how many events there were.
type FaultCounts struct {
	Events, Dropped, Duplicated, Delayed, Reordered int
}

// Counts returns what has happened so far.
func (f *Faults) Counts() FaultCounts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// NewFaults returns Faults that disturb nothing until Set is called.
func NewFaults(seed uint64) *Faults {
	return &Faults{
		plan: FaultPlan{MaxDelay: defaultMaxDelay},
		rand: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // reproducible on purpose, nothing secret
	}
}

// Set replaces the plan. Events that are already late stay so. It refuses a
// plan with a probability outside 0 to 1 or a negative MaxDelay.
func (f *Faults) Set(plan FaultPlan) error {
	var errs []error
	for _, p := range []struct {
		name  string
		value float64
	}{{"drop", plan.Drop}, {"duplicate", plan.Duplicate}, {"delay", plan.Delay}, {"reorder", plan.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) { // also refuses NaN
			errs = append(errs, fmt.Errorf("fault plan: %s is %v, not a probability", p.name, p.value))
		}
	}
	if plan.MaxDelay < 0 {
		errs = append(errs, fmt.Errorf("fault plan: MaxDelay is negative: %v", plan.MaxDelay))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if plan.MaxDelay == 0 {
		plan.MaxDelay = defaultMaxDelay
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
	return nil
}

// fate is what happens to one delivery.
type fate struct {
	wait time.Duration // longest time until it is made; 0 is at once
	hold bool          // it is made earlier when a later event has been delivered
}

// fates draws the deliveries of one event; none when it is dropped.
func (f *Faults) fates() []fate {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Events++
	if f.hits(f.plan.Drop) {
		f.counts.Dropped++
		return nil
	}
	deliveries := make([]fate, 1, 2)
	if f.hits(f.plan.Duplicate) {
		f.counts.Duplicated++
		deliveries = append(deliveries, fate{})
	}
	for i := range deliveries {
		switch {
		case f.hits(f.plan.Reorder):
			f.counts.Reordered++
			deliveries[i] = fate{wait: f.plan.MaxDelay, hold: true}
		case f.hits(f.plan.Delay):
			f.counts.Delayed++
			deliveries[i] = fate{wait: time.Duration(1 + f.rand.Int64N(int64(f.plan.MaxDelay)))}
		}
	}
	return deliveries
}

func (f *Faults) hits(probability float64) bool {
	return probability > 0 && f.rand.Float64() < probability
}
