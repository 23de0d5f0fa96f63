package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// completions are what stands after TAB, or what is offered there.
var completions = []struct {
	line    string
	becomes string
	offers  []string
}{
	{line: "sluice up", becomes: "sluice upload "},
	{line: "sluice upload --no-sh", becomes: "sluice upload --no-sha256 "},
	{line: "sluice upload --method multi", becomes: "sluice upload --method multipart "},
	{line: "sluice upload --method put photo-of-it.jpg pho", becomes: "sluice upload --method put photo-of-it.jpg photo-of-it.jpg "},
	{line: "sluice upload --method ", offers: []string{"auto", "put", "post", "multipart"}},
}

// What the shells are told.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"sluice mig":                      "migrate",
		"sluice dlq red":                  "redrive",
		"sluice dlq redrive thu":          "thumbnail",
		"sluice worker --stages v":        "verify",
		"sluice completion ":              "bash zsh fish",
		"sluice --log-level ":             "debug info warn error",
		"sluice worker --log-format=":     "text json",
		"sluice upload --no-":             "--no-wait --no-sha256 --no-resume",
		"sluice upload --state-dir ":      "", // as without any completion: files
		"sluice upload --no-resume a.jpg": "",
	} {
		t.Setenv("COMP_LINE", line)
		code, stdout, stderr := sluice(t)
		got, expected := strings.Fields(stdout), strings.Fields(want)
		slices.Sort(got)
		slices.Sort(expected)
		if code != 0 || stderr != "" || !slices.Equal(got, expected) {
			t.Errorf("%q: exit %d, %q, %s; want %q", line, code, got, stderr, expected)
		}
	}
}

// shellFolder has a file to complete and, as sluice, the program.
func shellFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "sluice")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "photo-of-it.jpg", []byte("x"))
	return dir
}

func inShellFolder(dir string, command *exec.Cmd) *exec.Cmd {
	command.Dir = dir
	command.Env = append(os.Environ(), asProgram+"=1", "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir, "TERM=xterm", "INPUTRC=/dev/null")
	return command
}

// Real shells are typed into, on a terminal, which script is.
func TestCompletionOnATerminal(t *testing.T) {
	const home, clearLine = "\x01", "\x15" // keys
	for shell, start := range map[string]struct{ command, setUp string }{
		"bash": {"bash --norc --noprofile -i", "PS1='> '; bind 'set enable-bracketed-paste off'; source <(sluice completion bash)"},
		"zsh":  {"zsh -f -i", "PROMPT='> '; autoload -Uz compinit; compinit -u; unsetopt automenu; source <(sluice completion zsh)"},
	} {
		t.Run(shell, func(t *testing.T) {
			terminal := inShellFolder(shellFolder(t), exec.Command("script", "--quiet", "--command", "stty rows 50 cols 200; exec "+start.command, "/dev/null"))
			var screen lockedBuffer
			terminal.Stdout = &screen
			keys, err := terminal.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := terminal.Start(); err != nil {
				t.Fatal(err)
			}
			press := func(text, until string) string {
				before := len(screen.text())
				if _, err := io.WriteString(keys, text); err != nil {
					t.Fatal(err)
				}
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
					if shown := screen.text()[before:]; strings.Contains(shown, until) {
						return shown
					} else if time.Now().After(deadline) {
						t.Fatalf("%q has not come: %q", until, shown)
					}
				}
			}
			press(start.setUp+"; echo set''up\n", "setup\r")
			for _, c := range completions {
				if c.becomes != "" { // have the shell say what the line is, whatever it has drawn
					press(c.line+"\t"+home+"printf '<%s>' \n", "<"+strings.Join(strings.Fields(c.becomes), "><")+">")
				}
				for _, offer := range c.offers {
					press(c.line+"\t\t", offer)
					press(clearLine+"echo mar''k\n", "mark\r")
				}
			}
			if _, err := io.WriteString(keys, "exit\n"); err != nil {
				t.Fatal(err)
			}
			if err := terminal.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Fish says itself what it would offer.
func TestCompletionInFish(t *testing.T) {
	dir := shellFolder(t)
	for _, c := range completions {
		command := "sluice completion fish | source; complete --do-complete '" + c.line + "'"
		out, err := inShellFolder(dir, exec.Command("fish", "--no-config", "--command", command)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v, %s", err, out)
		}
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		want := slices.Clone(c.offers)
		if c.becomes != "" {
			words := strings.Fields(c.becomes)
			want = words[len(words)-1:]
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q offers %q, want %q", c.line, got, want)
		}
	}
}

func TestCompletionOfAnUnknownShell(t *testing.T) {
	if code, _, stderr := sluice(t, "completion", "tcsh"); code != exitUsage || !strings.Contains(stderr, `"bash","zsh","fish"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
