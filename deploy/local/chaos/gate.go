package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// The faults of the network, and the directions they strike in.
const (
	reset     = "reset"
	latency   = "latency"
	bandwidth = "bandwidth"
	blackhole = "blackhole"

	upstream   = "upstream"
	downstream = "downstream"
)

// poisons are toxiproxy's toxics behind each fault, with their attributes. toxiproxy drops what a black hole has
// swallowed and closes its connections at the end, as a network does that comes back too late.
var poisons = map[string]struct {
	toxic      string
	attributes map[string]any
}{
	reset:     {"reset_peer", map[string]any{"timeout": 0}},
	latency:   {"latency", map[string]any{"latency": 400, "jitter": 300}}, // milliseconds
	bandwidth: {"bandwidth", map[string]any{"rate": 4}},                   // KB/s
	blackhole: {"timeout", map[string]any{"timeout": 0}},
}

// removalLimit is how long a toxic may take to go. toxiproxy can wait for ever for a connection whose one end was
// killed at that very moment; the gate then gets a new proxy.
const removalLimit = 3 * time.Second

const (
	// longestWait is how many times as long as it was to last a fault waits for something to strike.
	longestWait = 4
	lookAgain   = 50 * time.Millisecond
)

// gate is the way to one dependency, which can be disturbed.
type gate struct {
	name, target string
	server       *toxiproxy.ApiServer
	serial       atomic.Int64

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	// passing counts the chunks of data that have come to the gate, by direction.
	passing map[string]*atomic.Int64
}

// openGate listens on a free port of the address and passes everything on to target, a host:port.
func openGate(name, address, target string) (*gate, error) {
	witnesses.Do(func() {
		toxics.Register(witnessType, new(witness))
		zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have no logger but the global one
	})
	g := &gate{
		name: name, target: target,
		server:  toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()),
		passing: map[string]*atomic.Int64{upstream: {}, downstream: {}},
	}
	if err := g.listen(net.JoinHostPort(address, "0")); err != nil {
		return nil, fmt.Errorf("open the gate to %s: %w", name, err)
	}
	return g, nil
}

func (g *gate) listen(address string) error {
	proxy := toxiproxy.NewProxy(g.server, g.name, address, g.target)
	for direction, count := range g.passing {
		added, err := addToxic(proxy, witnessType, witnessType+"-"+direction, direction, nil)
		if err != nil {
			return err
		}
		w, ok := added.Toxic.(*witness)
		if !ok {
			return fmt.Errorf("toxiproxy made a %T of a witness", added.Toxic)
		}
		w.passing = count
	}
	if err := proxy.Start(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxy = proxy
	return nil
}

func (g *gate) current() *toxiproxy.Proxy {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proxy
}

// address is where the gate listens.
func (g *gate) address() string { return g.current().Listen }

// disturb poisons the connections of one direction until ctx ends or the time is over, and returns how much data ran
// into it, in chunks as toxiproxy reads them. Where little goes by it waits for something to strike, for some times as
// long as it was to last.
func (g *gate) disturb(ctx context.Context, fault, direction string, lasts time.Duration) (struck int64, err error) {
	poison, found := poisons[fault]
	if !found {
		return 0, fmt.Errorf("there is no fault %q", fault)
	}
	proxy := g.current()
	name := fault + "-" + strconv.FormatInt(g.serial.Add(1), 10)
	before := g.passing[direction].Load()
	err = g.within(proxy, func() error {
		_, err := addToxic(proxy, poison.toxic, name, direction, poison.attributes)
		return err
	})
	if err != nil {
		return 0, err
	}
	for end, rest := time.After(lasts), time.After(lasts*longestWait); ; {
		select {
		case <-ctx.Done():
		case <-rest:
		case <-end:
			if g.passing[direction].Load() == before {
				end = time.After(lookAgain)
				continue
			}
		}
		break
	}
	struck = g.passing[direction].Load() - before
	return struck, g.within(proxy, func() error { return proxy.Toxics.RemoveToxic(context.WithoutCancel(ctx), name) })
}

// within makes a change to the proxy, or replaces the proxy when it does not come about.
func (g *gate) within(proxy *toxiproxy.Proxy, change func() error) error {
	done := make(chan error, 1)
	go func() { done <- change() }()
	select {
	case err := <-done:
		return err
	case <-time.After(removalLimit):
		if g.current() != proxy {
			return nil // somebody else has replaced it
		}
		return g.replace()
	}
}

// replace opens the gate anew at the same address. The old proxy stops listening at once; its connections end when
// their peers do.
func (g *gate) replace() error {
	old := g.current()
	go old.Stop()
	var err error
	for deadline := time.Now().Add(removalLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = g.listen(old.Listen); err == nil {
			return nil
		}
	}
	return fmt.Errorf("replace the gate to %s: %w", g.name, err)
}

// close ends all connections through the gate.
func (g *gate) close() { go g.current().Stop() }

func addToxic(proxy *toxiproxy.Proxy, kind, name, direction string, attributes map[string]any) (*toxics.ToxicWrapper, error) {
	described, err := json.Marshal(map[string]any{
		"name": name, "type": kind, "stream": direction, "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		return nil, err
	}
	added, err := proxy.Toxics.AddToxicJson(bytes.NewReader(described))
	if err != nil {
		return nil, fmt.Errorf("add the toxic %s to %s: %w", name, proxy.Name, err)
	}
	return added, nil
}

const witnessType = "witness"

var witnesses sync.Once

// witness is a toxic that changes nothing and counts what comes by. It is the first of every chain, so that it sees
// what the others do not let through.
type witness struct {
	passing *atomic.Int64
}

// Pipe implements toxics.Toxic.
func (w *witness) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			w.passing.Add(1)
			stub.Output <- chunk
		}
	}
}
