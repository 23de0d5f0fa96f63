package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Cut is a host that is cut off.
type Cut struct {
	host *Host
}

// openChains makes a place for rules on both directions of the host's cable.
func (h *Host) openChains(ctx context.Context) error {
	var script strings.Builder
	for chain, hook := range h.chains() {
		fmt.Fprintf(&script, "add chain netdev %s %s { type filter hook %s device %q priority 0; policy accept; }\n",
			tableOf(h.network.owner), chain, hook, cableOf(h.network.owner, h.number))
	}
	return nft(ctx, script.String())
}

// chains maps each of the host's chains to its hook, as the machine sees it: what comes in there comes from the host.
func (h *Host) chains() map[string]string {
	return map[string]string{fmt.Sprintf("from%d", h.number): "ingress", fmt.Sprintf("to%d", h.number): "egress"}
}

// CutOff makes everything vanish that goes between the host and one TCP port of the machine.
func (h *Host) CutOff(ctx context.Context, port int) (*Cut, error) {
	return h.cut(ctx, fmt.Sprintf("tcp dport %d", port), fmt.Sprintf("tcp sport %d", port))
}

// Unplug makes everything vanish that goes to the host and comes from it.
func (h *Host) Unplug(ctx context.Context) (*Cut, error) { return h.cut(ctx, "", "") }

func (h *Host) cut(ctx context.Context, from, to string) (*Cut, error) {
	table := tableOf(h.network.owner)
	script := fmt.Sprintf("add rule netdev %s from%d %s counter drop\nadd rule netdev %s to%d %s counter drop\n",
		table, h.number, from, table, h.number, to)
	if err := nft(ctx, script); err != nil {
		return nil, fmt.Errorf("cut %s off: %w", h.Name, err)
	}
	return &Cut{host: h}, nil
}

// Mend lets the host back, and returns how many packets have vanished.
func (c *Cut) Mend(ctx context.Context) (vanished int64, err error) {
	table := tableOf(c.host.network.owner)
	var script strings.Builder
	for chain := range c.host.chains() {
		count, countErr := counted(ctx, table, chain)
		vanished += count
		err = errors.Join(err, countErr)
		fmt.Fprintf(&script, "flush chain netdev %s %s\n", table, chain)
	}
	if err = errors.Join(err, nft(ctx, script.String())); err != nil {
		return vanished, fmt.Errorf("let %s back: %w", c.host.Name, err)
	}
	return vanished, nil
}

// counted adds up the packets that a chain's rules have counted.
func counted(ctx context.Context, table, chain string) (packets int64, err error) {
	output, err := run(ctx, "nft", "", "-j", "list", "chain", "netdev", table, chain)
	if err != nil {
		return 0, err
	}
	var listed struct {
		NFTables []struct {
			Rule struct {
				Expr []struct {
					Counter struct{ Packets int64 } `json:"counter"`
				} `json:"expr"`
			} `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(output, &listed); err != nil {
		return 0, fmt.Errorf("decode what nft lists: %w", err)
	}
	for _, object := range listed.NFTables {
		for _, expression := range object.Rule.Expr {
			packets += expression.Counter.Packets
		}
	}
	return packets, nil
}
