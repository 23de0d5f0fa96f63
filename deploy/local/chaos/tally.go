package chaos

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
)

// tally counts the faults that were meant to strike and those that did.
type tally struct {
	mu     sync.Mutex
	faults map[string]Strikes
}

// Strikes is how often a fault was tried, and how often it struck something.
type Strikes struct {
	Tried  int `json:"tried"`
	Struck int `json:"struck"`
}

func newTally() *tally { return &tally{faults: map[string]Strikes{}} }

// add counts one try of a fault.
func (t *tally) add(fault string, struck bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.faults[fault]
	s.Tried++
	if struck {
		s.Struck++
	}
	t.faults[fault] = s
}

// set says how often a fault struck that others count.
func (t *tally) set(fault string, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[fault] = Strikes{Tried: times, Struck: times}
}

func (t *tally) counts() map[string]Strikes {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.faults)
}

// idle lists what never struck: a run proves nothing about it. Of the network every fault must have struck somewhere, and
// at every dependency some fault.
func idle(faults map[string]Strikes) []string {
	struck := map[string]int{}
	for name, s := range faults {
		kind, target, _ := strings.Cut(name, " ")
		if _, ofNetwork := poisons[kind]; ofNetwork {
			struck[kind] += s.Struck
			struck["anything at "+target] += s.Struck
			continue
		}
		struck[name] += s.Struck
	}
	maps.DeleteFunc(struck, func(_ string, times int) bool { return times > 0 })
	return sorted(struck)
}

func printFaults(w io.Writer, faults map[string]Strikes) error {
	for _, name := range sorted(faults) {
		if _, err := fmt.Fprintf(w, "  %-22s struck %d of %d\n", name, faults[name].Struck, faults[name].Tried); err != nil {
			return err
		}
	}
	return nil
}
