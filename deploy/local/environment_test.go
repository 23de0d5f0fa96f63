package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEnvironmentReadsBackInAShell(t *testing.T) {
	e := environment{
		{"SLUICE_PLAIN", "plain"},
		{"SLUICE_URL_LIKE", "postgres://sluice:p%40ss@127.0.0.1:8084/sluice?sslmode=disable&a=b"},
		{"SLUICE_AWKWARD", "$HOME `id` \"double\" \\ # ! ; * ~ é"},
		{"SLUICE_EMPTY", ""},
	}
	text, err := e.text()
	if err != nil {
		t.Fatal(err)
	}
	got := sourced(t, text)
	for _, v := range e {
		if got[v.name] != v.value {
			t.Errorf("%s = %q, want %q", v.name, got[v.name], v.value)
		}
	}
}

func TestEnvironmentRefusesWhatCannotBeQuoted(t *testing.T) {
	for _, value := range []string{"it's", "two\nlines", "nul\x00"} {
		if text, err := (environment{{"SLUICE_X", value}}).text(); err == nil {
			t.Errorf("%q was written as %q", value, text)
		}
	}
}

func TestEnvironmentOverTheInherited(t *testing.T) {
	e := environment{{"SLUICE_URL", "ours"}, {"AWS_REGION", "ours"}}
	got := e.over([]string{"PATH=/bin", "SLUICE_URL=theirs", "AWS_PROFILE=theirs", "AWS_REGION=theirs", "SLUICE_OTHER=theirs"})
	slices.Sort(got)
	if want := []string{"AWS_REGION=ours", "PATH=/bin", "SLUICE_OTHER=theirs", "SLUICE_URL=ours"}; !slices.Equal(got, want) {
		t.Fatalf("environment = %q, want %q", got, want)
	}
}

func TestEnvironmentInheritsSluiceVariables(t *testing.T) {
	e := environment{{"SLUICE_URL", "ours"}}
	e.inherit([]string{"SLUICE_URL=theirs", "SLUICE_WEBHOOK_URL=theirs", "SLUICE_LOCAL_PORT_BASE=9000", "PATH=/bin"})
	if want := (environment{{"SLUICE_URL", "ours"}, {"SLUICE_WEBHOOK_URL", "theirs"}}); !slices.Equal(e, want) {
		t.Fatalf("environment = %q, want %q", e, want)
	}
}

// sourced returns what `set -a; . FILE` makes of the text.
func sourced(t *testing.T, text string) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("/bin/sh", "-c", `set -a; . "$1"; exec env -0`, "sh", path)
	shell.Env = []string{"PATH=/usr/bin:/bin"}
	output, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for assignment := range strings.SplitSeq(string(output), "\x00") {
		name, value, _ := strings.Cut(assignment, "=")
		// The shell has variables of its own.
		if strings.Contains(text, "\n"+name+"=") {
			variables[name] = value
		}
	}
	return variables
}
