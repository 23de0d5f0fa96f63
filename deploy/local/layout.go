package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-media/sluice/deploy/local/privilege"
)

// layout is where a stack keeps its files. All paths are absolute: the S3 server changes the working folder.
type layout struct {
	// data is the operator's folder: environment, secrets, logs, objects, messages.
	data string
	// state holds what services own that run under other accounts. It is data too, unless data is under a folder
	// that those accounts may not enter, as root's home is.
	state string
	// closed is the folder that made state another place than data, or empty.
	closed string
}

// closedHome takes the state of stacks whose data folder other accounts cannot reach.
const closedHome = "/var/lib/sluice-local"

func openLayout(dir string) (layout, error) {
	data, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	if err := os.MkdirAll(data, 0o711); err != nil { //nolint:gosec // Services under other accounts pass through; what is secret has its own mode.
		return layout{}, err
	}
	if data, err = filepath.EvalSymlinks(data); err != nil {
		return layout{}, err
	}
	if err := os.Chmod(data, 0o711); err != nil { //nolint:gosec // As above.
		return layout{}, err
	}
	l := layout{data: data, state: data}
	if err := os.MkdirAll(l.logs(), 0o700); err != nil {
		return layout{}, err
	}
	l.closed, err = closedFolder(data)
	if err != nil || l.closed == "" {
		return l, err
	}
	sum := sha256.Sum256([]byte(data))
	l.state = filepath.Join(closedHome, hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(l.state, 0o711); err != nil { //nolint:gosec // As above.
		return layout{}, fmt.Errorf("%s is closed to the accounts that services run as, and there is no other place: %w", l.closed, err)
	}
	return l, nil
}

// closedFolder is the folder that keeps some service's account from entering dir, or "".
func closedFolder(dir string) (string, error) {
	for _, name := range []string{"postgres", "clamav", "www-data", "prometheus"} {
		account, err := privilege.Drop(name)
		if err != nil {
			return "", err
		}
		if closed, err := account.Blocked(dir); err != nil || closed != "" {
			return closed, err
		}
	}
	return "", nil
}

func (l layout) logs() string               { return filepath.Join(l.data, "log") }
func (l layout) environment() string        { return filepath.Join(l.data, "env") }
func (l layout) secrets() string            { return filepath.Join(l.data, "secrets.json") }
func (l layout) cloud() string              { return filepath.Join(l.data, "cloud") }
func (l layout) service(name string) string { return filepath.Join(l.state, name) }
func (l layout) separate() bool             { return l.closed != "" }

// clearState deletes what services left behind that belonged to a data folder that is gone.
func (l layout) clearState() error {
	if !l.separate() {
		return nil
	}
	return errors.Join(os.RemoveAll(l.state), os.MkdirAll(l.state, 0o711)) //nolint:gosec // Services under other accounts pass through.
}

// folders lists where everything is.
func (l layout) folders() []string {
	if l.separate() {
		return []string{l.data, l.state}
	}
	return []string{l.data}
}

// remove deletes all of it.
func (l layout) remove() error {
	var failures []error
	for _, folder := range l.folders() {
		failures = append(failures, os.RemoveAll(folder))
	}
	return errors.Join(failures...)
}

// lock makes this process the only user of the folder. crashed tells that the one before did not end by itself.
func (l layout) lock() (release func() error, crashed bool, err error) {
	path := filepath.Join(l.data, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, false, errors.Join(err, file.Close())
	}
	holder := strings.TrimSpace(string(content))
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("sluice-local already runs on %s (process %s)", l.data, holder)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	}
	if err != nil {
		return nil, false, errors.Join(err, file.Close())
	}
	release = func() error { return errors.Join(file.Truncate(0), file.Close()) }
	return release, holder != "", nil
}
