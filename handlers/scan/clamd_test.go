package scan

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

const marker = "SLUICE-TEST-MALWARE-0001"

// eicar is the EICAR test string, in two parts so that no scanner takes this file for it.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

func clamdAddress(t *testing.T) string {
	t.Helper()
	address := os.Getenv("SLUICE_CLAMD_ADDRESS")
	if address == "" {
		t.Fatal("SLUICE_CLAMD_ADDRESS is not set: run the tests by `make test`, or load the environment of a running stack")
	}
	return address
}

func TestClamd(t *testing.T) {
	clamd := NewClamd(clamdAddress(t))
	if err := clamd.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := clamd.Version(t.Context()); err != nil || !strings.Contains(v.Engine, ".") {
		t.Errorf("got version %+v and error %v", v, err)
	}
	photo := photograph(t, "")
	for name, test := range map[string]struct {
		file []byte
		want sagas.State
	}{
		"a photograph":                      {photo, sagas.Clean},
		"a photograph with a comment":       {photograph(t, "on the beach"), sagas.Clean},
		"chunk after chunk":                 {append(photograph(t, ""), make([]byte, 3*chunkSize)...), sagas.Clean},
		"EICAR":                             {[]byte(eicar), sagas.Infected},
		"EICAR behind a photograph's end":   {append(photograph(t, ""), eicar...), sagas.Infected},
		"a photograph, marked in a comment": {photograph(t, marker), sagas.Infected},
		"an encrypted archive":              {encrypted(t), sagas.Unscannable},
	} {
		t.Run(name, func(t *testing.T) {
			out := scanned(t, clamd, test.file)
			if out.State != test.want {
				t.Errorf("got %+v, want %s", out, test.want)
			}
			if out.State != sagas.Clean && out.Reason.Detail == "" {
				t.Error("the reason says nothing")
			}
		})
	}
}

// The limits are the daemon's own, so this test starts one with small limits.
func TestClamdLimits(t *testing.T) {
	const kilobyte = 1 << 10
	clamd := startClamd(t, "StreamMaxLength 256K", "MaxFileSize 128K", "MaxScanSize 128K")
	for name, test := range map[string]struct {
		file []byte
		want pipeline.Outcome
	}{
		"within all limits":      {random(t, 100*kilobyte), pipeline.Outcome{State: sagas.Clean}},
		"past MaxFileSize":       {random(t, 200*kilobyte), pipeline.Unscannable(sagas.ScanLimit, "Heuristics.Limits.Exceeded.MaxFileSize")},
		"past StreamMaxLength":   {random(t, 300*kilobyte), pipeline.Unscannable(sagas.ScanLimit, "the file is larger than the scanner takes")},
		"far past it":            {random(t, 16<<20), pipeline.Unscannable(sagas.ScanLimit, "the file is larger than the scanner takes")},
		"infected":               {photograph(t, marker), pipeline.Infected("Test.Marker.UNOFFICIAL")},
		"infected, but past all": {append(random(t, 300*kilobyte), marker...), pipeline.Unscannable(sagas.ScanLimit, "the file is larger than the scanner takes")},
	} {
		t.Run(name, func(t *testing.T) {
			if out := scanned(t, clamd, test.file); out.State != test.want.State || out.Reason != test.want.Reason {
				t.Errorf("got %+v, want %+v", out, test.want)
			}
		})
	}
}

func scanned(t *testing.T, clamd *Clamd, file []byte) pipeline.Outcome {
	t.Helper()
	reply, err := clamd.Scan(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	out, err := verdict(reply)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// startClamd runs Debian's clamd with one signature, for the marker, until the test ends.
func startClamd(t *testing.T, settings ...string) *Clamd {
	t.Helper()
	program, err := exec.LookPath("clamd")
	if err != nil {
		program = "/usr/sbin/clamd"
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "clamd.sock")
	settings = append(settings, "Foreground yes", "DatabaseDirectory "+dir, "TemporaryDirectory "+dir, "LocalSocket "+socket,
		"AlertExceedsMax yes", "AlertEncrypted yes")
	write(t, filepath.Join(dir, "clamd.conf"), strings.Join(settings, "\n")+"\n")
	write(t, filepath.Join(dir, "test.ndb"), fmt.Sprintf("Test.Marker:0:*:%s\n", hex.EncodeToString([]byte(marker))))

	// The context ends with the test, and the process with the context.
	daemon := exec.CommandContext(t.Context(), program, "--config-file="+filepath.Join(dir, "clamd.conf"))
	var said bytes.Buffer
	daemon.Stdout, daemon.Stderr = &said, &said
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = daemon.Wait() // it is killed
	}()
	t.Cleanup(func() { <-exited })

	clamd := NewClamd("unix://" + socket)
	ready, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for clamd.Ping(ready) != nil {
		select {
		case <-exited:
			t.Fatalf("clamd did not start:\n%s", &said)
		case <-ready.Done():
			t.Fatal("clamd did not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return clamd
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// photograph is a valid JPEG with the comment in a segment of its own.
func photograph(t *testing.T, comment string) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	const startOfImage = 2 // bytes
	length := len(comment) + 2
	out := append([]byte{}, encoded.Bytes()[:startOfImage]...)
	out = append(out, 0xff, 0xfe, byte(length>>8), byte(length))
	out = append(out, comment...)
	out = append(out, encoded.Bytes()[startOfImage:]...)
	if _, err := jpeg.Decode(bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// encrypted is a ZIP archive whose one member says that it is encrypted.
func encrypted(t *testing.T) []byte {
	t.Helper()
	const encryptedFlag = 1
	content := strings.Repeat("no one can read this ", 20)
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	member, err := archive.CreateRaw(&zip.FileHeader{
		Name: "secret.txt", Method: zip.Store, Flags: encryptedFlag, CRC32: 0xdecade,
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(member, content); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
