package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/sagas/sagatest"
)

func TestLimitsCommands(t *testing.T) {
	t.Setenv("SLUICE_DATABASE_URL", sagatest.Config(t).URL)
	if code, _, stderr := sluice(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	if code, stdout, stderr := sluice(t, "limits", "show", "acme"); code != 0 || strings.Count(stdout, "default") != 5 {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, stderr := sluice(t, "limits", "set", "acme", "--files-in-flight=5", "--bytes-in-flight=0", "--allowed-types=image/png,image/webp")
	if code != 0 || !strings.Contains(stdout, "no limit") || !strings.Contains(stdout, "image/png, image/webp") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, stderr = sluice(t, "limits", "set", "acme", "--requests-per-second=2.5", "--max-size=1000", "--json")
	var set limitsView
	if err := json.Unmarshal([]byte(stdout), &set); err != nil || code != 0 {
		t.Fatalf("exit %d, %s, %s, %v", code, stdout, stderr, err)
	}
	if *set.RequestsPerSecond != 2.5 || *set.MaxSize != 1000 || *set.FilesInFlight != 5 || *set.BytesInFlight != 0 || len(set.AllowedTypes) != 2 || set.UpdatedAt == nil {
		t.Errorf("%s", stdout)
	}
	for _, args := range [][]string{
		{"set", "acme"},
		{"set", "../x", "--max-size=1"},
		{"set", "acme", "--max-size=0"},
		{"set", "acme", "--max-size=9999999999999"},
		{"set", "acme", "--files-in-flight=-1"},
		{"set", "acme", "--bytes-in-flight=-1"},
		{"set", "acme", "--requests-per-second=-1"},
		{"set", "acme", "--requests-per-second=NaN"},
		{"set", "acme", "--allowed-types=text/html"},
		{"show"},
	} {
		if code, stdout, stderr := sluice(t, append([]string{"limits"}, args...)...); code != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("%v: exit %d, %s", args, code, stdout)
		}
	}
	if code, stdout, stderr := sluice(t, "limits", "clear", "acme"); code != 0 || strings.Count(stdout, "default") != 5 {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	if _, stdout, _ := sluice(t, "limits", "show", "acme", "--json"); strings.TrimSpace(stdout) != `{"tenant":"acme"}` {
		t.Error(stdout)
	}
}
