package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// sweepBatch bounds how many uploads one claim takes.
const sweepBatch = 100

// arrivedStates are all after initiated, which comes first.
var arrivedStates = sagas.States()[1:]

// SweepConfig says when an upload has been still for too long.
type SweepConfig struct {
	Every        time.Duration `help:"How often a worker looks for uploads that have been still for too long." default:"30s"`
	ArrivalAge   time.Duration `help:"How long an upload may wait for its object's event before S3 is asked." default:"2m"`
	StillnessAge time.Duration `help:"How long an upload may stand still on the line before its message is sent again, and after which one that came to nothing is cleaned up once more. Longer than the slowest stage." default:"30m"`

	StillnessAges map[sagas.State]time.Duration `mapsep:"," placeholder:"STATE=AGE,…" help:"How long an upload may stand still in single states, instead of that, such as uploaded=5m,verified=1h: longer than the stage takes that comes next, or it does its work again beside itself. Those with an outcome wait to be cleaned up and told."`
}

// Validate reports every mistake at once.
func (c SweepConfig) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{"every": c.Every, "arrival-age": c.ArrivalAge, "stillness-age": c.StillnessAge} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("sweep %s: %s is not positive", name, d))
		}
	}
	for state, d := range c.StillnessAges {
		switch {
		case state == sagas.Initiated:
			errs = append(errs, fmt.Errorf("sweep stillness-ages: that of %s is the arrival-age", state))
		case !slices.Contains(arrivedStates, state):
			errs = append(errs, fmt.Errorf("sweep stillness-ages: %q is not one of %q", state, arrivedStates))
		case d <= 0:
			errs = append(errs, fmt.Errorf("sweep stillness-ages: %s of %s is not positive", d, state))
		}
	}
	return errors.Join(errs...)
}

// byStillness returns the states of arrivedStates by how long an upload may stand still in them.
func (c SweepConfig) byStillness() map[time.Duration][]sagas.State {
	states := map[time.Duration][]sagas.State{}
	for _, state := range arrivedStates {
		age, single := c.StillnessAges[state]
		if !single {
			age = c.StillnessAge
		}
		states[age] = append(states[age], state)
	}
	return states
}

// Sweeper forgets nobody: it asks S3 about uploads whose event never came, sends again what was lost on the line,
// and gives up what was never uploaded. It also takes away what a worker that died left S3 to finish after its upload had
// come to nothing. Every worker has one; the database keeps them apart.
type Sweeper struct {
	config SweepConfig
	runner *Runner
	intake Stage
	steps  Undoer
	log    *slog.Logger
	rounds []*round

	swept *prometheus.CounterVec // action
}

// What a sweep does with an upload: the label of sluice_swept_uploads_total.
const (
	sweptArrived = "arrived" // the object was there without an event
	sweptResent  = "resent"  // its message was sent again
	sweptExpired = "expired"
	sweptCleaned = "cleaned" // it had come to nothing, and was cleaned up once more
)

// NewSweeper returns a sweeper that moves uploads by runner, asks after objects by intake and cleans up by steps.
func NewSweeper(c SweepConfig, runner *Runner, intake Stage, steps Undoer, reg prometheus.Registerer, log *slog.Logger) *Sweeper {
	s := &Sweeper{config: c, runner: runner, intake: intake, steps: steps, log: log}
	s.swept = promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_swept_uploads_total",
		Help: "Uploads that had been still for too long, by what was done: arrived without an event, resent, expired or cleaned up once more.",
	}, []string{"action"})
	for _, action := range []string{sweptArrived, sweptResent, sweptExpired, sweptCleaned} {
		s.swept.WithLabelValues(action)
	}
	store := runner.store
	s.rounds = []*round{
		{age: c.ArrivalAge, claim: store.ClaimArrivals, do: s.lookFor},
		{age: c.StillnessAge, claim: store.ClaimUncleaned, do: s.clean},
	}
	for age, states := range c.byStillness() {
		claim := func(ctx context.Context, age time.Duration, after time.Time, most int) ([]sagas.Upload, error) {
			return store.ClaimStill(ctx, age, after, most, states...)
		}
		s.rounds = append(s.rounds, &round{age: age, claim: claim, do: s.resend})
	}
	return s
}

