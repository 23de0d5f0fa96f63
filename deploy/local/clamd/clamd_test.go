package clamd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/localtest"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

type testBundle struct {
	supervisor *supervise.Supervisor
	config     clamd.Config
	service    *supervise.Service
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{
		supervisor: &supervise.Supervisor{Logs: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))},
		config:     clamd.Config{Dir: localtest.Folder(t), Port: localtest.Port(t)},
	}
	var err error
	b.service, err = clamd.Launch(t.Context(), b.supervisor, b.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.service.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.service.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScans(t *testing.T) {
	b := setup(t)
	photo := photograph(t)
	marked := withComment(photo, clamd.TestMarker)
	if _, err := jpeg.Decode(bytes.NewReader(marked)); err != nil {
		t.Fatalf("the marked photograph is not a valid one: %v", err)
	}

	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"clean photograph":                  {photo, "stream: OK"},
		"marker in a photograph's comment":  {marked, "stream: " + clamd.InfectedByMarker + " FOUND"},
		"EICAR alone":                       {[]byte(clamd.EICAR()), "stream: " + clamd.InfectedByEICAR + " FOUND"},
		"EICAR behind a photograph's end":   {append(bytes.Clone(photo), clamd.EICAR()...), "stream: " + clamd.InfectedByEICAR + " FOUND"},
		"EICAR far into a file":             {append(make([]byte, 9<<20), clamd.EICAR()...), "stream: " + clamd.InfectedByEICAR + " FOUND"},
		"marker without its last character": {withComment(photo, clamd.TestMarker[:len(clamd.TestMarker)-1]), "stream: OK"},
	} {
		t.Run(name, func(t *testing.T) {
			for network, address := range map[string]string{"tcp": b.config.Address(), "unix": b.config.Socket()} {
				if got := scan(t, network, address, test.content); got != test.want {
					t.Errorf("over %s: %q, want %q", network, got, test.want)
				}
			}
		})
	}
}

func TestKilledDaemonComesBack(t *testing.T) {
	b := setup(t)
	killed := b.service.PID()
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for b.service.PID() == killed || clamd.Ping(ctx, b.config.Address()) != nil {
		select {
		case <-ctx.Done():
			t.Fatal("the daemon did not come back")
		case <-poll.C:
		}
	}
	if got := scan(t, "tcp", b.config.Address(), []byte(clamd.EICAR())); got != "stream: "+clamd.InfectedByEICAR+" FOUND" {
		t.Fatalf("after the restart: %q", got)
	}
}

func TestUnreachableMirrorChangesNothing(t *testing.T) {
	b := setup(t)
	updater := &clamd.Updater{
		Supervisor: b.supervisor,
		Config:     b.config,
		Mirror:     "http://" + (clamd.Config{Port: localtest.Port(t)}).Address(),
		Logger:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := updater.Update(ctx); err == nil || ctx.Err() != nil {
		t.Fatalf("error = %v, want freshclam's own", err)
	}
	if b.config.Official() {
		t.Fatal("there are official signatures without a mirror")
	}
	if got := scan(t, "tcp", b.config.Address(), []byte(clamd.EICAR())); !strings.HasSuffix(got, "FOUND") {
		t.Fatalf("after a vain update: %q", got)
	}
}

func TestReload(t *testing.T) {
	b := setup(t)
	if err := clamd.Reload(t.Context(), b.config.Address()); err != nil {
		t.Fatal(err)
	}
}

func TestOfficialNeedsMainAndDaily(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  bool
	}{
		"test signatures only":   {[]string{"sluice-test.ndb"}, false},
		"half a download":        {[]string{"daily.cvd"}, false},
		"complete":               {[]string{"daily.cvd", "main.cvd"}, true},
		"complete, then patched": {[]string{"daily.cld", "main.cvd"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := clamd.Config{Dir: t.TempDir()}
			dir := filepath.Join(config.Dir, "signatures")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := config.Official(); got != test.want {
				t.Fatalf("Official = %t, want %t", got, test.want)
			}
		})
	}
}

// scan speaks INSTREAM: chunks with their length before them, an empty one at the end.
func scan(t *testing.T, network, address string, content []byte) string {
	t.Helper()
	connection, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	message := append([]byte("zINSTREAM\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(content)))...)
	message = binary.BigEndian.AppendUint32(append(message, content...), 0)
	if _, err := connection.Write(message); err != nil {
		t.Fatal(err)
	}
	reply, err := bufio.NewReader(connection).ReadString(0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return strings.TrimSuffix(reply, "\x00")
}

func photograph(t *testing.T) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, image.NewRGBA(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// withComment puts a COM segment right behind the start of the image.
func withComment(photo []byte, comment string) []byte {
	const startOfImage = 2
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(len(comment)+2))
	segment = append(segment, comment...)
	return append(append(bytes.Clone(photo[:startOfImage]), segment...), photo[startOfImage:]...)
}
