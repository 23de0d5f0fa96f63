// Package privilege runs the system's services under their own unprivileged accounts when the local stack was
// started as root, as containers and CI machines do: PostgreSQL refuses to run as root, clamd and nginx have no need to.
//
// Started as anyone else, every function here is a no-op: a nil *Account means "as we are".
package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Account is the identity that a service is dropped to. Its methods accept a nil receiver.
type Account struct {
	Name string
	UID  uint32
	GID  uint32
}

// Drop returns the first of the named accounts that exists on this system, falling back to nobody. It returns nil when
// the process does not run as root and so has nothing to drop.
func Drop(names ...string) (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range append(names, "nobody") {
		account, err := lookup(name)
		if errors.As(err, new(user.UnknownUserError)) {
			continue
		}
		return account, err
	}
	return nil, fmt.Errorf("none of the accounts %v and nobody exists to run a service as", names)
}

func lookup(name string) (*Account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user id of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group id of %s: %w", name, err)
	}
	return &Account{Name: name, UID: uint32(uid), GID: uint32(gid)}, nil
}

// Credential is what os/exec needs to start a process as the account, with no supplementary groups.
func (a *Account) Credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.UID, Gid: a.GID}
}

// Own creates the folder with the given mode when it is missing and makes the account the owner of everything in it.
func (a *Account) Own(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	if a == nil {
		return nil
	}
	// What is inside may belong to the account already: a Root follows no link that leads out.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, int(a.UID), int(a.GID))
	})
	return errors.Join(err, root.Close())
}

// Blocked returns the nearest-to-root folder on the way to dir, dir included, that the account may not enter, or ""
// when all of them are open to it. Folders that do not exist yet are not considered.
func (a *Account) Blocked(dir string) (string, error) {
	if a == nil {
		return "", nil
	}
	var chain []string
	for path := filepath.Clean(dir); ; path = filepath.Dir(path) {
		chain = append(chain, path)
		if path == filepath.Dir(path) {
			break
		}
	}
	for i := len(chain) - 1; i >= 0; i-- {
		info, err := os.Stat(chain[i])
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("inspect %s: %w", chain[i], err)
		}
		if !a.mayEnter(info) {
			return chain[i], nil
		}
	}
	return "", nil
}

func (a *Account) mayEnter(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	const ownerEnters, groupEnters, othersEnter = 0o100, 0o010, 0o001
	switch {
	case stat.Uid == a.UID:
		return info.Mode()&ownerEnters != 0
	case stat.Gid == a.GID:
		return info.Mode()&groupEnters != 0
	default:
		return info.Mode()&othersEnter != 0
	}
}
