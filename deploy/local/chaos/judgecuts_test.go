package chaos

import (
	"strings"
	"testing"
	"time"
)

func TestJudgeCuts(t *testing.T) {
	cutAt := time.Now()
	at := func(seconds float64) time.Time { return cutAt.Add(time.Duration(seconds * float64(time.Second))) }
	step := func(worker, from string, due, done float64) Labour {
		return Labour{Upload: "u", From: from, To: "next", Worker: worker, Due: at(due), Done: at(done)}
	}
	others, back := step("host-2/7", "uploaded", 1, 1.1), step("host-1/7", "uploaded", 16, 16.1)
	for _, tc := range []struct {
		name    string
		target  string
		labours []Labour
		want    string // in the only finding; empty when there must be none
	}{
		{"all is well", gatePostgres, []Labour{others, back}, ""},
		{"the host makes steps that it cannot make", everything, []Labour{others, step("host-1/7", "clean", 4, 5), back}, "made the step"},
		{"a step was on its way to the database", gatePostgres, []Labour{step("host-1/7", "clean", 0, 0.5), others, back}, ""},
		{"who lacks SQS may finish what it has", gateSQS, []Labour{others, step("host-1/7", "clean", 4, 5), back}, ""},
		{"the others stand still too", gateSQS, []Labour{back}, "nobody made a step"},
		{"its work is not taken over", gateSQS, []Labour{others, step("host-2/7", "clean", 1, 13), back}, "waited for"},
		{"its work lies until it is back", gateSQS, []Labour{others, step("host-1/7", "clean", 1, 15.5)}, "waited for"},
		{"a file that comes late is nobody's fault", gateSQS, []Labour{others, step("host-2/7", "initiated", 1, 13), back}, ""},
		{"a step was waited for at another time", gateSQS, []Labour{others, back, step("host-2/7", "clean", 20, 40)}, ""},
		{"it does not come back", gatePostgres, []Labour{others}, "made no step within"},
		{"it comes back late", gatePostgres, []Labour{others, step("host-1/7", "clean", 29, 30)}, "made no step within"},
		{"another host of a similar name comes back", gatePostgres, []Labour{others, step("host-11/7", "clean", 16, 16.1)}, "made no step within"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cuts := []Cut{{Host: "host-1", Target: tc.target, From: cutAt, To: at(15)}}
			findings := JudgeCuts(cuts, tc.labours, 10*time.Second)
			switch {
			case tc.want == "" && len(findings) > 0:
				t.Errorf("found %v", findings)
			case tc.want != "" && (len(findings) != 1 || findings[0].Check != Stranded || !strings.Contains(findings[0].Detail, tc.want)):
				t.Errorf("found %v, not one that says %q", findings, tc.want)
			}
		})
	}
}

func TestJudgeCutsCountsWhatWasTakenOver(t *testing.T) {
	cutAt := time.Now()
	cuts := []Cut{{Host: "host-1", Target: gateSQS, From: cutAt, To: cutAt.Add(15 * time.Second)}}
	JudgeCuts(cuts, []Labour{
		{From: "clean", Worker: "host-2/7", Due: cutAt, Done: cutAt.Add(time.Second)},
		{From: "clean", Worker: "host-3/7", Due: cutAt, Done: cutAt.Add(visibility)},
		{From: "clean", Worker: "host-1/7", Due: cutAt.Add(15 * time.Second), Done: cutAt.Add(17 * time.Second)},
	}, 10*time.Second)
	if c := cuts[0]; c.Meanwhile != 2 || c.TakenOver != 1 || c.Longest != visibility || c.BackAfter != 2*time.Second {
		t.Errorf("entered %+v", c)
	}
}
