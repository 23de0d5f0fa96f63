package chaos

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPlanIsDrawnFromItsSeedAlone(t *testing.T) {
	p := profiles["storm"]
	first, again, other := newPlan(1, p, time.Minute), newPlan(1, p, time.Minute), newPlan(2, p, time.Minute)
	if !reflect.DeepEqual(first, again) {
		t.Error("one seed gives two plans")
	}
	if reflect.DeepEqual(first, other) {
		t.Error("two seeds give one plan")
	}
	var printed bytes.Buffer
	if err := printPlan(&printed, first); err != nil || !strings.Contains(printed.String(), "kill worker") {
		t.Errorf("printed %q, %v", printed.String(), err)
	}
}

// A minute of the storm has everything in it that can strike.
func TestTheStormHasEverything(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range newPlan(7, profiles["storm"], time.Minute) {
		seen[a.kind+" "+a.target] = true
		if a.at < 0 || a.at >= time.Minute {
			t.Errorf("%s is outside the minute", a)
		}
	}
	want := []string{weather + " "}
	for _, name := range []string{mortalWorker, mortalAPI, mortalClamd, mortalPostgres, mortalEdge} {
		want = append(want, kill+" "+name)
	}
	for fault := range poisons {
		for _, gate := range allGates() {
			want = append(want, fault+" "+gate)
		}
	}
	for _, kind := range forgeryKinds() {
		want = append(want, forge+" "+kind)
	}
	for _, name := range want {
		if !seen[name] {
			t.Errorf("the plan has no %q", name)
		}
	}
}

func TestCustomersComeAsWeighted(t *testing.T) {
	r := &run{Config: Config{Seed: 3, Uploads: 100}, profile: Profile{Crowd: map[string]int{honest: 3, idler: 1}}}
	kinds := r.queue()
	counts := map[string]int{}
	for _, kind := range kinds {
		counts[kind]++
	}
	if !maps.Equal(counts, map[string]int{honest: 75, idler: 25}) {
		t.Errorf("got %v", counts)
	}
	last := len(kinds) - 1 - slices.IndexFunc(reversed(kinds), func(k string) bool { return k == idler })
	if last > 70 {
		t.Errorf("the last of the tardy is number %d of 100", last)
	}
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

func TestWhatNeverStruckIsNamed(t *testing.T) {
	faults := map[string]Strikes{
		"kill api": {3, 2}, "kill edge": {2, 0},
		"reset s3": {1, 1}, "reset sqs": {1, 0}, "latency s3": {1, 0}, "latency sqs": {1, 0},
	}
	if got, want := idle(faults), []string{"anything at sqs", "kill edge", "latency"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