// round goes over the uploads of one kind, from those that have been still for longest to the last, in as many sweeps as that
// takes.
type round struct {
	age   time.Duration
	claim func(ctx context.Context, age time.Duration, after time.Time, most int) ([]sagas.Upload, error)
	do    func(context.Context, sagas.Upload) error
	after time.Time // where the next claim goes on; zero: with the first
}

// Run sweeps until ctx ends, at intervals that differ a little so that workers spread out.
func (s *Sweeper) Run(ctx context.Context) {
	for {
		pause := s.config.Every/2 + rand.N(s.config.Every) //nolint:gosec // spreading out needs no secrecy
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("could not sweep everything", "error", err)
		}
	}
}

// Sweep goes over everything that is still. A round that takes longer than the time between two sweeps goes on in the next
// one, or else those of many uploads would keep the others from their turn.
func (s *Sweeper) Sweep(ctx context.Context) error {
	var errs []error
	for _, r := range s.rounds {
		errs = append(errs, r.goOn(ctx, s.config.Every))
	}
	return errors.Join(errs...)
}

func (r *round) goOn(ctx context.Context, most time.Duration) error {
	var errs []error
	for began := time.Now(); ; {
		uploads, err := r.claim(ctx, r.age, r.after, sweepBatch)
		errs = append(errs, err)
		for _, u := range uploads {
			errs = append(errs, r.do(ctx, u))
			if u.UpdatedAt.After(r.after) {
				r.after = u.UpdatedAt
			}
		}
		if len(uploads) < sweepBatch {
			r.after = time.Time{}
			return errors.Join(errs...)
		}
		if ctx.Err() != nil || time.Since(began) >= most {
			return errors.Join(errs...)
		}
	}
}

// lookFor does what the lost event would have done, or gives the upload up when its time is over.
func (s *Sweeper) lookFor(ctx context.Context, u sagas.Upload) error {
	_, err := s.runner.Process(ctx, s.intake, u, 1)
	if err == nil {
		s.swept.WithLabelValues(sweptArrived).Inc()
		return nil
	}
	if !errors.Is(err, storage.ErrNotFound) || u.ReadAt.Before(u.ExpiresAt) {
		return ignoring(err, storage.ErrNotFound)
	}
	expired, err := s.runner.commit(ctx, sweeperStage, u, 1, Outcome{
		State: sagas.Expired, Reason: sagas.Reason{Code: sagas.NeverUploaded, Detail: "nothing was uploaded in time"},
	})
	if err != nil {
		return ignoring(err, sagas.ErrMoved)
	}
	s.swept.WithLabelValues(sweptExpired).Inc()
	return s.resendTo(ctx, expired)
}

// resend puts the upload's message on its queue again. Should the first one still be there, the later of the two
// finds the work done.
func (s *Sweeper) resend(ctx context.Context, u sagas.Upload) error {
	s.swept.WithLabelValues(sweptResent).Inc()
	return s.resendTo(ctx, u)
}

// clean takes away what came after an upload was cleaned up: a copy that S3 had begun for a worker that died, or an object
// whose event was lost. By now nobody works on the upload any more.
func (s *Sweeper) clean(ctx context.Context, u sagas.Upload) error {
	if err := s.steps.Undo(ctx, u); err != nil {
		return err
	}
	s.swept.WithLabelValues(sweptCleaned).Inc()
	return s.runner.store.Cleaned(ctx, u)
}

func (s *Sweeper) resendTo(ctx context.Context, u sagas.Upload) error {
	return s.runner.Send(ctx, WaitsFor(u), u)
}

func ignoring(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}
