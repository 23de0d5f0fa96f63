package scan

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A daemon that breaks its protocol cannot be had from Debian, so these tests play one on a real listener.

// daemon serves every connection with serve until the test ends and returns its address.
func daemon(t *testing.T, serve func(net.Conn)) *Clamd {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a mistake here must not hang the tests
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-stopped
	})
	return NewClamd("tcp://" + listener.Addr().String())
}

// takeAll reads a whole INSTREAM session into w and reports whether it kept to the protocol.
func takeAll(conn io.Reader, w io.Writer) bool {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(conn, command); err != nil || string(command) != "zINSTREAM\x00" {
		return false
	}
	for {
		var n uint32
		if err := binary.Read(conn, binary.BigEndian, &n); err != nil {
			return false
		}
		if n == 0 {
			return true
		}
		if _, err := io.CopyN(w, conn, int64(n)); err != nil {
			return false
		}
	}
}

// takeSome reads the command and a little of the file, so that the rest lies unread when the connection closes.
func takeSome(conn io.Reader) { _, _ = io.CopyN(io.Discard, conn, 1000) }

func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) } //nolint:errcheck // it is one

func TestScanSendsTheWholeFile(t *testing.T) {
	for name, size := range map[string]int{"one byte": 1, "one chunk": chunkSize, "a byte more": chunkSize + 1, "many chunks": 5*chunkSize - 1} {
		t.Run(name, func(t *testing.T) {
			file := random(t, size)
			var taken bytes.Buffer
			inOrder := false
			clamd := daemon(t, func(conn net.Conn) {
				inOrder = takeAll(conn, &taken)
				_, _ = io.WriteString(conn, "stream: OK\x00")
			})
			reply, err := clamd.Scan(t.Context(), iotest.HalfReader(bytes.NewReader(file)))
			if err != nil || reply != clean {
				t.Fatalf("got %q, %v", reply, err)
			}
			if !inOrder || !bytes.Equal(taken.Bytes(), file) {
				t.Errorf("the daemon got %d bytes, not the file of %d", taken.Len(), size)
			}
		})
	}
}

