package privilege_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/privilege"
)

func TestBlockedFindsTheClosedParent(t *testing.T) {
	account := &privilege.Account{Name: "stranger", UID: 60001, GID: 60001}
	base := localtest.Folder(t)
	closed := filepath.Join(base, "closed")
	inside := filepath.Join(closed, "inside", "not-yet-there")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct{ dir, want string }{
		"open folder":                {base, ""},
		"missing folder in open one": {filepath.Join(base, "new"), ""},
		"closed folder itself":       {closed, closed},
		"under a closed folder":      {inside, closed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := account.Blocked(test.dir)
			if err != nil || got != test.want {
				t.Fatalf("Blocked(%s) = %q, %v, want %q", test.dir, got, err, test.want)
			}
		})
	}

	t.Run("no account, nothing blocked", func(t *testing.T) {
		var none *privilege.Account
		if got, err := none.Blocked(inside); err != nil || got != "" {
			t.Fatalf("Blocked = %q, %v, want none", got, err)
		}
	})
}

func TestDropFromRoot(t *testing.T) {
	account, err := privilege.Drop("no-such-account", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if account != nil || account.Credential() != nil {
			t.Fatalf("not root, yet dropping to %+v", account)
		}
		return
	}
	if account == nil || account.UID == 0 {
		t.Fatalf("root drops to %+v, want nobody", account)
	}

	dir := filepath.Join(t.TempDir(), "owned")
	if err := os.MkdirAll(filepath.Join(dir, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := account.Own(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "deep"))
	if err != nil {
		t.Fatal(err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != account.UID {
		t.Fatalf("owner of a nested folder: %+v, want user %d", info.Sys(), account.UID)
	}
}
