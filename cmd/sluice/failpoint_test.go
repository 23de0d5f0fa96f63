//go:build failpoints

package main

import (
	"bytes"
	"errors"
	"net/http/httptest"
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

const crashLimit = time.Minute // until a worker comes to the point at which it dies

// elsewhere are the points that no worker comes to on its way to these ends: they are the API's, which has a test of its
// own, an operator's, or of files that are copied in parts.
var elsewhere = []string{"api.", "operator.", "s3.DeleteObject.", "s3.CreateMultipartUpload.", "s3.UploadPartCopy.", "s3.CompleteMultipartUpload.",
	"sqs.ChangeMessageVisibilityBatch.", "notify.send."}

// expiring are the points that a worker comes to when nothing was uploaded, or not all of it.
var expiring = []string{"sweeper.", "s3.AbortMultipartUpload."}

func buildSluice(t *testing.T, arguments ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.Command("go", append([]string{"build", "-o", path}, append(arguments, ".")...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func TestAReleaseHasNoFailpoints(t *testing.T) {
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

// TestAWorkerMayDieAnywhere kills a real worker at each point in turn. Its successor must bring the upload to its
// end and leave nothing over.
func TestAWorkerMayDieAnywhere(t *testing.T) {
	program := buildSluice(t, "-tags", "failpoints")
	for _, name := range pipeline.Failpoints() {
		if begins(name, elsewhere) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			b := newOperatorBundle(t)
			receiver := newReceiver(t)
			begin, want := b.sent, sagas.Ready
			if begins(name, expiring) {
				begin, want = b.neverSent, sagas.Expired
			}
			u := begin(t)
			doomed := quickly(receiver.URL)
			doomed["SLUICE_FAILPOINTS"] = name + "=crash"
			first := process{t: t, program: program, command: "worker", env: doomed}
			first.start()
			if err := first.wait(crashLimit); !killed(err) {
				t.Fatalf("the worker ended with %v, and was to die at the point\n%s", err, &first.log)
			}
			second := process{t: t, program: program, command: "worker", env: quickly(receiver.URL)}
			second.start()
			b.settles(t, u.ID, want, &second.log)
			second.stop()
			if ids := receiver.ids(); len(ids) != 1 {
				t.Errorf("webhooks with the ids %q, want one", ids)
			}
			b.judgeLeftovers(t, u, want)
		})
	}
}

func begins(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// sent is an upload whose photograph and event have come.
func (b *operatorBundle) sent(t *testing.T) sagas.Upload {
	t.Helper()
	photo, err := os.ReadFile("../../testdata/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return b.sentAs(t, photo)
}

func (b *operatorBundle) judgeLeftovers(t *testing.T, u sagas.Upload, state sagas.State) {
	t.Helper()
	var published []string
	if state == sagas.Ready {
		published = []string{"thumbnails/" + u.ID.String() + "/200.jpg", u.Key}
	}
	if got := storagetest.Keys(t, os.Getenv("SLUICE_S3_MEDIA_BUCKET")); !slices.Equal(got, published) {
		t.Errorf("in media are %q, want %q", got, published)
	}
	if got := storagetest.Keys(t, b.bucket); len(got) != 0 {
		t.Errorf("in incoming are %q", got)
	}
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// process is a real one of Sluice's.
type process struct {
	t       *testing.T
	program string
	command string
	env     map[string]string // on top of the test's own
	log     lockedBuffer
	cmd     *exec.Cmd
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.program, p.command)
	p.cmd.Env = os.Environ()
	for name, value := range p.env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns how the process ended; it is ended at the limit.
func (p *process) wait(limit time.Duration) error {
	timer := time.AfterFunc(limit, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	return p.cmd.Wait()
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
