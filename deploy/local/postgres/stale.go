package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearStalePID deals with the postmaster.pid of a server that did not end by itself. PostgreSQL takes any process of
// the same account with that id for the old server and refuses to start, and after a restart of a container or machine
// ids do come back. The working folder of a server is its data folder, which tells the old server from a stranger.
func (c *cluster) clearStalePID(ctx context.Context) error {
	path := filepath.Join(c.data, "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if c.serves(pid) {
		if err := c.endOrphan(ctx, pid); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

func (c *cluster) serves(pid int) bool {
	dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && dir == c.data
}

func (c *cluster) endOrphan(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the PostgreSQL of an earlier run (process %d): %w", pid, err)
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for c.serves(pid) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("the PostgreSQL of an earlier run (process %d) does not end: %w", pid, context.Cause(ctx))
		}
	}
	return nil
}
