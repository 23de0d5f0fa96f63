package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

// soon is an age that everything in these tests has reached.
const soon = time.Microsecond

func (b *bundle) sweeper(intake pipeline.Stage, arrival, stillness time.Duration) *pipeline.Sweeper {
	return pipeline.NewSweeper(pipeline.SweepConfig{Every: time.Second, ArrivalAge: arrival, StillnessAge: stillness},
		b.runner, intake, pipeline.Steps{intake}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

func TestNobodyIsForgotten(t *testing.T) {
	for _, tc := range []struct {
		from, to sagas.State
		sent     string
	}{
		{sagas.Initiated, sagas.Uploaded, pipeline.Verify},
		{sagas.Uploaded, sagas.Uploaded, pipeline.Verify},
		{sagas.Verified, sagas.Verified, pipeline.Scan},
		{sagas.Clean, sagas.Clean, pipeline.Thumbnail},
		{sagas.Processed, sagas.Processed, pipeline.Publish},
		{sagas.Ready, sagas.Ready, pipeline.Settle},
		{sagas.Aborted, sagas.Aborted, pipeline.Settle},
	} {
		t.Run(string(tc.from), func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, sagas.Initiated)
			switch tc.from {
			case sagas.Initiated:
			case sagas.Aborted:
				u = b.move(t, u, sagas.Aborted)
			default:
				u = b.begin(t, tc.from)
			}
			if err := b.sweeper(leading(pipeline.Intake, sagas.Uploaded), soon, soon).Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := b.load(t, u).State; got != tc.to {
				t.Errorf("the upload is %s, want %s", got, tc.to)
			}
			if b.sent(tc.sent) == 0 {
				t.Errorf("nothing was sent to %s", tc.sent)
			}
		})
	}
}

func TestEachStateHasItsAge(t *testing.T) {
	for name, tc := range map[string]struct {
		all    time.Duration
		single map[sagas.State]time.Duration
		sent   map[string]int64
	}{
		"one sooner":      {time.Hour, map[sagas.State]time.Duration{sagas.Verified: soon}, map[string]int64{pipeline.Scan: 1}},
		"one later":       {soon, map[sagas.State]time.Duration{sagas.Verified: time.Hour}, map[string]int64{pipeline.Thumbnail: 1, pipeline.Settle: 1}},
		"an outcome":      {time.Hour, map[sagas.State]time.Duration{sagas.Infected: soon, sagas.Ready: soon}, map[string]int64{pipeline.Settle: 1}},
		"two of the same": {time.Hour, map[sagas.State]time.Duration{sagas.Verified: soon, sagas.Clean: soon}, map[string]int64{pipeline.Scan: 1, pipeline.Thumbnail: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBundle(t)
			for _, state := range []sagas.State{sagas.Verified, sagas.Clean, sagas.Ready} {
				b.begin(t, state)
			}
			sweeper := pipeline.NewSweeper(pipeline.SweepConfig{Every: time.Second, ArrivalAge: soon, StillnessAge: tc.all, StillnessAges: tc.single},
				b.runner, leading(pipeline.Intake, sagas.Uploaded), pipeline.Steps{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			if err := sweeper.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, stage := range pipeline.Stages() {
				if got := b.sent(stage); got != tc.sent[stage] {
					t.Errorf("%d were sent to %s, want %d", got, stage, tc.sent[stage])
				}
			}
		})
	}
}

func TestAgesAreChecked(t *testing.T) {
	for want, ages := range map[string]map[sagas.State]time.Duration{
		"":                                     {sagas.Uploaded: time.Minute, sagas.Ready: time.Hour},
		"that of initiated is the arrival-age": {sagas.Initiated: time.Minute},
		`"scanned" is not one of ["uploaded"`:  {"scanned": time.Minute},
		"0s of clean is not positive":          {sagas.Clean: 0},
	} {
		err := pipeline.SweepConfig{Every: 1, ArrivalAge: 1, StillnessAge: 1, StillnessAges: ages}.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", ages, err, want)
		}
	}
}

func TestTheSweeperLeavesTheYoungAndTheSettled(t *testing.T) {
	b := newBundle(t)
	young := b.begin(t, sagas.Verified)
	settled := b.move(t, b.begin(t, sagas.Ready), sagas.Ready)
	intake := leading(pipeline.Intake, sagas.Uploaded)
	if err := b.sweeper(intake, time.Hour, time.Hour).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.move(t, young, sagas.Clean)
	b.move(t, b.load(t, young), sagas.Aborted)
	b.move(t, b.load(t, young), sagas.Aborted)
	if err := b.sweeper(intake, soon, soon).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(t, settled, sagas.Ready, nil)
}

func TestWhatWasNeverUploadedExpires(t *testing.T) {
	b := newBundle(t)
	u := b.begin(t, sagas.Initiated)
	nothing := failing(pipeline.Intake, storage.ErrNotFound)
	if err := b.sweeper(nothing, soon, time.Hour).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Initiated, nil)

	late := b.beginFor(t, -time.Second)
	if err := b.sweeper(nothing, soon, time.Hour).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(t, late, sagas.Expired, map[string]int64{pipeline.Settle: 1})
	if got := b.load(t, late).Reason.Code; got != sagas.NeverUploaded {
		t.Errorf("reason is %s", got)
	}
}

