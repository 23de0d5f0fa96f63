package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// elsewhere begin the names of the points that no worker comes to in the usual course of an upload.
var elsewhere = []string{
	"api.", "operator.", "sweeper.", "notify.send.", "s3.DeleteObject.", "s3.CreateMultipartUpload.", "s3.UploadPartCopy.",
	"s3.CompleteMultipartUpload.", "s3.AbortMultipartUpload.", "sqs.ChangeMessageVisibilityBatch.", "sqs.SendMessage.", "sqs.DeleteMessage.",
	"sqs.StartMessageMoveTask.", "sqs.CancelMessageMoveTask.",
}

// failpoints is what strikes inside of the workers: a program that was built with the tag failpoints dies, or fails, where
// SLUICE_FAILPOINTS says. It is empty when the program has no points.
type failpoints struct {
	crashes  []string // points at which workers die, at times
	crash    float64  // percent of the times that one of crashes is come to
	failures []string // points at which they fail, at times
	share    int      // percent of the times that one of failures is come to

	disarmed atomic.Bool // when the faults are over
}

// failpointsVariable arms the points of a process.
const failpointsVariable = "SLUICE_FAILPOINTS"

// newFailpoints draws where workers die. The same seed, profile and points give the same.
func newFailpoints(seed uint64, p Profile, points []string) (*failpoints, error) {
	if len(points) == 0 && len(p.Failures) > 0 {
		return nil, errors.New("this profile needs a sluice that was built with -tags failpoints")
	}
	usual := slices.DeleteFunc(slices.Clone(points), func(point string) bool {
		return slices.ContainsFunc(elsewhere, func(prefix string) bool { return strings.HasPrefix(point, prefix) })
	})
	dice := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // Reproducible on purpose.
	dice.Shuffle(len(usual), func(i, j int) { usual[i], usual[j] = usual[j], usual[i] })
	crashes := usual[:min(p.Crashes, len(usual))]
	slices.Sort(crashes)
	return &failpoints{crashes: crashes, crash: p.CrashShare, failures: p.Failures, share: p.FailureShare}, nil
}

// String describes them in the words of the plan that is printed.
func (f *failpoints) String() string {
	var lines []string
	if len(f.crashes) > 0 {
		lines = append(lines, fmt.Sprintf("  workers die at %g%% of: %s", f.crash, strings.Join(f.crashes, ", ")))
	}
	if len(f.failures) > 0 {
		lines = append(lines, fmt.Sprintf("  they fail at %d%% of: %s", f.share, strings.Join(f.failures, ", ")))
	}
	return strings.Join(lines, "\n")
}

// variable is what the environment of a worker says.
func (f *failpoints) variable() string {
	if f.disarmed.Load() {
		return ""
	}
	var armed []string
	for _, point := range f.crashes {
		armed = append(armed, fmt.Sprintf("%s=crash@%g%%", point, f.crash))
	}
	for _, point := range f.failures {
		armed = append(armed, fmt.Sprintf("%s=error:planted@%d%%", point, f.share))
	}
	return strings.Join(armed, ";")
}

// count reads from the logs of the processes, by their names, how often each point struck.
func (f *failpoints) count(t *tally, logs string, processes []string) error {
	struck := map[string]int{}
	for _, name := range processes {
		if err := readStrikes(filepath.Join(logs, name+".log"), struck); err != nil {
			return err
		}
	}
	for what, points := range map[string][]string{"crash": f.crashes, "failure": f.failures} {
		if len(points) == 0 {
			continue
		}
		total := 0
		for _, point := range points {
			total += struck[point]
			if struck[point] > 0 {
				t.set(what+" at "+point, struck[point])
			}
		}
		t.set("any planted "+what, total)
	}
	return nil
}

// readStrikes adds up the lines that a failpoint writes when it strikes: "sluice: failpoint NAME: ACTION".
func readStrikes(path string, struck map[string]int) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("count the strikes of failpoints: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if _, strike, found := strings.Cut(lines.Text(), "sluice: failpoint "); found {
			point, _, _ := strings.Cut(strike, ": ")
			struck[point]++
		}
	}
	return lines.Err()
}
