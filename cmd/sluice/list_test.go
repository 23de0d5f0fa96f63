package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestListAndDelete(t *testing.T) {
	startAPI(t)
	dir := t.TempDir()
	args := []string{"upload", "--json"}
	for i := range 105 {
		args = append(args, writeJPEG(t, dir, fmt.Sprintf("%03d.jpg", i)))
	}
	if code, _, stderr := sluice(t, args...); code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	_, slow, _ := sluice(t, "upload", "--json", "--no-wait", writeJPEG(t, dir, "slow.jpg"))
	_, bad, _ := sluice(t, "upload", "--json", writeJPEG(t, dir, "bad.jpg"))

	for name, tc := range map[string]struct {
		args []string
		want int // lines
		more bool
	}{
		"usual":       {nil, 50, true},
		"all":         {[]string{"-n", "0"}, 107, false},
		"two pages":   {[]string{"--limit", "103"}, 103, true},
		"exactly all": {[]string{"--limit", "107"}, 107, false},
		"by state":    {[]string{"--state", "rejected,initiated"}, 2, false},
		"since":       {[]string{"--since", "1h", "--json", "-n", "0"}, 107, false},
		"until":       {[]string{"--until", "1h"}, 0, false},
		"between":     {[]string{"--since", "2020-01-31", "--until", "2020-01-31T12:00:00Z"}, 0, false},
	} {
		code, stdout, stderr := sluice(t, append([]string{"list"}, tc.args...)...)
		if code != 0 || strings.Count(stdout, "\n") != tc.want || strings.Contains(stderr, "there are more") != tc.more {
			t.Errorf("%s: exit %d, %d lines, %s", name, code, strings.Count(stdout, "\n"), stderr)
		}
	}
	_, stdout, _ := sluice(t, "list", "--state", "rejected")
	if line := regexp.MustCompile(`^` + idOf(t, bad) + `  rejected +4\d\d\.0 b  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  bad\.jpg\n$`); !line.MatchString(stdout) {
		t.Errorf("printed %q", stdout)
	}

	_, stdout, _ = sluice(t, "list", "--state", "ready", "-n", "1", "--json")
	ready, none := idOf(t, stdout), "0199c1f2-0000-7000-8000-000000000000"
	code, stdout, stderr := sluice(t, "delete", idOf(t, slow), none, ready)
	if code != exitFailed || !strings.Contains(stdout, "slow.jpg  aborted  "+idOf(t, slow)) || !strings.Contains(stdout, "jpg  deleted  "+ready) ||
		!strings.Contains(stderr, none+": There is no such upload.") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, stderr = sluice(t, "delete", "--json", ready)
	if code != 0 || !strings.Contains(stdout, `"state":"deleted"`) {
		t.Errorf("again: exit %d, %s, %s", code, stdout, stderr)
	}
}

func TestMistakesAboutUploads(t *testing.T) {
	startAPI(t)
	for _, tc := range []struct{ args, says string }{
		{"list --state nonsense", "--state must be one of"},
		{"list --limit=-1", "limit: -1 is negative"},
		{"list --since yesterday", `"yesterday" is neither how long ago`},
		{"list --since 1h --until 2h", "since: is not before until"},
		{"list --since=-1h", "is neither"},
		{"delete", `expected "<id> ..."`},
		{"delete photo.jpg", "invalid UUID"},
		{"status photo.jpg", "invalid UUID"},
		{"status --wait --timeout=-1s 0199c1f2-0000-7000-8000-000000000000", "timeout: -1s is negative"},
		{"dlq list --peek=-1", "peek: -1 is negative"},
	} {
		if code, _, stderr := sluice(t, strings.Fields(tc.args)...); code != exitUsage || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s: exit %d, %s", tc.args, code, stderr)
		}
	}
}

func TestStatusThatWaitsNoLonger(t *testing.T) {
	startAPI(t)
	_, stdout, _ := sluice(t, "upload", "--json", "--no-wait", writeJPEG(t, t.TempDir(), "slow.jpg"))
	code, _, stderr := sluice(t, "status", "--wait", "--timeout", "200ms", idOf(t, stdout))
	if code != exitFailed || !strings.Contains(stderr, "no outcome in time") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestVersion(t *testing.T) {
	if code, stdout, stderr := sluice(t, "--version"); code != 0 || strings.TrimSpace(stdout) == "" || stderr != "" {
		t.Errorf("exit %d, %q, %s", code, stdout, stderr)
	}
}