func TestWhatArrivedLateDoesNotExpire(t *testing.T) {
	b := newBundle(t)
	late := b.beginFor(t, -time.Second)
	if err := b.sweeper(leading(pipeline.Intake, sagas.Uploaded), soon, time.Hour).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(t, late, sagas.Uploaded, map[string]int64{pipeline.Verify: 1})
}

// A copy that S3 finishes after its worker has died may come after the upload was cleaned up.
func TestWhatCameToNothingIsCleanedUpOnceMore(t *testing.T) {
	for _, outcome := range sagas.TerminalStates() {
		t.Run(string(outcome), func(t *testing.T) {
			b := newBundle(t)
			u := b.begin(t, outcome)
			why := errors.New("503 SlowDown")
			intake := &undoable{stage: leading(pipeline.Intake, sagas.Uploaded), undo: func(context.Context, sagas.Upload) error { return why }}
			if err := b.sweeper(intake, time.Hour, soon).Sweep(t.Context()); err != nil || len(intake.undone) != 0 {
				t.Fatalf("undone %q before anybody was told, %v", intake.undone, err)
			}
			b.move(t, u, outcome) // delivered
			want := []sagas.State{outcome, outcome}
			if outcome == sagas.Ready {
				want = nil
			}
			if err := b.sweeper(intake, time.Hour, time.Hour).Sweep(t.Context()); err != nil || len(intake.undone) != 0 {
				t.Fatalf("undone %q too early, %v", intake.undone, err)
			}
			if err := b.sweeper(intake, time.Hour, soon).Sweep(t.Context()); errors.Is(err, why) != (want != nil) {
				t.Fatalf("got %v", err)
			}
			intake.undo = nil
			for range 3 {
				if err := b.sweeper(intake, time.Hour, soon).Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(intake.undone, want) {
				t.Errorf("undone %q, want %q: a try that failed, and one that did not", intake.undone, want)
			}
		})
	}
}

// To be looked for in vain is what happens to every upload that its client is slow with.
func TestWhatHasNotArrivedIsNoFailure(t *testing.T) {
	b := newBundle(t)
	reg := prometheus.NewRegistry()
	b.runner = pipeline.NewRunner(pipeline.Config{MaxAttempts: maxAttempts}, b.store, b.publisher, pipeline.NewMetrics(reg), slog.New(slog.DiscardHandler))
	u := b.begin(t, sagas.Initiated)
	if err := b.sweeper(failing(pipeline.Intake, storage.ErrNotFound), soon, soon).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.expect(t, u, sagas.Initiated, nil)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			if family.GetName() == "sluice_stage_failed_total" && one.GetCounter().GetValue() > 0 {
				t.Errorf("%s %s", family.GetName(), one)
			}
		}
	}
}

// Uploads that are due again before a round of all of them is over.
func TestABacklogKeepsNobodyFromTheirTurn(t *testing.T) {
	b := newBundle(t)
	looks := map[string]int{}
	intake := &stage{name: pipeline.Intake, work: func(_ context.Context, u sagas.Upload) (pipeline.Outcome, error) {
		looks[u.ID.String()]++
		return pipeline.Outcome{}, storage.ErrNotFound
	}}
	const silent = 250 // two claims and a half
	for range silent {
		b.begin(t, sagas.Initiated)
	}
	b.begin(t, sagas.Verified)
	sweeper := pipeline.NewSweeper(pipeline.SweepConfig{Every: time.Nanosecond, ArrivalAge: soon, StillnessAge: soon},
		b.runner, intake, pipeline.Steps{intake}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	for sweep := range 3 {
		if err := sweeper.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if sent := b.sent(pipeline.Scan); sent != int64(sweep)+1 {
			t.Errorf("after %d sweeps what stands on the line was sent %d times", sweep+1, sent)
		}
	}
	if len(looks) != silent {
		t.Errorf("%d of %d uploads were looked for", len(looks), silent)
	}
	if most := silent + 3; intake.runs > most { // the last one of each claim may be the first of the next
		t.Errorf("they were looked for %d times, want at most %d", intake.runs, most)
	}
}

func TestSweepersDoNotShareAnUpload(t *testing.T) {
	pool := sagatest.Pool(t)
	store := sagas.NewStore(pool, "test")
	b := &bundle{store: store}
	const uploads, sweepers = 40, 4
	for range uploads {
		b.begin(t, sagas.Verified)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE uploads SET updated_at = now() - interval '2 hours'"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range sweepers {
		wg.Go(func() {
			for range uploads { // more often than needed: what another one holds at the moment is passed over
				claimed, err := store.ClaimStill(context.Background(), time.Hour, time.Time{}, 3, sagas.Verified)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, u := range claimed {
					seen[u.ID.String()]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != uploads {
		t.Errorf("%d of %d uploads were claimed", len(seen), uploads)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
}
