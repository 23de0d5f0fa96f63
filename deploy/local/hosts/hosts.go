// Package hosts makes several hosts of one machine: network namespaces with a name and an address of their own, joined to
// a bridge by veth pairs, each of which can be cut off from one port of the machine or from everything.
//
// What is cut off is not told: packets vanish on the cable in both directions, as they do when a switch dies, and no
// connection is reset. It takes the programs ip, nft, unshare and sh, the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN,
// and nf_tables in the kernel.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Network is a bridge and the hosts on it. Its interfaces, namespaces and its nftables table bear the id of the process
// that made them, so that several can be there at the same time and what was left behind is known.
type Network struct {
	owner   int
	address netip.Addr // of the machine itself, on the bridge
	hosts   []*Host
}

// Host is one network namespace.
type Host struct {
	// Name is what programs on it get as the name of their machine.
	Name string
	// Address is the one that the machine reaches it at.
	Address string

	network *Network
	number  int
}

const (
	maskBits = 24
	// firstHost is the last number of the first host's address.
	firstHost = 11
	// MaxHosts is how many a network may have.
	MaxHosts = 100
)

// Open makes a network with so many hosts. Before, it removes what processes that are dead have left behind.
func Open(ctx context.Context, count int) (n *Network, err error) {
	if count < 1 || count > MaxHosts {
		return nil, fmt.Errorf("a network of %d hosts: there may be 1 to %d", count, MaxHosts)
	}
	if err := permitted(); err != nil {
		return nil, err
	}
	if err := removeLeftovers(ctx); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	n = &Network{owner: os.Getpid(), address: address}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(context.WithoutCancel(ctx)))
		}
	}()
	if err := n.openBridge(ctx); err != nil {
		return nil, err
	}
	for number := 1; number <= count; number++ {
		if err := n.addHost(ctx, number); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Network) openBridge(ctx context.Context) error {
	bridge := bridgeOf(n.owner)
	return errors.Join(
		ip(ctx, "link", "add", bridge, "type", "bridge"),
		ip(ctx, "address", "add", netip.PrefixFrom(n.address, maskBits).String(), "dev", bridge),
		ip(ctx, "link", "set", bridge, "up"),
		nft(ctx, "add table netdev "+tableOf(n.owner)),
	)
}

func (n *Network) addHost(ctx context.Context, number int) error {
	parts := n.address.As4()
	parts[3] = byte(firstHost + number - 1)
	address := netip.AddrFrom4(parts)
	h := &Host{Name: "host-" + strconv.Itoa(number), Address: address.String(), network: n, number: number}
	n.hosts = append(n.hosts, h)
	space, cable := namespaceOf(n.owner, number), cableOf(n.owner, number)
	for _, step := range [][]string{
		{"netns", "add", space},
		{"link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space},
		{"link", "set", cable, "master", bridgeOf(n.owner), "up"},
		{"-netns", space, "address", "add", netip.PrefixFrom(address, maskBits).String(), "dev", "eth0"},
		{"-netns", space, "link", "set", "eth0", "up"},
		{"-netns", space, "link", "set", "lo", "up"},
	} {
		if err := ip(ctx, step...); err != nil {
			return fmt.Errorf("make %s: %w", h.Name, err)
		}
	}
	return h.openChains(ctx)
}

// Address is the machine's own on the bridge, which the hosts reach it at.
func (n *Network) Address() string { return n.address.String() }

// Hosts lists the hosts.
func (n *Network) Hosts() []*Host { return slices.Clone(n.hosts) }

// Close removes the network. Programs that still run on a host lose it.
func (n *Network) Close(ctx context.Context) error { return remove(ctx, n.owner) }

// Command is the command line that runs a program on the host. The process stays the one that is started, so that signals
// reach it.
func (h *Host) Command(program string, args ...string) (path string, arguments []string) {
	const rename = `hostname "$0" && exec "$@"`
	arguments = []string{"netns", "exec", namespaceOf(h.network.owner, h.number), "unshare", "--uts", "sh", "-c", rename, h.Name, program}
	return programs["ip"], append(arguments, args...)
}

// freeAddress picks a network out of 198.18.0.0/15, which RFC 2544 keeps for trials like this one.
func freeAddress() (netip.Addr, error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for third := range 256 {
		address := netip.AddrFrom4([4]byte{198, 18, byte((os.Getpid() + third) % 256), 1})
		network := netip.PrefixFrom(address, maskBits)
		if !slices.ContainsFunc(taken, func(a net.Addr) bool {
			other, err := netip.ParsePrefix(a.String())
			return err == nil && network.Overlaps(other)
		}) {
			return address, nil
		}
	}
	return netip.Addr{}, errors.New("every network of 198.18.0.0/16 is in use")
}

// The names of what belongs to a network. Those of interfaces have 15 characters at most.
const (
	bridgePrefix    = "slb"
	cablePrefix     = "slc"
	namespacePrefix = "sluice-"
	tablePrefix     = "sluice_"
)

func bridgeOf(owner int) string { return bridgePrefix + strconv.Itoa(owner) }
func tableOf(owner int) string  { return tablePrefix + strconv.Itoa(owner) }
func namespaceOf(owner, number int) string {
	return fmt.Sprintf("%s%d-%d", namespacePrefix, owner, number)
}
func cableOf(owner, number int) string { return fmt.Sprintf("%s%d-%d", cablePrefix, owner, number) }

// ownerOf reads the owner from a name that the functions above have made.
func ownerOf(name string) (owner int, ours bool) {
	for _, prefix := range []string{bridgePrefix, cablePrefix, namespacePrefix, tablePrefix} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			digits, _, _ := strings.Cut(rest, "-")
			owner, err := strconv.Atoi(digits)
			return owner, err == nil && owner > 0
		}
	}
	return 0, false
}
