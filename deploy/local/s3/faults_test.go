package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// keys returns the keys of the events that have arrived, in order.
func (r *recorder) keys(t *testing.T) []string {
	t.Helper()
	records := r.records(t)
	keys := make([]string, 0, len(records))
	for _, record := range records {
		keys = append(keys, record.S3.Object.Key)
	}
	return keys
}

func setFaults(t *testing.T, b *testBundle, plan FaultPlan) {
	t.Helper()
	if err := b.server.Faults().Set(plan); err != nil {
		t.Fatal(err)
	}
}

func wantKeys(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("events of %v, want %v", got, want)
	}
}

func TestDroppedEvents(t *testing.T) {
	b := newTestBundle(t)
	setFaults(t, b, FaultPlan{Drop: 1})
	b.put(t, incoming, "uploads/a", "x")
	setFaults(t, b, FaultPlan{})
	b.put(t, incoming, "uploads/b", "x")
	wantKeys(t, b.events.keys(t), []string{"uploads/b"})
	if got, want := b.server.Faults().Counts(), (FaultCounts{Events: 2, Dropped: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if got := b.get(t, incoming, "uploads/a", nil); got != "x" {
		t.Errorf("the object of a dropped event is %q", got)
	}
}

func TestDuplicatedEvents(t *testing.T) {
	b := newTestBundle(t)
	setFaults(t, b, FaultPlan{Duplicate: 1})
	b.put(t, incoming, "uploads/a", "x")
	wantKeys(t, b.events.keys(t), []string{"uploads/a", "uploads/a"})
	if got, want := b.server.Faults().Counts(), (FaultCounts{Events: 1, Duplicated: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestDelayedEvents(t *testing.T) {
	b := newTestBundle(t)
	setFaults(t, b, FaultPlan{Delay: 1, MaxDelay: time.Millisecond})
	b.put(t, incoming, "uploads/a", "x")
	b.events.wait(t, 1)
	wantKeys(t, b.events.keys(t), []string{"uploads/a"})

	setFaults(t, b, FaultPlan{Delay: 1, MaxDelay: 1000 * time.Hour})
	b.put(t, incoming, "uploads/b", "x")
	wantKeys(t, b.events.keys(t), []string{})
}

func TestReorderedEvents(t *testing.T) {
	b := newTestBundle(t)
	setFaults(t, b, FaultPlan{Reorder: 1, MaxDelay: time.Hour})
	for _, name := range []string{"a", "b", "c", "d"} {
		b.put(t, incoming, "uploads/"+name, "x")
	}
	wantKeys(t, b.events.keys(t), []string{"uploads/b", "uploads/a", "uploads/d", "uploads/c"})
}

func TestReorderedEventDoesNotWaitForEver(t *testing.T) {
	b := newTestBundle(t)
	setFaults(t, b, FaultPlan{Reorder: 1, MaxDelay: time.Millisecond})
	b.put(t, incoming, "uploads/a", "x")
	b.events.wait(t, 1)
	wantKeys(t, b.events.keys(t), []string{"uploads/a"})
}

func TestCloseDeliversWhatIsLate(t *testing.T) {
	events := &recorder{arrived: make(chan struct{}, 10)}
	cfg := testConfig(t.TempDir(), events.record)
	cfg.Faults = NewFaults(1)
	if err := cfg.Faults.Set(FaultPlan{Reorder: 0.5, Delay: 1, MaxDelay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	server, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &testBundle{server: server, root: server.RootClient(), events: events}
	if err := Provision(t.Context(), b.root, Layout{IncomingBucket: incoming, MediaBucket: media}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i := range 6 {
		key := fmt.Sprintf("uploads/%d", i)
		b.put(t, incoming, key, "x")
		want[key] = true
	}
	if err := server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, key := range events.keys(t) {
		got[key] = true
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after Close events of %v, want %v", got, want)
	}
}

func TestASinkThatFailsDoesNotFailTheUpload(t *testing.T) {
	cfg := testConfig(t.TempDir(), func(context.Context, string) error { return errors.New("queue is gone") })
	server, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &testBundle{server: server, root: server.RootClient()}
	if err := Provision(t.Context(), b.root, Layout{IncomingBucket: incoming, MediaBucket: media}); err != nil {
		t.Fatal(err)
	}
	b.put(t, incoming, "uploads/a", "x")
	if err := server.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsAreReproducible(t *testing.T) {
	draw := func(seed uint64) [][]fate {
		f := NewFaults(seed)
		if err := f.Set(FaultPlan{Drop: 0.2, Duplicate: 0.2, Delay: 0.5, Reorder: 0.2}); err != nil {
			t.Fatal(err)
		}
		all := make([][]fate, 100)
		for i := range all {
			all[i] = f.fates()
		}
		return all
	}
	if !reflect.DeepEqual(draw(1), draw(1)) {
		t.Error("the same seed gives other fates")
	}
	if reflect.DeepEqual(draw(1), draw(2)) {
		t.Error("another seed gives the same fates")
	}
}

func TestFaultPlanIsChecked(t *testing.T) {
	for name, plan := range map[string]FaultPlan{
		"negative":       {Drop: -0.1},
		"above one":      {Duplicate: 1.1},
		"not a number":   {Reorder: math.NaN()},
		"negative delay": {MaxDelay: -time.Second},
	} {
		if err := NewFaults(1).Set(plan); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
