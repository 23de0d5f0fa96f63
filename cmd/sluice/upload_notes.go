package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// noteLifetime is how long an upload that was left alone can be gone on with. The API gives it up before that.
const noteLifetime = 7 * 24 * time.Hour

// notes remembers uploads from before their first byte is sent, so that a later call can go on with them: a file of
// its own for each, written whole or not at all. Those that have ended stay until the whole command has, which
// therefore sends no file again when it is repeated after an interruption. The nil notes remembers nothing.
type notes struct {
	dir   string
	scope string // what else has to be the same for an upload to be the same

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
}

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
	return &notes{dir: dir, scope: scope}, dropStale(dir)
}

func dropStale(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading what can be resumed: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > noteLifetime {
			err = os.Remove(filepath.Join(dir, e.Name())) //nolint:gosec // whoever calls the program chooses the folder
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another call may have been faster
			return fmt.Errorf("dropping what is out of date: %w", err)
		}
	}
	return nil
}

// find returns the note of a file as it is now; one without ID when there is none that can be read.
func (n *notes) find(path string, info fs.FileInfo) note {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	now := note{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}
	if n == nil {
		return now
	}
	data, err := os.ReadFile(n.path(now))
	var found note
	if err != nil || json.Unmarshal(data, &found) != nil || n.path(found) != n.path(now) {
		return now
	}
	return found
}

// path is where a note is kept: another one for every version of a file.
func (n *notes) path(of note) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %s", n.scope, of.Path, of.Size, of.Modified.Format(time.RFC3339Nano)))
	return filepath.Join(n.dir, hex.EncodeToString(sum[:])+".json")
}

func (n *notes) write(of note) error {
	if n == nil {
		return nil
	}
	data, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("noting an upload: %w", err)
	}
	file, err := os.CreateTemp(n.dir, "new-") // for its owner only
	if err != nil {
		return fmt.Errorf("noting an upload: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), n.path(of))
	}
	if err != nil {
		return fmt.Errorf("noting an upload: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// done says that there is nothing to go on with.
func (n *notes) done(of note) {
	if n == nil {
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
