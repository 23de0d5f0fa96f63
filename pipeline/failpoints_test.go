//go:build failpoints

package pipeline_test

import (
	"slices"
	"testing"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/sagas"
)

// TestEveryStageHasFailpoints sees each stage of the line hit a point before and after all that a message does, in
// order, and finds each of them in the list.
func TestEveryStageHasFailpoints(t *testing.T) {
	b := newBundle(t)
	var hit []string
	defer failpoint.Observe(func(name string) { hit = append(hit, name) })()
	listed := pipeline.Failpoints()
	from := map[string]sagas.State{pipeline.Settle: sagas.Ready, pipeline.Notify: sagas.Ready}
	for _, step := range line {
		from[step.stage] = step.from
	}
	for _, name := range pipeline.Stages() {
		u, to := b.begin(t, from[name]), from[name]
		payload := job(u)
		want := []string{name + ".work.before", name + ".work.after"}
		if name != pipeline.Settle {
			want = append(want, name+".commit.before", name+".commit.after")
		}
		for _, step := range line {
			if step.stage == name {
				to = step.to
			}
		}
		switch name {
		case pipeline.Intake:
			payload = event(u.Bucket, u.Key)
		case pipeline.Notify:
			payload = settled(u)
		}
		if name != pipeline.Notify {
			want = append(want, name+".send.before", name+".send.after")
		}
		want = append(want, name+".ack.before")
		hit = nil
		if err := b.runner.Handle(leading(name, to))(delivery(t, 1, payload)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(hit, want) {
			t.Errorf("%s hit %q, want %q", name, hit, want)
		}
		for _, point := range hit {
			if !slices.Contains(listed, point) {
				t.Errorf("%s is not listed", point)
			}
		}
	}
}
