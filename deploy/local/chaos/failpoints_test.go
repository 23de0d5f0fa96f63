package chaos

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var somePoints = []string{
	"api.begin.before", "verify.commit.after", "scan.send.before", "publish.ack.before", "s3.CopyObject.after", "sweeper.commit.before",
}

func TestFailpointsAreDrawnFromTheSeed(t *testing.T) {
	p := Profile{Crashes: 2, CrashShare: 2, Failures: []string{"publish.work.after"}, FailureShare: 40}
	drawn := map[string]bool{}
	for seed := range uint64(20) {
		f, err := newFailpoints(seed, p, somePoints)
		if err != nil || len(f.crashes) != 2 {
			t.Fatalf("drew %q, %v", f.crashes, err)
		}
		if again, _ := newFailpoints(seed, p, somePoints); !reflect.DeepEqual(f, again) {
			t.Error("one seed gives two draws")
		}
		for _, point := range f.crashes {
			drawn[point] = true
			if !strings.Contains(f.variable(), point+"=crash@2%") || !strings.Contains(f.String(), point) {
				t.Errorf("%s is not in %q or in %q", point, f.variable(), f)
			}
		}
		if !strings.HasSuffix(f.variable(), ";publish.work.after=error:planted@40%") {
			t.Errorf("the failure is not in %q", f.variable())
		}
	}
	if want := []string{"publish.ack.before", "s3.CopyObject.after", "scan.send.before", "verify.commit.after"}; !slices.Equal(sorted(drawn), want) {
		t.Errorf("drew %q, want %q", sorted(drawn), want)
	}
	f, err := newFailpoints(1, p, somePoints)
	if f.disarmed.Store(true); err != nil || f.variable() != "" {
		t.Errorf("disarmed, it has %q, %v", f.variable(), err)
	}
	if _, err := newFailpoints(1, p, nil); err == nil {
		t.Error("failures that cannot be planted were no error")
	}
	if f, err := newFailpoints(1, Profile{Crashes: 2}, nil); err != nil || f.variable() != "" {
		t.Errorf("a program without points has %q, %v", f.variable(), err)
	}
}

func TestStrikesAreReadFromTheLogs(t *testing.T) {
	logs := t.TempDir()
	for name, text := range map[string]string{
		"worker-1.log": "level=INFO msg=x\nsluice: failpoint verify.commit.after: crash\n12:00:01 sluice: failpoint verify.commit.after: crash\n",
		"worker-2.log": "sluice: failpoint publish.work.after: error\nsluice: failpoint scan.send.before: crash\n",
	} {
		if err := os.WriteFile(filepath.Join(logs, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &failpoints{crashes: []string{"scan.send.before", "thumbnail.ack.before", "verify.commit.after"}, failures: []string{"publish.work.after"}}
	counted := newTally()
	if err := f.count(counted, logs, []string{"worker-1", "worker-2"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]Strikes{
		"any planted crash": {3, 3}, "crash at verify.commit.after": {2, 2}, "crash at scan.send.before": {1, 1},
		"any planted failure": {1, 1}, "failure at publish.work.after": {1, 1},
	}
	if got := counted.counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if err := f.count(counted, logs, []string{"worker-3"}); err == nil {
		t.Error("a log that is missing was no error")
	}
}
