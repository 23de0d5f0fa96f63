package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// noteLifetime is how long an upload that was left alone can be gone on with. The API gives it up before that.
const noteLifetime = 7 * 24 * time.Hour

// notes remembers uploads from before their first byte is sent, so that a later call can go on with them: a file of
// its own for each, written whole or not at all. Those that have ended stay until the whole command has, which
// therefore sends no file again when it is repeated after an interruption. The nil notes remembers nothing.
type notes struct {
	dir   string
	scope string   // what else has to be the same for an upload to be the same
	locks *os.File // each byte is the lock of a note, held until the process ends

	mu    sync.Mutex
	ended []string // paths of notes
}

// note is one upload.
type note struct {
	Path     string    `json:"path"` // absolute
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256,omitempty"`
	ID       string    `json:"id"`

	foreign bool // whether another process has it: neither written nor done here
}

// lockFile is in the folder of the notes.
const lockFile = "lock"

var errNote = errors.New("noting an upload, to go on with it later")

// openNotes opens the folder, or the usual one when dir is empty, and drops what is out of date.
func openNotes(dir, scope string) (*notes, error) {
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // as https://specifications.freedesktop.org/basedir-spec wants it
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, &configError{fmt.Errorf("state-dir: %w", err)}
			}
			state = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(state, "sluice", "uploads")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // whoever calls the program chooses the folder
		return nil, &configError{fmt.Errorf("state-dir: %w", err)}
	}
	locks, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // as above
	if err != nil {
		return nil, &configError{fmt.Errorf("state-dir: %w", err)}
	}
	return &notes{dir: dir, scope: scope, locks: locks}, dropStale(dir)
}

func dropStale(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading what can be resumed: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && e.Name() != lockFile && time.Since(info.ModTime()) > noteLifetime {
			err = os.Remove(filepath.Join(dir, e.Name())) //nolint:gosec // whoever calls the program chooses the folder
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another call may have been faster
			return fmt.Errorf("dropping what is out of date: %w", err)
		}
	}
	return nil
}

// find returns the note of a file as it is now; one without ID when there is none that can be read. Of two processes
// that look for the same one, one gets it.
func (n *notes) find(path string, info fs.FileInfo) note {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	now := note{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}
	if n == nil {
		return now
	}
	if !n.lock(now) {
		now.foreign = true
		return now
	}
	data, err := os.ReadFile(n.path(now))
	var found note
	if err != nil || json.Unmarshal(data, &found) != nil || n.path(found) != n.path(now) {
		return now
	}
	return found
}

// lock reports whether no other process has the note. Where files cannot be locked nobody has it.
func (n *notes) lock(of note) bool {
	sum := n.sum(of)
	err := syscall.FcntlFlock(n.locks.Fd(), syscall.F_SETLK, &syscall.Flock_t{
		Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(binary.BigEndian.Uint64(sum[:]) >> 2), Len: 1,
	})
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES)
}

// path is where a note is kept.
func (n *notes) path(of note) string {
	sum := n.sum(of)
	return filepath.Join(n.dir, hex.EncodeToString(sum[:])+".json")
}

// sum is another one for every version of a file.
func (n *notes) sum(of note) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %d %s", n.scope, of.Path, of.Size, of.Modified.Format(time.RFC3339Nano)))
}

func (n *notes) write(of note) error {
	if n == nil || of.foreign {
		return nil
	}
	data, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("%w: %w", errNote, err)
	}
	file, err := os.CreateTemp(n.dir, "new-") // for its owner only
	if err != nil {
		return fmt.Errorf("%w: %w", errNote, err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), n.path(of))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNote, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// done says that there is nothing to go on with.
func (n *notes) done(of note) {
	if n == nil || of.foreign {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = append(n.ended, n.path(of))
}

// forget drops what is done.
func (n *notes) forget() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, path := range n.ended {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
