//go:build failpoints

package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

const crashLimit = time.Minute // until a process comes to the point at which it dies

// story is something during which a process may die.
type story struct {
	points []string // the beginnings of the names of those at which it does
	tell   func(t *testing.T, c *crash)
}

// stories has every point in one of them at least.
func stories() map[string]story {
	all := map[string]story{}
	for _, some := range []map[string]story{workerStories(), apiStories(), operatorStories()} {
		maps.Copy(all, some)
	}
	return all
}

// crash is the death of a process at a point, in a world of its own.
type crash struct {
	*operatorBundle
	program  string
	point    string
	receiver *receiver
}

// TestAnyoneMayDieAnywhere kills a real process at each point in turn. Nothing is lost, nothing is told twice and nothing
// is left over.
func TestAnyoneMayDieAnywhere(t *testing.T) {
	t.Parallel()
	program := buildSluice(t, "-tags", "failpoints")
	for what, s := range stories() {
		for _, point := range pipeline.Failpoints() {
			if !begins(point, s.points) {
				continue
			}
			t.Run(what+"/"+point, func(t *testing.T) {
				t.Parallel()
				b := bundleApart(t)
				if _, err := sagas.Migrate(t.Context(), b.pool); err != nil {
					t.Fatal(err)
				}
				s.tell(t, &crash{operatorBundle: b, program: program, point: point, receiver: newReceiver(t)})
			})
		}
	}
}

func TestSomebodyDiesAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	points := pipeline.Failpoints()
	var tried []string
	for what, s := range stories() {
		for _, prefix := range s.points {
			if !slices.ContainsFunc(points, func(point string) bool { return strings.HasPrefix(point, prefix) }) {
				t.Errorf("%s: there are no points %s", what, prefix)
			}
		}
		tried = append(tried, s.points...)
	}
	for _, point := range points {
		if !begins(point, tried) {
			t.Errorf("nobody dies at %s", point)
		}
	}
}

func TestAReleaseHasNoFailpoints(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{buildSluice(t): false, buildSluice(t, "-tags", "failpoints"): true} {
		symbols, err := exec.Command("go", "tool", "nm", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(symbols, []byte("pipeline/failpoint.")); got != want {
			t.Errorf("%s: symbols of failpoints: %t, want %t", path, got, want)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte("SLUICE_FAILPOINTS")); got != want {
			t.Errorf("%s: their variable: %t, want %t", path, got, want)
		}
	}
}

func buildSluice(t *testing.T, arguments ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.Command("go", append([]string{"build", "-o", path}, append(arguments, ".")...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func begins(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// ends has a worker bring the upload to its end, of which everyone is told once. Nothing is left over.
func (c *crash) ends(t *testing.T, u sagas.Upload, want sagas.State) {
	t.Helper()
	worker := c.start(t, quickly(c.receiver.URL), "worker")
	c.settles(t, u.ID, want, &worker.log)
	worker.stop()
	if ids := c.receiver.ids(); len(ids) != 1 {
		t.Errorf("webhooks with the ids %q, want one", ids)
	}
	c.judgeLeftovers(t, u, want)
}

func (c *crash) judgeLeftovers(t *testing.T, u sagas.Upload, state sagas.State) {
	t.Helper()
	var published []string
	if state == sagas.Ready {
		record, err := c.store.Load(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		published = []string{u.Key}
		for _, v := range record.Variants {
			published = append(published, v.Key)
		}
		slices.Sort(published)
	}
	if got := storagetest.Keys(t, c.media); !slices.Equal(got, published) {
		t.Errorf("in media are %q, want %q", got, published)
	}
	if got := storagetest.Unfinished(t, c.media); len(got) != 0 {
		t.Errorf("unfinished in media are %q", got)
	}
	if got := storagetest.Keys(t, c.bucket); len(got) != 0 {
		t.Errorf("in incoming are %q", got)
	}
	for _, stage := range pipeline.Stages() {
		if _, dead := c.depths(t, stage); dead != 0 {
			t.Errorf("%s has %d dead letters", stage, dead)
		}
	}
}

// process is a real one of Sluice's.
type process struct {
	t       *testing.T
	log     lockedBuffer
	cmd     *exec.Cmd
	planted []string // failpoints that are to strike
}

// start gives the process an environment on top of the test's own.
func (c *crash) start(t *testing.T, env map[string]string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(c.program, args...)}
	p.cmd.Env = os.Environ()
	for _, some := range []map[string]string{c.env, env} {
		for name, value := range some {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// startDoomed starts a process that is to die at the point. What else is planted makes it come there.
func (c *crash) startDoomed(t *testing.T, env map[string]string, planted []string, args ...string) *process {
	t.Helper()
	planted = append(planted, c.point+"=crash")
	doomed := map[string]string{"SLUICE_FAILPOINTS": strings.Join(planted, ";")}
	maps.Copy(doomed, env)
	p := c.start(t, doomed, args...)
	p.planted = planted
	return p
}

// dies waits until the process has died at its point, and not before it came to all that is planted.
func (p *process) dies() {
	p.t.Helper()
	if err := p.wait(crashLimit); !killed(err) {
		p.t.Fatalf("the process ended with %v, and was to die at the point\n%s", err, &p.log)
	}
	for _, plant := range p.planted {
		if name, _, _ := strings.Cut(plant, "="); !strings.Contains(p.log.String(), "sluice: failpoint "+name+": ") {
			p.t.Errorf("the process did not come to %s\n%s", name, &p.log)
		}
	}
}

// wait returns how the process ended; it is ended at the limit.
func (p *process) wait(limit time.Duration) error {
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	return p.cmd.Wait()
}

func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Error(err)
	}
	if err := p.wait(crashLimit); err != nil {
		p.t.Errorf("the successor ended with %v\n%s", err, &p.log)
	}
}
