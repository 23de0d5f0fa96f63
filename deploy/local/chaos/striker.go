package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// striker carries a plan out.
type striker struct {
	mortals map[string][]*supervise.Service // by name
	gates   map[string]*gate
	events  *s3.Faults
	forger  *forger
	cutter  *cutter
	tally   *tally
	logger  *slog.Logger
}

// run strikes for the duration of the plan, of which the end may be quiet, or until ctx is done, and returns when all faults
// are over.
func (s *striker) run(ctx context.Context, plan []action, duration time.Duration) {
	var underway sync.WaitGroup
	defer underway.Wait()
	began := time.Now()
	defer func() { _ = wait(ctx, time.Until(began.Add(duration))) }()
	for _, a := range plan {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(a.at))):
		}
		underway.Go(func() {
			if err := s.strike(ctx, a); err != nil && ctx.Err() == nil {
				s.logger.Warn("a fault did not come about", "fault", a.String(), "error", err)
			}
		})
	}
}

func (s *striker) strike(ctx context.Context, a action) error {
	dice := rand.New(rand.NewPCG(a.dice, 0)) //nolint:gosec // Reproducible on purpose.
	switch a.kind {
	case kill:
		s.tally.add(kill+" "+a.target, s.kill(ctx, a.target, dice))
		return nil
	case weather:
		return s.events.Set(a.events)
	case forge:
		done, err := s.forger.forge(ctx, a.target, dice)
		s.tally.add(forge+" "+a.target, done)
		return err
	case cutOff:
		vanished, err := s.cutter.cut(ctx, a.target, a.lasts, dice)
		s.tally.add(cutOff+" "+a.target, vanished > 0)
		return err
	default:
		struck, err := s.gates[a.target].disturb(ctx, a.kind, a.toward, a.lasts)
		s.tally.add(a.kind+" "+a.target, struck > 0)
		s.logger.Debug("disturbed", "fault", a.String(), "chunks", struck)
		return err
	}
}

// kill kills one process of the name, unless it has not come back from its last death: on a busy machine that takes a
// while, and who is never there proves nothing.
func (s *striker) kill(ctx context.Context, name string, dice *rand.Rand) bool {
	services := s.mortals[name]
	victim := services[dice.IntN(len(services))]
	if victim.Check(ctx) != nil {
		return false
	}
	pid := victim.PID()
	return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// calm ends what has no end of its own, and counts what others have counted.
func (s *striker) calm(p Profile) error {
	if err := s.events.Set(s3.FaultPlan{}); err != nil {
		return fmt.Errorf("calm the events: %w", err)
	}
	counts := s.events.Counts()
	for _, event := range []struct {
		name    string
		planned func(s3.FaultPlan) float64
		struck  int
	}{
		{"dropped", func(f s3.FaultPlan) float64 { return f.Drop }, counts.Dropped},
		{"duplicated", func(f s3.FaultPlan) float64 { return f.Duplicate }, counts.Duplicated},
		{"delayed", func(f s3.FaultPlan) float64 { return f.Delay }, counts.Delayed},
		{"reordered", func(f s3.FaultPlan) float64 { return f.Reorder }, counts.Reordered},
	} {
		for _, plan := range p.Weather {
			if event.planned(plan) > 0 {
				s.tally.set("event "+event.name, event.struck)
			}
		}
	}
	return nil
}
