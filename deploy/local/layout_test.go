package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLayoutUnderAClosedFolderKeepsStateElsewhere(t *testing.T) {
	closed := filepath.Dir(dataFolder(t))
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := openLayout(filepath.Join(closed, ".sluice"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.remove(); err != nil {
			t.Error(err)
		}
	}()
	root := os.Geteuid() == 0
	if l.separate() != root || strings.HasPrefix(l.service("postgres"), closed) == root {
		t.Fatalf("as root: %t, closed: %q, state in %s", root, l.closed, l.state)
	}
	if root && l.closed != closed {
		t.Fatalf("closed is %q, want %q", l.closed, closed)
	}

	again, err := openLayout(filepath.Join(closed, ".sluice"))
	if err != nil || again != l {
		t.Fatalf("opened again: %+v, %v; want %+v", again, err, l)
	}
}

func TestLayoutUnderAnOpenFolderKeepsAllTogether(t *testing.T) {
	l, err := openLayout(dataFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	if l.separate() || !strings.HasPrefix(l.service("postgres"), l.data) {
		t.Fatalf("state in %s, data in %s", l.state, l.data)
	}
}

func TestLayoutLockTellsACrash(t *testing.T) {
	l, err := openLayout(dataFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	release, crashed, err := l.lock()
	if err != nil || crashed {
		t.Fatalf("first lock: crashed %t, %v", crashed, err)
	}
	if _, _, err := l.lock(); err == nil || !strings.Contains(err.Error(), "already runs") {
		t.Fatalf("second lock: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, crashed, err = l.lock()
	if err != nil || crashed {
		t.Fatalf("lock after release: crashed %t, %v", crashed, err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	// A killed process loses its lock but leaves its id.
	if err := os.WriteFile(filepath.Join(l.data, "lock"), []byte("12345\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	release, crashed, err = l.lock()
	if err != nil || !crashed {
		t.Fatalf("lock after a crash: crashed %t, %v", crashed, err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	first, created, err := openSecrets(path)
	if err != nil || !created {
		t.Fatalf("first: created %t, %v", created, err)
	}
	second, created, err := openSecrets(path)
	if err != nil || created || first != second {
		t.Fatalf("second: created %t, equal %t, %v", created, first == second, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}
