package chaos

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

// The kinds of faults. Those of the network are named apart, in gate.go.
const (
	kill    = "kill"
	weather = "events"
	forge   = "forge"
	cutOff  = "cut"
)

// action is one fault of a plan.
type action struct {
	at     time.Duration // from the start of the run
	kind   string        // kill, weather, forge, cut or a fault of the network
	target string        // process, dependency or kind of forgery
	toward string        // of the network: upstream to the dependency, or downstream from it
	lasts  time.Duration // of the network and of cuts
	events s3.FaultPlan  // of the weather
	dice   uint64        // what is left to chance when it strikes
}

// String describes the action in the words of the plan that is printed.
func (a action) String() string {
	switch a.kind {
	case kill, forge:
		return fmt.Sprintf("%5.1fs %s %s", a.at.Seconds(), a.kind, a.target)
	case cutOff:
		return fmt.Sprintf("%5.1fs one host is cut off from %s for %.1fs", a.at.Seconds(), a.target, a.lasts.Seconds())
	case weather:
		return fmt.Sprintf("%5.1fs events: drop %.0f%%, duplicate %.0f%%, delay %.0f%%, reorder %.0f%%",
			a.at.Seconds(), 100*a.events.Drop, 100*a.events.Duplicate, 100*a.events.Delay, 100*a.events.Reorder)
	default:
		return fmt.Sprintf("%5.1fs %s %s %s for %.1fs", a.at.Seconds(), a.kind, a.target, a.toward, a.lasts.Seconds())
	}
}

// newPlan draws everything that will strike within the duration. The same seed, profile and duration give the same
// plan; what the faults hit also depends on the machine.
func newPlan(seed uint64, p Profile, duration time.Duration) []action {
	dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Reproducible on purpose.
	var plan []action
	plan = append(plan, kills(dice, p, duration)...)
	plan = append(plan, poisonings(dice, p, duration)...)
	plan = append(plan, weathers(dice, p, duration)...)
	plan = append(plan, cuts(dice, p, duration)...)
	forgeries := deck(dice, forgeryKinds())
	for at := range moments(dice, p.ForgeEvery, duration) {
		plan = append(plan, action{at: at, kind: forge, target: forgeries(), dice: dice.Uint64()})
	}
	slices.SortStableFunc(plan, func(a, b action) int { return int(a.at - b.at) })
	return plan
}

func kills(dice *rand.Rand, p Profile, duration time.Duration) (plan []action) {
	var victims []string
	for _, name := range slices.Sorted(maps.Keys(p.Mortals)) {
		victims = append(victims, slices.Repeat([]string{name}, p.Mortals[name])...)
	}
	victim := deck(dice, victims)
	for at := range moments(dice, p.KillEvery, duration) {
		plan = append(plan, action{at: at, kind: kill, target: victim(), dice: dice.Uint64()})
	}
	return plan
}

func poisonings(dice *rand.Rand, p Profile, duration time.Duration) (plan []action) {
	var pairs [][2]string
	for _, poison := range p.Poisons {
		for _, gate := range p.Gates {
			pairs = append(pairs, [2]string{poison, gate})
		}
	}
	pair := deck(dice, pairs)
	for at := range moments(dice, p.PoisonEvery, duration) {
		drawn := pair()
		lasts := p.ShortestPoison + time.Duration(dice.Int64N(int64(p.LongestPoison-p.ShortestPoison)))
		toward := downstream
		if dice.IntN(2) == 0 {
			toward = upstream
		}
		plan = append(plan, action{at: at, kind: drawn[0], target: drawn[1], toward: toward, lasts: lasts, dice: dice.Uint64()})
	}
	return plan
}

// cuts has one cut after the other, each for two thirds of its time, so that the host is seen to come back.
func cuts(dice *rand.Rand, p Profile, duration time.Duration) (plan []action) {
	for i, target := range p.Cuts {
		slot := duration / time.Duration(len(p.Cuts))
		plan = append(plan, action{at: slot*time.Duration(i) + slot/12, kind: cutOff, target: target, lasts: slot * 2 / 3, dice: dice.Uint64()})
	}
	return plan
}

func weathers(dice *rand.Rand, p Profile, duration time.Duration) (plan []action) {
	if len(p.Weather) == 0 {
		return nil
	}
	next := deck(dice, p.Weather[1:])
	plan = append(plan, action{kind: weather, events: p.Weather[0]})
	for at := range moments(dice, p.WeatherEvery, duration) {
		if len(p.Weather) > 1 {
			plan = append(plan, action{at: at, kind: weather, events: next()})
		}
	}
	return plan
}

// moments yields times within the duration that are every apart, give or take a third.
func moments(dice *rand.Rand, every, duration time.Duration) func(yield func(time.Duration) bool) {
	return func(yield func(time.Duration) bool) {
		if every <= 0 {
			return
		}
		for at := every; at < duration; at += every*2/3 + time.Duration(dice.Int64N(int64(every)*2/3)) {
			if !yield(at) {
				return
			}
		}
	}
}

// deck returns a function that draws from a shuffled deck of cards, which is shuffled anew when it is used up.
func deck[T any](dice *rand.Rand, cards []T) func() T {
	var left []T
	return func() T {
		if len(left) == 0 {
			left = slices.Clone(cards)
			dice.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		}
		drawn := left[0]
		left = left[1:]
		return drawn
	}
}

// printPlan writes one line for each action, forgeries left out: there are many, and they come at any time.
func printPlan(w io.Writer, plan []action) error {
	for _, a := range plan {
		if a.kind == forge {
			continue
		}
		if _, err := fmt.Fprintln(w, " ", a); err != nil {
			return err
		}
	}
	return nil
}