func TestScanOfBrokenReplies(t *testing.T) {
	small := []byte("a file of one chunk")
	large := random(t, 8<<20) // more than the socket's buffers hold
	afterAll := func(reply string) func(net.Conn) {
		return func(conn net.Conn) {
			takeAll(conn, io.Discard)
			_, _ = io.WriteString(conn, reply)
		}
	}
	afterSome := func(reply string) func(net.Conn) {
		return func(conn net.Conn) {
			takeSome(conn)
			_, _ = io.WriteString(conn, reply)
		}
	}
	tests := []struct {
		name  string
		file  []byte
		serve func(net.Conn)
		want  string // empty: ErrUnavailable
	}{
		{"the exact OK", small, afterAll("stream: OK\x00"), "stream: OK"},
		{"a signature", small, afterAll("stream: Eicar-Signature FOUND\x00"), "stream: Eicar-Signature FOUND"},
		{"nothing", small, afterAll(""), ""},
		{"only a terminator", small, afterAll("\x00"), ""},
		{"half of OK", small, afterAll("stream: O"), ""},
		{"OK without its terminator", small, afterAll("stream: OK"), ""},
		{"OK ended by a newline", small, afterAll("stream: OK\n"), ""},
		{"half a signature", small, afterAll("stream: Eicar-Sig"), ""},
		{"more after OK", small, afterAll("stream: OK\x00stream: Eicar-Signature FOUND\x00"), ""},
		{"two terminators", small, afterAll("stream: OK\x00\x00"), ""},
		{"no end", small, afterAll(strings.Repeat("stream: OK ", 1000) + "\x00"), ""},
		{"reset after OK", small, func(conn net.Conn) {
			takeAll(conn, io.Discard)
			_, _ = io.WriteString(conn, "stream: OK\x00")
			reset(conn)
		}, ""},
		{"OK before a large file was written", large, afterSome("stream: OK\x00"), ""},
		{"OK for a part of a file that the socket took", large[:3*chunkSize], afterSome("stream: OK\x00"), ""},
		{"a refusal before all is written", large, afterSome("INSTREAM size limit exceeded. ERROR\x00"), "INSTREAM size limit exceeded. ERROR"},
		{"a signature before all is written", large, afterSome("stream: Eicar-Signature FOUND\x00"), "stream: Eicar-Signature FOUND"},
		{"closed in the middle of writing", large, func(conn net.Conn) { takeSome(conn) }, ""},
		{"reset in the middle of writing", large, func(conn net.Conn) { takeSome(conn); reset(conn) }, ""},
		{"closed at once", large, func(net.Conn) {}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			reply, err := daemon(t, test.serve).Scan(t.Context(), bytes.NewReader(test.file))
			if reply != test.want {
				t.Errorf("got %q, want %q", reply, test.want)
			}
			if (test.want == "") != errors.Is(err, ErrUnavailable) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestScanOfAHangingDaemonEndsWithItsContext(t *testing.T) {
	file := random(t, 8<<20)
	for name, take := range map[string]func(io.Reader){
		"before it reads":     func(io.Reader) {},
		"in the middle":       takeSome,
		"instead of replying": func(r io.Reader) { takeAll(r, io.Discard) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			returned, hungUp := make(chan struct{}), make(chan struct{})
			clamd := daemon(t, func(conn net.Conn) {
				take(conn)
				<-returned
				_, _ = io.Copy(io.Discard, conn) // ends when the client has hung up
				close(hungUp)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := clamd.Scan(ctx, bytes.NewReader(file))
			close(returned)
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got error %v, want ErrUnavailable for a deadline", err)
			}
			<-hungUp
		})
	}
}

func TestScanEndsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	released := make(chan struct{})
	clamd := daemon(t, func(conn net.Conn) {
		takeAll(conn, io.Discard)
		cancel()
		_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
		close(released)
	})
	_, err := clamd.Scan(ctx, strings.NewReader("a file"))
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got error %v: being cancelled is not the daemon's fault", err)
	}
	<-released
}

// The download may break off with any error, io.ErrUnexpectedEOF above all. It must not look like the end.
func TestScanOfAFileThatCannotBeReadToItsEnd(t *testing.T) {
	for name, broken := range map[string]error{"cut short": io.ErrUnexpectedEOF, "failed": errors.New("connection lost")} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan bool, 1)
			clamd := daemon(t, func(conn net.Conn) {
				ended <- takeAll(conn, io.Discard)
				_, _ = io.WriteString(conn, "stream: OK\x00")
			})
			file := io.MultiReader(strings.NewReader("half of the file"), iotest.ErrReader(broken))
			reply, err := clamd.Scan(t.Context(), file)
			if !errors.Is(err, broken) || errors.Is(err, ErrUnavailable) || reply != "" {
				t.Errorf("got %q and error %v, want %v", reply, err, broken)
			}
			if <-ended {
				t.Error("the daemon was told that this is the whole file")
			}
		})
	}
}

func TestScanOfNoDaemon(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"tcp://" + address, "unix://" + t.TempDir() + "/clamd.sock"} {
		if _, err := NewClamd(address).Scan(t.Context(), strings.NewReader("a file")); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got error %v, want ErrUnavailable", address, err)
		}
	}
}

func TestScanMemoryDoesNotGrowWithTheFile(t *testing.T) {
	clamd := daemon(t, func(conn net.Conn) {
		takeAll(conn, io.Discard)
		_, _ = io.WriteString(conn, "stream: OK\x00")
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const size = 128 << 20
	if _, err := clamd.Scan(t.Context(), io.LimitReader(zeros{}, size)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// The daemon's side allocates, too, a little for each chunk.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/8 {
		t.Errorf("a file of %d bytes took %d bytes of memory", size, grown)
	}
}

func TestPing(t *testing.T) {
	for reply, ok := range map[string]bool{"PONG\x00": true, "PONG": false, "PONG\n": false, "\x00": false, "": false, "UNKNOWN COMMAND\x00": false} {
		clamd := daemon(t, func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, len("zPING\x00")))
			_, _ = io.WriteString(conn, reply)
		})
		if err := clamd.Ping(t.Context()); (err == nil) != ok || !ok && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%q: got error %v", reply, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func random(t *testing.T, size int) []byte {
	t.Helper()
	out := make([]byte, size)
	if _, err := rand.Read(out); err != nil {
		t.Fatal(err)
	}
	return out
}
