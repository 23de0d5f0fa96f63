package chaos

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sluice-media/sluice/deploy/local/localtest"
)

// echo answers every line with itself.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(connection, connection) }()
		}
	}()
	return listener.Addr().String()
}

// ask sends a line through a new connection and reads it back within the patience.
func ask(t *testing.T, address string, patience time.Duration) error {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // It may be broken.
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "line\n"); err != nil {
		return err
	}
	_, err = bufio.NewReader(connection).ReadString('\n')
	return err
}

func TestFaultsStrikeAndEnd(t *testing.T) {
	g, err := openGate("echo", loopback, echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	if err := ask(t, g.address(), time.Minute); err != nil {
		t.Fatal(err)
	}
	for fault, want := range map[string]error{reset: errBroken, blackhole: os.ErrDeadlineExceeded, latency: nil, bandwidth: nil} {
		for _, toward := range []string{upstream, downstream} {
			t.Run(fault+" "+toward, func(t *testing.T) {
				disturbed, calm := context.WithCancel(t.Context())
				type result struct {
					struck int64
					err    error
				}
				done := make(chan result, 1)
				go func() {
					struck, err := g.disturb(disturbed, fault, toward, time.Minute)
					done <- result{struck, err}
				}()
				localtest.Eventually(t, "the toxic beside the two witnesses", func() bool {
					return len(g.current().Toxics.GetToxicArray()) == 3
				})
				got := ask(t, g.address(), 2*time.Second)
				switch {
				case want == nil && got != nil:
					t.Errorf("the answer did not come: %v", got)
				case errors.Is(want, os.ErrDeadlineExceeded) && !errors.Is(got, want):
					t.Errorf("the line was not swallowed: %v", got)
				case errors.Is(want, errBroken) && (got == nil || errors.Is(got, os.ErrDeadlineExceeded)):
					t.Errorf("the connection was not broken: %v", got)
				}
				calm()
				if r := <-done; r.err != nil || r.struck == 0 {
					t.Errorf("struck %d, %v", r.struck, r.err)
				}
				if err := ask(t, g.address(), time.Minute); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
	}
	t.Run("nothing to strike", func(t *testing.T) {
		if struck, err := g.disturb(t.Context(), latency, upstream, time.Millisecond); err != nil || struck != 0 {
			t.Errorf("struck %d, %v", struck, err)
		}
	})
	t.Run("a proxy that hangs is replaced", func(t *testing.T) {
		old, address := g.current(), g.address()
		old.Toxics.Lock() // for good: what it does when a connection dies at the wrong moment
		if err := g.within(old, func() error { old.Toxics.Lock(); return nil }); err != nil {
			t.Fatal(err)
		}
		if g.current() == old || g.address() != address {
			t.Errorf("the gate is at %s, was at %s", g.address(), address)
		}
		if err := ask(t, address, time.Minute); err != nil {
			t.Error(err)
		}
	})
}

var errBroken = errors.New("the connection breaks")
