package doctor

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sluice-media/sluice/handlers/scan"
)

func TestScanner(t *testing.T) {
	b := newTestBundle(t)
	findings := b.doctor().examineScanner(t.Context())
	for _, check := range []string{"clamd", "detection", "scan size", "clamd on limits", "clamd on encryption"} {
		wantFinding(t, findings, check, OK, "")
	}
	wantFinding(t, findings, "signatures", Warn, "test signatures only")

	b.config.ScanMaxSize = 2000<<20 + 1 // one more than the local stack's
	wantFinding(t, b.doctor().examineScanner(t.Context()), "scan size", Fail, "StreamMaxLength")

	b.deps.Clamd = scan.NewClamd("tcp://127.0.0.1:1")
	wantFinding(t, b.doctor().examineScanner(t.Context()), "clamd", Fail, "SLUICE_CLAMD_ADDRESS")
}

// As clamd is without AlertExceedsMax, AlertEncrypted and signatures: all that it is given is clean.
func TestScannerThatVouchesForEverything(t *testing.T) {
	b := newTestBundle(t)
	b.deps.Clamd = scan.NewClamd(trusting(t))
	findings := b.doctor().examineScanner(t.Context())
	wantFinding(t, findings, "detection", Fail, "stream: OK")
	wantFinding(t, findings, "clamd on limits", Fail, "AlertExceedsMax")
	wantFinding(t, findings, "clamd on encryption", Fail, "AlertEncrypted")
}

// trusting is a daemon that says OK at the end of every stream.
func trusting(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				trust(conn)
				_ = conn.Close()
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}

func trust(conn net.Conn) {
	command := make([]byte, len("zVERSION\x00"))
	if _, err := io.ReadFull(conn, command); err != nil {
		return
	}
	if bytes.Equal(command, []byte("zVERSION\x00")) {
		_, _ = io.WriteString(conn, "ClamAV 1.4.6\x00")
		return
	}
	_, _ = io.CopyN(io.Discard, conn, int64(len("zINSTREAM\x00")-len(command)))
	for {
		var size uint32
		if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
			return
		}
		if size == 0 {
			_, _ = io.WriteString(conn, "stream: OK\x00")
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil {
			return
		}
	}
}

func TestSignatures(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		version scan.Version
		test    bool
		status  Status
		says    string
	}{
		"fresh":              {scan.Version{Signatures: 27000, Built: now.Add(-24 * time.Hour)}, false, OK, "27000 of 2026-11-24"},
		"old":                {scan.Version{Signatures: 27000, Built: now.Add(-100 * time.Hour)}, false, Warn, "100h0m0s old"},
		"none":               {scan.Version{}, false, Fail, "freshclam"},
		"none, as intended":  {scan.Version{}, true, Warn, "as configured"},
		"fresh, not as told": {scan.Version{Signatures: 27000, Built: now}, true, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := New(Config{TestSignatures: c.test}, Deps{})
			wantFinding(t, []Finding{d.checkSignatures(c.version, now)}, "signatures", c.status, c.says)
		})
	}
}
