package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

func idOf(t *testing.T, line string) string {
	t.Helper()
	var u v1.Upload
	if err := json.Unmarshal([]byte(line), &u); err != nil || u.ID == "" {
		t.Fatalf("%s: %v", line, err)
	}
	return u.ID
}

// In the end all files are over and no byte is missing, whatever became of them.
func TestTotalAddsUp(t *testing.T) {
	for name, expected := range map[string]bool{"counted before": true, "counted on the way": false} {
		t.Run(name, func(t *testing.T) {
			d := newDisplay(io.Discard, true)
			d.counts.expected = expected
			if expected {
				d.count(4, 0, 100+50+70)
			}
			sent := d.track(0, "sent", 100)
			for _, n := range []int64{0, 60, 0, 100} { // a try that failed between
				sent.sent(n)
			}
			sent.end()
			resumed := d.track(1, "resumed", 50)
			resumed.sent(30)
			resumed.sent(50)
			resumed.end()
			d.track(2, "refused", 70).end()
			d.skip()
			d.close()
			c := &d.counts
			if c.files != 4 || c.over != 4 || c.size != 150 || d.total.Current() != 150 || c.moved != 180 {
				t.Errorf("%d of %d files, %d of %d bytes, of which %d were moved", c.over, c.files, d.total.Current(), c.size, c.moved)
			}
		})
	}
}

// On a terminal, which script is, every file has its bar.
func TestUploadOnATerminal(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	for _, tc := range []struct{ columns, term, want, not string }{
		{"80", "xterm", "1 of 2 files", ""},
		{"40", "xterm", "1 of 2 files", "KiB /"},
		{"80", "dumb", "slow.jpg: sending", "1 of 2 files"},
	} {
		inside := "stty rows 24 cols " + tc.columns + "; exec '" + os.Args[0] + "' upload --no-resume --timeout 1s '" + writeJPEG(t, dir, "slow.jpg") + "' '" + filepath.Join(dir, "none") + "'"
		terminal := exec.Command("script", "--quiet", "--return", "--command", inside, "/dev/null")
		terminal.Env = append(os.Environ(), asProgram+"=1", "TERM="+tc.term)
		out, err := terminal.CombinedOutput()
		if code := terminal.ProcessState.ExitCode(); code != exitFailed {
			t.Errorf("%+v: exit %d, %v", tc, code, err)
		}
		text := string(out)
		if !strings.Contains(text, tc.want) || tc.not != "" && strings.Contains(text, tc.not) || !strings.Contains(text, "timeout: no outcome in time") {
			t.Errorf("%+v: %q", tc, text)
		}
	}
}

func TestNamesFitTheScreen(t *testing.T) {
	for name, want := range map[string]string{
		"a.jpg": "a.jpg", "ünï 1.jpg": "ünï 1.jpg", "": `""`, "a\x1b[31m": `"a\x1b[31m"`, "a\xff": `"a\xff"`, "a\u202eb": `"a\u202eb"`, "a\nb": `"a\nb"`,
	} {
		if got := printable(name); got != want {
			t.Errorf("%q is shown as %s, want %s", name, got, want)
		}
	}
	if got := shorten("a very long name of a photograph indeed.jpg"); got != "a very long name of a…indeed.jpg" {
		t.Errorf("shortened to %s", got)
	}
}
