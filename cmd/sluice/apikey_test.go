package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-media/sluice/sagas/sagatest"
)

func TestAPIKeyCommands(t *testing.T) {
	t.Setenv("SLUICE_DATABASE_URL", sagatest.Config(t).URL)
	if code, _, stderr := sluice(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, stderr := sluice(t, "apikey", "create", "--tenant=acme", "--subject=importer", "--name=nightly\x1b", "--expires-in=1h", "--json")
	var created apiKeyView
	if err := json.Unmarshal([]byte(stdout), &created); err != nil || code != 0 {
		t.Fatalf("exit %d, %s, %s, %v", code, stdout, stderr, err)
	}
	if !strings.HasPrefix(created.Key, "sluice_"+created.ID+"_") || created.ExpiresAt == nil || created.Subject != "importer" {
		t.Errorf("%+v", created)
	}
	code, stdout, _ = sluice(t, "apikey", "create", "--tenant=rival", "--subject=x")
	if code != 0 || !strings.HasPrefix(stdout, "sluice_") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("exit %d, %q", code, stdout)
	}

	secret := strings.TrimPrefix(created.Key, "sluice_"+created.ID+"_")
	for _, args := range [][]string{{"apikey", "list"}, {"apikey", "list", "--json", "--tenant=acme"}, {"apikey", "revoke", created.ID}} {
		code, stdout, stderr := sluice(t, args...)
		if code != 0 || !strings.Contains(stdout, created.ID) || strings.Contains(stdout, secret) || strings.Contains(stdout, "\x1b") {
			t.Errorf("%v: exit %d, %q, %s", args, code, stdout, stderr)
		}
	}
	var list struct {
		APIKeys []apiKeyView `json:"api_keys"`
	}
	_, stdout, _ = sluice(t, "apikey", "list", "--json")
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list.APIKeys) != 2 || list.APIKeys[0].RevokedAt == nil || list.APIKeys[1].RevokedAt != nil {
		t.Errorf("%s, %v", stdout, err)
	}

	if code, _, stderr := sluice(t, "apikey", "revoke", "nothing"); code != exitFailed || !strings.Contains(stderr, "no such api key") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"--tenant=a/b", "--subject=x"}, {"--tenant=acme", "--subject="}, {"--subject=x"}, {"--tenant=a", "--subject=x", "--expires-in=-1h"}} {
		if code, stdout, _ := sluice(t, append([]string{"apikey", "create"}, args...)...); code != exitUsage || stdout != "" {
			t.Errorf("%v: exit %d, %s", args, code, stdout)
		}
	}
}
