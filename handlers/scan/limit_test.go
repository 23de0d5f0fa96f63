package scan

import (
	"errors"
	"io"
	"net"
	"testing"
)

// streamMaxLength is what the local stack's clamd takes, in bytes.
const streamMaxLength = 2000 << 20

func TestTakesStream(t *testing.T) {
	clamd := NewClamd(clamdAddress(t))
	for size, want := range map[int64]bool{1: true, streamMaxLength: true, streamMaxLength + 1: false, scannable: false} {
		if takes, err := clamd.TakesStream(t.Context(), size); err != nil || takes != want {
			t.Errorf("%d bytes: %t, %v", size, takes, err)
		}
	}
	for _, size := range []int64{0, -1, scannable + 1} {
		if _, err := clamd.TakesStream(t.Context(), size); err == nil {
			t.Errorf("%d bytes can be announced", size)
		}
	}
}

func TestTakesStreamOfBrokenReplies(t *testing.T) {
	for name, reply := range map[string]string{"nothing": "", "OK": "stream: OK\x00", "cut off": "INSTREAM size limit"} {
		t.Run(name, func(t *testing.T) {
			clamd := daemon(t, func(conn net.Conn) {
				if _, err := io.CopyN(io.Discard, conn, int64(len("zINSTREAM\x00")+4)); err == nil {
					_, _ = io.WriteString(conn, reply)
				}
			})
			if takes, err := clamd.TakesStream(t.Context(), 1000); takes || !errors.Is(err, ErrUnavailable) {
				t.Errorf("%t, %v", takes, err)
			}
		})
	}
}
