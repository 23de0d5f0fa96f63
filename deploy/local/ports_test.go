package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestPortBase(t *testing.T) {
	for base, valid := range map[int]bool{0: false, -1: false, 1: true, 8080: true, 65528: true, 65529: false, 70000: false} {
		if _, err := newPorts(base); (err == nil) != valid {
			t.Errorf("base %d: %v, want valid: %t", base, err, valid)
		}
	}
}

func TestBusyPortIsNamedWithItsUse(t *testing.T) {
	p := mustPorts(t)
	if err := p.requireFree(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for port, use := range map[int]string{p.api(): "the API", p.postgres(): "PostgreSQL", p.prometheus(): "Prometheus"} {
		occupied, err := net.Listen("tcp", address(port))
		if err != nil {
			t.Fatal(err)
		}
		err = p.requireFree(t.Context(), 0)
		if want := fmt.Sprintf("port %d, meant for %s, is busy", port, use); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if err := p.requireFree(t.Context(), 0, port); err != nil {
			t.Errorf("a port that is not needed: %v", err)
		}
		if err := occupied.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
