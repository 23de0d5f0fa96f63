package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
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

// idle lists the faults that never struck: a run proves nothing about them.
func idle(faults map[string]Strikes) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		if faults[name].Struck == 0 {
			names = append(names, name)
		}
	}
	return names
}

func printFaults(w io.Writer, faults map[string]Strikes) error {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		if _, err := fmt.Fprintf(w, "  %-22s struck %d of %d\n", name, faults[name].Struck, faults[name].Tried); err != nil {
			return err
		}
	}
	return nil
}
