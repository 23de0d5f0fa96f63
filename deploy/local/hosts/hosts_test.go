package hosts

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server answers on the network's address with its greeting.
func server(t *testing.T, n *Network) (port int) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(n.Address(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello\n"))
			_ = conn.Close()
		}
	}()
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return int(address.Port())
}

// reaches tells whether a program on the host gets the server's greeting within a second.
func reaches(t *testing.T, h *Host, port int) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	path, args := h.Command("/bin/bash", "-c", `read -r line < /dev/tcp/"$0"/"$1" && echo "$line $(hostname)"`, h.network.Address(), strconv.Itoa(port))
	said, err := exec.CommandContext(ctx, path, args...).Output()
	if err == nil && strings.TrimSpace(string(said)) != "hello "+h.Name {
		t.Fatalf("%s heard %q", h.Name, said)
	}
	return err == nil
}

func open(t *testing.T, count int) *Network {
	t.Helper()
	n, err := Open(t.Context(), count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestOneHostIsCutOffAndComesBack(t *testing.T) {
	n := open(t, 2)
	first, second := n.Hosts()[0], n.Hosts()[1]
	port, other := server(t, n), server(t, n)
	for _, tc := range []struct {
		name        string
		cut         func() (*Cut, error)
		othersStand bool
	}{
		{"from a port", func() (*Cut, error) { return first.CutOff(t.Context(), port) }, true},
		{"from everything", func() (*Cut, error) { return first.Unplug(t.Context()) }, false},
	} {
		if !reaches(t, first, port) || !reaches(t, second, port) {
			t.Fatalf("%s: a host does not reach the machine before it is cut off", tc.name)
		}
		cut, err := tc.cut()
		if err != nil {
			t.Fatal(err)
		}
		if reaches(t, first, port) {
			t.Errorf("%s: the host that is cut off reaches the machine", tc.name)
		}
		if got := reaches(t, first, other); got != tc.othersStand {
			t.Errorf("%s: the host reaches another port: %v", tc.name, got)
		}
		if !reaches(t, second, port) {
			t.Errorf("%s: the other host does not reach the machine", tc.name)
		}
		vanished, err := cut.Mend(t.Context())
		if err != nil || vanished == 0 {
			t.Errorf("%s: %d packets vanished, %v", tc.name, vanished, err)
		}
		if !reaches(t, first, port) {
			t.Errorf("%s: the host does not come back", tc.name)
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	n := open(t, 2)
	owned := func() (found []string) {
		names, err := present(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(names, func(name string) bool {
			owner, ours := ownerOf(name)
			return !ours || owner != n.owner
		})
	}
	// A bridge, a table, two namespaces and two cables.
	if got := owned(); len(got) != 6 {
		t.Errorf("there are %v", got)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := owned(); len(got) != 0 {
		t.Errorf("%v are left", got)
	}
}

func TestLeftoversOfTheDeadAreRemoved(t *testing.T) {
	dead := exec.CommandContext(t.Context(), "/bin/true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	space := namespaceOf(dead.Process.Pid, 1)
	bridge := bridgeOf(dead.Process.Pid)
	if err := ip(t.Context(), "netns", "add", space); err != nil {
		t.Fatal(err)
	}
	if err := ip(t.Context(), "link", "add", bridge, "type", "bridge"); err != nil {
		t.Fatal(err)
	}
	open(t, 1)
	names, err := present(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(names, space) || slices.Contains(names, bridge) {
		t.Errorf("%s or %s is still there", space, bridge)
	}
}
