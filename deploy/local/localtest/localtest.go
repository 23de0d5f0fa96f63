// Package localtest has what the tests of the local stack share.
package localtest

import (
	"net"
	"os"
	"testing"
	"time"
)

// Folder returns a new folder that other accounts may enter, which the parents of t.TempDir forbid. It is removed with
// all that services made in it.
func Folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-local-") //nolint:usetesting // That is the point.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // As said above.
		t.Fatal(err)
	}
	return dir
}

// Port returns a port of 127.0.0.1 that is free at the moment.
func Port(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It takes no time.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("a TCP listener has the address %v", listener.Addr())
	}
	return address.Port
}

// Eventually waits until the condition holds and fails the test when it does not within a minute.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		case <-poll.C:
		}
	}
}
