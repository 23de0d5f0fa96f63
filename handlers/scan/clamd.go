package scan

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
)

const (
	chunkSize = 64 << 10 // bytes of one INSTREAM chunk
	maxReply  = 4 << 10  // bytes; clamd's replies to these commands fit on a line
)

// ErrUnavailable reports that clamd could not be asked or did not give a whole answer. It says nothing about the
// file: the same scan is worth another try once clamd is there.
var ErrUnavailable = errors.New("clamd is unavailable")

// Clamd is a client of one clamd daemon. Each command has its own connection and ends when its context does. It
// is safe for concurrent use.
//
// The protocol is described in clamd(8): commands prefixed with z and their replies end with a NUL.
type Clamd struct {
	address string
}

// NewClamd returns a client of the daemon at tcp://host:port or unix:///path.
func NewClamd(address string) *Clamd { return &Clamd{address: address} }

// Ping checks that the daemon answers.
func (c *Clamd) Ping(ctx context.Context) error {
	reply, err := c.ask(ctx, "PING")
	if err != nil {
		return err
	}
	if reply != "PONG" {
		return fmt.Errorf("%w: it answered PING with %.80q", ErrUnavailable, reply)
	}
	return nil
}

// Version asks for the versions of the daemon's engine and signatures.
func (c *Clamd) Version(ctx context.Context) (Version, error) {
	reply, err := c.ask(ctx, "VERSION")
	if err != nil {
		return Version{}, err
	}
	return parseVersion(reply)
}

// Scan sends a file, which must not be empty, and returns the daemon's reply without its NUL. An error that is no
// ErrUnavailable comes from reading the file, or from ctx being cancelled. The reply means something only to verdict.
//
// A daemon that refuses a file stops reading and answers early; its reply is returned like any other, unless it
// is OK: that cannot be true of a file that the daemon did not take to its end.
func (c *Clamd) Scan(ctx context.Context, file io.Reader) (string, error) {
	conn, hangUp, err := c.dial(ctx)
	if err != nil {
		return "", err
	}
	defer hangUp()

	refused, err := stream(conn, file)
	if err != nil {
		return "", fmt.Errorf("reading the file: %w", err)
	}
	reply, err := receive(conn)
	if reply == "" || reply == clean && (refused != nil || err != nil) {
		return "", unavailable(ctx, "scanning", errors.Join(refused, err))
	}
	return reply, nil
}

// ask sends a command without data and returns the reply.
func (c *Clamd) ask(ctx context.Context, command string) (string, error) {
	conn, hangUp, err := c.dial(ctx)
	if err != nil {
		return "", err
	}
	defer hangUp()
	if _, err := io.WriteString(conn, "z"+command+"\x00"); err != nil {
		return "", unavailable(ctx, command, err)
	}
	reply, err := receive(conn)
	if err != nil {
		return "", unavailable(ctx, command, err)
	}
	return reply, nil
}

// dial connects until hangUp is called or ctx is done, whichever comes first.
func (c *Clamd) dial(ctx context.Context) (conn net.Conn, hangUp func(), err error) {
	network, address, err := parseAddress(c.address)
	if err != nil {
		return nil, nil, err
	}
	conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, nil, unavailable(ctx, "connecting", err)
	}
	// Nobody needs to know that closing failed: what matters was read before, or the connection is given up.
	closeQuietly := func() { _ = conn.Close() }
	stop := context.AfterFunc(ctx, closeQuietly)
	return conn, func() {
		if stop() {
			closeQuietly()
		}
	}, nil
}

// stream sends the file in chunks, each after its length, and a chunk of no length at the end. refused is why
// the daemon did not take all of it; err is why the file could not be read.
func stream(conn io.Writer, file io.Reader) (refused, err error) {
	if _, refused = io.WriteString(conn, "zINSTREAM\x00"); refused != nil {
		return refused, nil
	}
	const header = 4
	chunk := make([]byte, header+chunkSize)
	for {
		n, err := fill(chunk[header:], file)
		if err != nil && err != io.EOF { //nolint:errorlint // a wrapped EOF is not the end of the file
			return nil, err
		}
		ended := err != nil
		if n > 0 {
			binary.BigEndian.PutUint32(chunk, uint32(n))
			if _, refused := conn.Write(chunk[:header+n]); refused != nil {
				return refused, nil
			}
		}
		if ended {
			_, refused := conn.Write(make([]byte, header))
			return refused, nil
		}
	}
}

// fill reads until p is full or the file ends. io.ReadFull would not do: it reports the end of the file by the
// error that also stands for a download that was cut short.
func fill(p []byte, file io.Reader) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = file.Read(p[n:])
		n += m
	}
	return n, err
}

// receive reads the reply, which the daemon ends with a NUL before it closes the connection. A reply that lacks
// the NUL or is followed by anything is none. A connection that was reset after a whole reply, as when the
// daemon did not want all of the file, gives that reply and an error.
func receive(conn io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(conn, maxReply))
	reply, terminated := bytes.CutSuffix(data, []byte{0})
	switch {
	case len(reply) == 0:
		return "", errors.Join(errors.New("no reply"), err)
	case !terminated || bytes.IndexByte(reply, 0) >= 0:
		return "", errors.Join(fmt.Errorf("a garbled reply: %.80q", data), err)
	}
	return string(reply), err
}

// unavailable wraps what went wrong with a connection. When ctx ended, that is what went wrong; when the caller
// ended it, that is nothing that the daemon did.
func unavailable(ctx context.Context, doing string, err error) error {
	if ended := ctx.Err(); errors.Is(ended, context.Canceled) {
		return fmt.Errorf("clamd: %s: %w", doing, ended)
	} else if ended != nil {
		err = ended
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

func parseAddress(s string) (network, address string, err error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("clamd address: %w", err)
	case u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && strings.Trim(u.Path, "/") == "":
		return "tcp", u.Host, nil
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return "unix", u.Path, nil
	}
	return "", "", fmt.Errorf("clamd address: %q is neither tcp://host:port nor unix:///path", s)
}
