package hosts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// programs are what the package runs, by absolute path as Debian has them.
var programs = map[string]string{"ip": "/usr/sbin/ip", "nft": "/usr/sbin/nft", "unshare": "/usr/bin/unshare", "sh": "/bin/sh"}

// packages of Debian that have them.
const packages = "iproute2, nftables and util-linux"

// permitted returns an error that names everything that is missing.
func permitted() error {
	var errs []error
	for name, path := range programs {
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("the program %s is missing (Debian's packages are %s): %w", name, packages, err))
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return errors.Join(append(errs, fmt.Errorf("read the capabilities of this process: %w", err))...)
	}
	for _, needed := range []struct {
		name string
		bit  int
		use  string
	}{
		{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, "makes interfaces and drops packets"},
		{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, "makes network namespaces"},
	} {
		if data[needed.bit/32].Effective&(1<<(needed.bit%32)) == 0 {
			errs = append(errs, fmt.Errorf("this process lacks %s, which %s: run it as root, or give the container that capability",
				needed.name, needed.use))
		}
	}
	return errors.Join(errs...)
}

func ip(ctx context.Context, args ...string) error {
	_, err := run(ctx, "ip", "", args...)
	return err
}

func nft(ctx context.Context, script string) error {
	_, err := run(ctx, "nft", script, "-f", "-")
	return err
}

func run(ctx context.Context, name, input string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, programs[name], args...) //nolint:gosec // The arguments are ours.
	command.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	command.Stderr = &said
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(append(args, input), " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return output, nil
}

// removeLeftovers removes the networks of processes that have died.
func removeLeftovers(ctx context.Context) error {
	names, err := present(ctx)
	if err != nil {
		return err
	}
	var owners []int
	for _, name := range names {
		if owner, ours := ownerOf(name); ours && (owner == os.Getpid() || errors.Is(syscall.Kill(owner, 0), syscall.ESRCH)) {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	var errs []error
	for _, owner := range slices.Compact(owners) {
		errs = append(errs, remove(ctx, owner))
	}
	return errors.Join(errs...)
}

// remove removes everything that belongs to an owner. A namespace takes its end of the cable with it.
func remove(ctx context.Context, owner int) error {
	names, err := present(ctx)
	if err != nil {
		return err
	}
	errs := []error{nft(ctx, fmt.Sprintf("add table netdev %s\ndelete table netdev %s\n", tableOf(owner), tableOf(owner)))}
	for _, name := range names {
		if of, ours := ownerOf(name); !ours || of != owner {
			continue
		}
		switch {
		case strings.HasPrefix(name, namespacePrefix):
			errs = append(errs, ip(ctx, "netns", "delete", name))
		case strings.HasPrefix(name, bridgePrefix), strings.HasPrefix(name, cablePrefix):
			errs = append(errs, ip(ctx, "link", "delete", name))
		}
	}
	return errors.Join(errs...)
}

// present lists the names of all interfaces, network namespaces and netdev tables, the interfaces first: deleting a
// namespace first would have its cable vanish while it is being looked for.
func present(ctx context.Context) ([]string, error) {
	var names []string
	for _, list := range [][]string{{"-json", "link", "show"}, {"-json", "netns", "list"}} {
		output, err := run(ctx, "ip", "", list...)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(output)) == 0 {
			continue // what ip says of no namespaces
		}
		var found []struct {
			IfName string `json:"ifname"`
			Name   string `json:"name"`
		}
		if err := json.Unmarshal(output, &found); err != nil {
			return nil, fmt.Errorf("decode what ip lists: %w", err)
		}
		for _, f := range found {
			names = append(names, f.IfName+f.Name)
		}
	}
	output, err := run(ctx, "nft", "", "-j", "list", "tables", "netdev")
	if err != nil {
		return nil, err
	}
	var listed struct {
		NFTables []struct{ Table struct{ Name string } } `json:"nftables"`
	}
	if err := json.Unmarshal(output, &listed); err != nil {
		return nil, fmt.Errorf("decode what nft lists: %w", err)
	}
	for _, object := range listed.NFTables {
		names = append(names, object.Table.Name)
	}
	return names, nil
}
