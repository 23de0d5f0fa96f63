package sagas_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-media/sluice/sagas"
)

// cut is what a cutter does to one statement.
type cut int

const (
	pass   cut = iota
	before     // the connection ends before the server gets the statement
	during     // the client's connection ends when the server gets the statement; the server does not notice
	after      // the server's whole reply is lost with the connection: the statement is committed
	lost       // the server's reply is lost, and all that follows; the connection stays
)

// cancelRequest begins the connection by which a client asks the server to cancel a statement. A host that was cut
// off could not ask, so a cutter does not pass it on.
const cancelRequest = 80877102

// cutter stands between a pool and Postgres and cuts connections at a chosen point of the frontend/backend protocol
// (PostgreSQL manual, chapter 55). It reads messages, not their content.
type cutter struct {
	t      *testing.T
	server string
	reset  atomic.Bool // end connections with a RST, not with a FIN
	silent atomic.Bool // take everything on all connections and pass on nothing; one that was used meanwhile stays so

	swallowed atomic.Int64 // messages of the server
	through   sagas.Config // of a pool
	stop      func()       // end all connections, and any that is opened from now on

	mu         sync.Mutex
	plan       []cut
	statements int
}

// newCutter returns a cutter and the configuration of a pool that goes through it to the server of c.
func newCutter(t *testing.T, c sagas.Config) (*cutter, sagas.Config) {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	if mode := u.Query().Get("sslmode"); mode != "disable" {
		t.Fatalf("sslmode is %q: the cutter reads only plain text", mode)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	x := &cutter{t: t, server: u.Host, stop: stop}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { x.serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		stop()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	u.Host = l.Addr().String()
	c.URL = u.String()
	x.through = c
	return x, c
}

// next plans the fates of the coming statements, on whatever connection they come. The ones after them pass.
func (x *cutter) next(plan ...cut) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.plan, x.statements = plan, 0
}

// seen is how many statements came since next.
func (x *cutter) seen() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.statements
}

func (x *cutter) fate() cut {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.statements++
	if len(x.plan) == 0 {
		return pass
	}
	f := x.plan[0]
	x.plan = x.plan[1:]
	return f
}

func (x *cutter) serve(ctx context.Context, client net.Conn) {
	defer x.end(client)
	if x.silent.Load() {
		x.swallow(ctx, client)
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", x.server)
	if err != nil {
		return
	}
	ended := context.AfterFunc(ctx, func() { x.end(client); x.end(server) })
	defer ended()

	var swallow, silent atomic.Bool // set before the statement is passed on, when no reply is outstanding
	var wg sync.WaitGroup
	wg.Go(func() { x.replies(client, server, &swallow, &silent) })
	if x.requests(client, server, &swallow, &silent) == during {
		x.end(client)
	} else {
		x.end(server)
	}
	wg.Wait()
	x.end(server)
}

// swallow takes what the client sends until it leaves.
func (x *cutter) swallow(ctx context.Context, client net.Conn) {
	ended := context.AfterFunc(ctx, func() { x.end(client) })
	defer ended()
	_, _ = io.Copy(io.Discard, client) // that it ends is all
}

// requests passes on what the client sends until the connection or its fate ends it.
func (x *cutter) requests(client, server net.Conn, swallow, silent *atomic.Bool) cut {
	var startup bytes.Buffer
	if _, err := relay(&startup, client, make([]byte, 4)); err != nil { // it has no type
		return pass
	}
	if binary.BigEndian.Uint32(startup.Bytes()[4:]) == cancelRequest {
		return pass
	}
	if _, err := server.Write(startup.Bytes()); err != nil {
		return pass
	}
	for {
		var msg bytes.Buffer
		kind, err := relay(&msg, client, make([]byte, 5))
		if err != nil {
			return pass
		}
		if x.silent.Load() {
			silent.Store(true)
		}
		if silent.Load() {
			continue
		}
		fate := pass
		if kind == 'B' || kind == 'Q' && !bytes.Contains(msg.Bytes(), []byte("-- ping")) {
			fate = x.fate()
		}
		switch fate {
		case pass:
		case before:
			x.end(client)
			return before
		case after:
			swallow.Store(true)
		case during:
			return x.last(client, server, &msg, kind)
		case lost:
			silent.Store(true)
			x.last(client, server, &msg, kind)
			continue
		}
		if _, err := server.Write(msg.Bytes()); err != nil {
			return pass
		}
	}
}

// last passes on the rest of the statement that msg begins, as far as its Sync.
func (x *cutter) last(client, server net.Conn, msg *bytes.Buffer, kind byte) cut {
	for kind != 'S' && kind != 'Q' {
		var err error
		if kind, err = relay(msg, client, make([]byte, 5)); err != nil {
			return pass
		}
	}
	if _, err := server.Write(msg.Bytes()); err != nil {
		x.t.Error(err)
	}
	return during
}

// replies passes on what the server sends. Once swallow is set it passes on nothing more, and ends both
// connections when the server is ready for the next statement. What is silent passes on nothing either.
func (x *cutter) replies(client, server net.Conn, swallow, silent *atomic.Bool) {
	for {
		var msg bytes.Buffer
		kind, err := relay(&msg, server, make([]byte, 5))
		if err != nil {
			x.end(client)
			return
		}
		if swallow.Load() {
			if kind == 'Z' {
				x.end(client)
				return
			}
			continue
		}
		if x.silent.Load() {
			silent.Store(true)
		}
		if silent.Load() {
			x.swallowed.Add(1)
			continue
		}
		if _, err := client.Write(msg.Bytes()); err != nil {
			return // the server's connection lives on until its client's part ends it
		}
	}
}

func (x *cutter) end(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && x.reset.Load() {
		_ = tcp.SetLinger(0) // fails only on a connection that is closed
	}
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		x.t.Error(err)
	}
}

// relay copies one message whose header, an optional type and the length, fills head. It returns the type.
func relay(to io.Writer, from io.Reader, head []byte) (kind byte, err error) {
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, err
	}
	if _, err := to.Write(head); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(head[len(head)-4:])
	_, err = io.CopyN(to, from, int64(length)-4)
	return head[0], err
}
