package sqs

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	journalPrefix  = "journal-"
	snapshotPrefix = "snapshot-"
	unfinished     = ".tmp"
)

// dataDir is the folder that the state lives in. Journals are numbered; the
// snapshot of number n is the state before the first record of journal n, so
// that the state is the newest snapshot and every journal from its number on.
// A lock keeps a second process out.
type dataDir struct {
	path    string
	lock    *os.File
	logger  *slog.Logger
	current uint64 // number of the journal in use
}

// openDataDir creates the folder when it is missing, and locks it.
func openDataDir(path string, logger *slog.Logger) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by another process: %w", path, err), lock.Close())
	}
	return &dataDir{path: path, lock: lock, logger: logger}, nil
}

// close unlocks the folder.
func (d *dataDir) close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("close lock: %w", err)
	}
	return nil
}

func (d *dataDir) file(prefix string, number uint64) string {
	return filepath.Join(d.path, fmt.Sprintf("%s%010d", prefix, number))
}

// numbers returns the numbers of the files with a prefix, in order.
func (d *dataDir) numbers(prefix string) ([]uint64, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("list data folder: %w", err)
	}
	var numbers []uint64
	for _, entry := range entries {
		if digits, ok := strings.CutPrefix(entry.Name(), prefix); ok {
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// recover calls apply with every record of the state and returns the journal's
// file, ready to append to, and its size. An unfinished last record, which a
// process that was killed leaves behind, is cut off; other damage is an error.
func (d *dataDir) recover(apply func(record) error) (*os.File, int64, error) {
	snapshots, err := d.numbers(snapshotPrefix)
	if err != nil {
		return nil, 0, err
	}
	var first uint64
	if len(snapshots) > 0 {
		first = snapshots[len(snapshots)-1]
		if _, err := readFile(d.file(snapshotPrefix, first), apply); err != nil {
			return nil, 0, err
		}
	}
	if err := d.removeBefore(first); err != nil {
		return nil, 0, err
	}
	journals, err := d.numbers(journalPrefix)
	if err != nil {
		return nil, 0, err
	}
	if len(journals) == 0 && first == 0 {
		file, err := d.create(0)
		return file, 0, err
	}
	var size int64
	for i, number := range journals {
		if want := first + uint64(i); number != want {
			return nil, 0, fmt.Errorf("journal %d is missing from %s", want, d.path)
		}
		path := d.file(journalPrefix, number)
		size, err = readFile(path, apply)
		var damage *damageError
		if errors.As(err, &damage) && damage.torn && i == len(journals)-1 {
			d.logger.Warn("cut an unfinished record off the journal", "file", path, "offset", size)
			err = os.Truncate(path, size)
		}
		if err != nil {
			return nil, 0, err
		}
		d.current = number
	}
	if len(journals) == 0 {
		return nil, 0, fmt.Errorf("journal %d is missing from %s", first, d.path)
	}
	file, err := os.OpenFile(d.file(journalPrefix, d.current), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open journal: %w", err)
	}
	return file, size, nil
}

// create makes the journal of a number and goes on with it.
func (d *dataDir) create(number uint64) (*os.File, error) {
	file, err := os.OpenFile(d.file(journalPrefix, number), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	d.current = number
	return file, nil
}

// createNext makes the journal after the current one.
func (d *dataDir) createNext() (*os.File, error) { return d.create(d.current + 1) }

// writeSnapshot stores the state before the current journal and removes the
// files that it replaces. It returns the snapshot's size in bytes.
func (d *dataDir) writeSnapshot(records []record) (int64, error) {
	path := d.file(snapshotPrefix, d.current)
	size, err := writeRecords(path+unfinished, records)
	if err != nil {
		return 0, fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(path+unfinished, path); err != nil {
		return 0, fmt.Errorf("finish snapshot: %w", err)
	}
	return size, d.removeBefore(d.current)
}

// removeBefore deletes unfinished snapshots and what the snapshot of the number
// replaces.
func (d *dataDir) removeBefore(number uint64) error {
	stale, err := filepath.Glob(filepath.Join(d.path, snapshotPrefix+"*"+unfinished))
	if err != nil {
		return fmt.Errorf("list unfinished snapshots: %w", err)
	}
	for _, prefix := range []string{journalPrefix, snapshotPrefix} {
		numbers, err := d.numbers(prefix)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			if n < number {
				stale = append(stale, d.file(prefix, n))
			}
		}
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what a snapshot replaced: %w", err)
		}
	}
	return nil
}

// readFile reads the records of one file and returns how many bytes were good.
func readFile(path string, apply func(record) error) (good int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open state: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("read state: %w", err)
	}
	good, err = readFrames(file, info.Size(), apply)
	if err != nil {
		return good, fmt.Errorf("read %s: %w", path, err)
	}
	return good, nil
}

// writeRecords makes a file of records, on disk when it returns.
func writeRecords(path string, records []record) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	writer := bufio.NewWriterSize(file, 1<<16)
	var frame []byte
	for _, r := range records {
		payload, err := json.Marshal(r)
		if err != nil {
			return 0, err
		}
		frame = appendFrame(frame[:0], payload)
		if _, err := writer.Write(frame); err != nil {
			return 0, err
		}
		size += int64(len(frame))
	}
	if err := writer.Flush(); err != nil {
		return 0, err
	}
	return size, file.Sync()
}
