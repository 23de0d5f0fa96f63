package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// asProgram makes the binary of the tests the program.
const asProgram = "SLUICE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// gate lets the first parts pass to storage and holds what comes after them, until it is opened.
type gate struct {
	mu      sync.Mutex
	pass    int
	arrived []string // numbers of parts
	reached chan struct{}
	opened  chan struct{}
}

func (g *gate) around(s3 http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := r.URL.Query().Get("partNumber")
		if r.Method == http.MethodPut && number != "" && !g.admit(number) {
			close(g.reached)
			<-g.opened
			panic(http.ErrAbortHandler)
		}
		s3.ServeHTTP(w, r)
	})
}

func (g *gate) admit(number string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pass--; g.pass == -1 {
		return false
	}
	g.arrived = append(g.arrived, number)
	return true
}

// Whatever ends it, the same command goes on; what storage has is not sent again.
func TestUploadGoesOn(t *testing.T) {
	for name, tc := range map[string]struct {
		signal os.Signal
		code   int // -1: killed
		says   string
	}{
		"killed": {syscall.SIGKILL, -1, ""},
		"Ctrl-C": {os.Interrupt, exitInterrupted, "interrupted; the same command goes on"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{pass: 2, reached: make(chan struct{}), opened: make(chan struct{})}
			startAPI(t, g.around)
			dir, state := t.TempDir(), t.TempDir()
			film := writeFile(t, dir, "film.jpg", bytes.Repeat([]byte("not really a film. "), 1_500_000)) // four parts
			photo := writeJPEG(t, dir, "photo.jpg")
			args := []string{"upload", "--json", "--parts", "1", "--parallel", "1", "--type", "image/jpeg", "--state-dir", state, photo, film}

			var stderr lockedBuffer
			program := asProcess(args...)
			program.Stderr = &stderr
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			<-g.reached
			if err := program.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			_ = program.Wait() // its exit code is looked at
			close(g.opened)
			if code := program.ProcessState.ExitCode(); code != tc.code || !strings.Contains(stderr.b.String(), tc.says) {
				t.Fatalf("exit %d, %s", code, stderr.b.String())
			}
			notes, err := filepath.Glob(filepath.Join(state, "*.json"))
			if err != nil || len(notes) != 2 {
				t.Fatalf("%v, %v", notes, err)
			}
			if info, err := os.Stat(notes[0]); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}

			code, stdout, errs := sluice(t, args...)
			if code != 0 || strings.Count(stdout, `"state":"ready"`) != 2 {
				t.Fatalf("exit %d, %s, %s", code, stdout, errs)
			}
			if want := []string{"1", "2", "3", "4"}; !slices.Equal(g.arrived, want) {
				t.Errorf("parts %v arrived, want %v", g.arrived, want)
			}
			if strings.Contains(errs, "photo.jpg: sending") {
				t.Errorf("what was ready was sent again: %s", errs)
			}
			if left, err := filepath.Glob(filepath.Join(state, "*.json")); err != nil || len(left) != 0 {
				t.Errorf("%v, %v", left, err)
			}
		})
	}
}

func TestWhichFilesAreMeant(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, path := range []string{"a.jpg", "b.png", "sub/c.jpg", "sub/deep/d.jpg", "sub/.hidden/e.jpg", "sub/.f.jpg", "[g].jpg", "line\nbreak.jpg"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, path, []byte("x"))
	}
	if err := os.Symlink("../a.jpg", "sub/link.jpg"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", "sub/dangling.jpg"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("sub/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		files files
		want  []string // !: with an error
	}{
		"files":           {files{args: []string{"b.png", "a.jpg"}}, []string{"b.png", "a.jpg"}},
		"folder":          {files{args: []string{"sub"}}, []string{"sub/c.jpg", "sub/deep/d.jpg", "sub/link.jpg"}},
		"pattern":         {files{args: []string{"*.png"}}, []string{"b.png"}},
		"deep pattern":    {files{args: []string{"sub/**/*.jpg"}}, []string{"sub/c.jpg", "sub/link.jpg", "sub/deep/d.jpg"}},
		"no match":        {files{args: []string{"*.gif", "a.jpg"}}, []string{"!*.gif", "a.jpg"}},
		"like a pattern":  {files{args: []string{"[g].jpg"}}, []string{"[g].jpg"}},
		"missing":         {files{args: []string{"no.jpg", "a.jpg"}}, []string{"!no.jpg", "a.jpg"}},
		"hidden, by name": {files{args: []string{"sub/.f.jpg"}}, []string{"sub/.f.jpg"}},
		"list":            {files{args: []string{"-"}, stdin: strings.NewReader("a.jpg\n\nsub/deep\n")}, []string{"a.jpg", "sub/deep/d.jpg"}},
		"NUL":             {files{args: []string{"-", "b.png"}, null: true, stdin: strings.NewReader("line\nbreak.jpg\x00a.jpg")}, []string{"line\nbreak.jpg", "a.jpg", "b.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for path, err := range tc.files.all() {
				if err != nil {
					path = "!" + path
				}
				got = append(got, path)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
			for path, err := range tc.files.all() { // may be left early
				t.Log(path, err)
				break
			}
		})
	}
}

func TestUploadOfWhatAnotherProgramWrites(t *testing.T) {
	startAPI(t)
	path := writeJPEG(t, t.TempDir(), "a.jpg")
	stdin, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func(before *os.File) {
		os.Stdin = before
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
	}(os.Stdin)
	os.Stdin = stdin
	code, stdout, stderr := sluice(t, "upload", "--json", "--no-wait", "--no-sha256", "--metadata", "album=a=b;c", "--metadata", "n=1", "--from-stdin", "--filename", "slow or not.jpg")
	if code != exitFailed || !strings.Contains(stdout, `"metadata":{"album":"a=b;c","n":"1"}`) || !strings.Contains(stdout, `"filename":"slow or not.jpg"`) {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
}

func TestUploadThatIsCalledWrongly(t *testing.T) {
	startAPI(t)
	for name, args := range map[string][]string{
		"no file": {}, "no name": {"--from-stdin"}, "a name for files": {"--filename", "x", "a"}, "both": {"--from-stdin", "--filename", "x", "a"},
		"no parts": {"--parts", "0", "a"}, "no folder for notes": {"--state-dir", "/proc/nothing", "a"},
	} {
		if code, _, stderr := sluice(t, append([]string{"upload"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit %d, %s", name, code, stderr)
		}
	}
}

// Every file is another note, and so is every version of a file.
func TestNotes(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := writeFile(t, dir, "a.jpg", []byte("x"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := openNotes(state, "here")
	if err != nil {
		t.Fatal(err)
	}
	noted := n.find(path, info)
	noted.ID = "1"
	if err := n.write(noted); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	found["same"] = n.find(path, info).ID
	elsewhere, err := openNotes(state, "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	found["another API"] = elsewhere.find(path, info).ID
	found["another file"] = n.find(path+"2", info).ID
	writeFile(t, dir, "a.jpg", []byte("xy"))
	if info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	found["another version"] = n.find(path, info).ID
	want := map[string]string{"same": "1", "another API": "", "another file": "", "another version": ""}
	if !maps.Equal(found, want) {
		t.Error(fmt.Sprint(found))
	}
	writeFile(t, state, filepath.Base(n.path(noted)), []byte("{"))
	if found := n.find(path, info); found.ID != "" {
		t.Errorf("found %+v in what is not a note", found)
	}
}
