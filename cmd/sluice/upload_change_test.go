package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"
)

// during calls what, once, when the first byte is about to reach storage.
func during(what func()) func(http.Handler) http.Handler {
	var once sync.Once
	return func(s3 http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && r.URL.Query().Has("X-Amz-Signature") {
				once.Do(what)
			}
			s3.ServeHTTP(w, r)
		})
	}
}

// What was sent of a file that changes meanwhile is nobody's file.
func TestUploadOfAFileThatChanges(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grows": func(path string) error {
			file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = io.WriteString(file, "more")
			return err
		},
		"shrinks":        func(path string) error { return os.Truncate(path, 10) },
		"is overwritten": func(path string) error { return os.WriteFile(path, []byte("something else"), 0) },
	} {
		for _, args := range [][]string{nil, {"--no-sha256"}} {
			t.Run(name+strings.Join(args, ""), func(t *testing.T) {
				path := writeJPEG(t, t.TempDir(), "a.jpg")
				startAPI(t, during(func() {
					if err := change(path); err != nil {
						t.Error(err)
					}
				}))
				code, stdout, stderr := sluice(t, append([]string{"upload", "--json", path}, args...)...)
				if code != exitFailed || !strings.Contains(stdout, `"code":"changed"`) {
					t.Fatalf("exit %d, %s, %s", code, stdout, stderr)
				}
				if !strings.Contains(stdout, `"state":"aborted"`) && !strings.Contains(stdout, `"state":"deleted"`) {
					t.Errorf("what was sent is left: %s", stdout)
				}
				if code, stdout, stderr := sluice(t, "upload", "--json", path); code != 0 {
					t.Errorf("once more: exit %d, %s, %s", code, stdout, stderr)
				}
			})
		}
	}
}

// Two processes with the same file make two uploads, each whole.
func TestUploadBesideAnother(t *testing.T) {
	g := &gate{pass: 1, reached: make(chan struct{}), opened: make(chan struct{})}
	startAPI(t, g.around)
	film := writeFile(t, t.TempDir(), "film.jpg", []byte(strings.Repeat("not really a film. ", 700_000))) // two parts
	args := []string{"upload", "--json", "--parts", "1", "--type", "image/jpeg", "--state-dir", t.TempDir(), film}

	var stdout, stderr lockedBuffer
	first := asProcess(args...)
	first.Stdout, first.Stderr = &stdout, &stderr
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-g.reached
	second, err := asProcess(args...).Output()
	if err != nil || strings.Count(string(second), `"state":"ready"`) != 1 {
		t.Fatalf("the second: %v, %s", err, second)
	}
	close(g.opened) // the first has to send that part again
	if err := first.Wait(); err != nil || strings.Count(stdout.b.String(), `"state":"ready"`) != 1 {
		t.Fatalf("the first: %v, %s, %s", err, stdout.b.String(), stderr.b.String())
	}
	if idOf(t, string(second)) == idOf(t, stdout.b.String()) {
		t.Error("both are one upload")
	}
}

func TestUploadOfWhatNobodyMayRead(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	good := writeJPEG(t, dir, "good.jpg")
	closed := writeJPEG(t, dir, "closed.jpg")
	folder, state := filepath.Join(dir, "folder"), filepath.Join(dir, "state")
	for _, path := range []string{folder, state} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, good: 0o644, closed: 0, folder: 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	program := asProcess("upload", "--json", "--state-dir", state, folder, closed, good)
	if os.Getuid() == 0 { // who may read everything
		program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := os.Chown(state, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	program.Path = copyOfTests(t, dir)
	out, err := program.Output()
	if code := program.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit %d, %v", code, err)
	}
	for _, want := range []string{`"filename":"folder"`, `"filename":"closed.jpg"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
	if strings.Count(string(out), `{"code":"unreadable","detail":"permission denied"}`) != 2 || strings.Count(string(out), `"state":"ready"`) != 1 {
		t.Errorf("printed %s", out)
	}
}

// copyOfTests is this program where everybody may run it.
func copyOfTests(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, dir, "program", data)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// asProcess is the program in a process of its own.
func asProcess(args ...string) *exec.Cmd {
	program := exec.Command(os.Args[0], args...)
	program.Env = append(os.Environ(), asProgram+"=1")
	return program
}

// A name is for people: none is lost, and none reaches the terminal as anything but a name.
func TestUploadOfStrangeNames(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"odd\xff.jpg", "new\nline.jpg", "red\x1b[31m.jpg", "a, b.jpg", "--json.jpg", strings.Repeat("é", 120) + ".jpg"} {
		paths = append(paths, writeJPEG(t, dir, name))
	}
	code, stdout, stderr := sluice(t, append([]string{"upload"}, paths...)...)
	if code != exitFailed || !strings.Contains(stderr, "2 of 6 files are not ready") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	for _, want := range []string{
		"odd\uFFFD.jpg  ready", `new\nline.jpg"  not sent`, `red\x1b[31m.jpg"  not sent`, "must not have control characters", "a, b.jpg  ready", "é.jpg  ready",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in %s", want, stdout)
		}
	}
	if strings.Contains(stdout+stderr, "\x1b") || !utf8.ValidString(stdout+stderr) {
		t.Errorf("printed %q, %q", stdout, stderr)
	}
}

func TestUploadOfAFileNamedTwice(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	path := writeJPEG(t, dir, "a.jpg")
	code, stdout, stderr := sluice(t, "upload", "--json", path, dir, filepath.Join(dir, "*.jpg"), dir+"/./a.jpg")
	if code != 0 || strings.Count(stdout, "\n") != 1 {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
}

func TestUploadOfNothing(t *testing.T) {
	startAPI(t)
	code, _, stderr := sluice(t, "upload", t.TempDir())
	if code != exitFailed || !strings.Contains(stderr, "there are no files in what was named") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Nobody has to end what a program waits for.
func TestInterruptWhileStandardInputIsSilent(t *testing.T) {
	startAPI(t)
	for _, args := range [][]string{{"--from-stdin", "--filename", "a.jpg"}, {"-"}} {
		program := asProcess(append([]string{"upload"}, args...)...)
		silent, err := program.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := program.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(silent, strings.Repeat("\n", 1<<20)); err != nil { // it is being read by the time that this is written
			t.Error(err)
		}
		if err := program.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = program.Wait() // its exit code is looked at
		if code := program.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	startAPI(t)
	for says, args := range map[string]string{
		"parts: -1 is not positive":        "upload --parts=-1 a",
		"parallel: 0 is not positive":      "upload -j 0 a",
		"timeout: -5s is not positive":     "upload --timeout=-5s a",
		"file: a name is empty":            "upload \x00",
		`filename: ".." is a folder`:       "upload --from-stdin --filename ..",
		"from-stdin: takes no other files": "upload --from-stdin a",
		"name files, folders or patterns":  "upload",
		"--method must be one of":          "upload --method=ftp a",
	} {
		var list []string
		for _, arg := range strings.Fields(args) {
			list = append(list, strings.Trim(arg, "\x00"))
		}
		if code, _, stderr := sluice(t, list...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
}
