package scan

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

func TestVerdict(t *testing.T) {
	tooLarge := pipeline.Unscannable(sagas.ScanLimit, "the file is larger than the scanner takes")
	for reply, want := range map[string]pipeline.Outcome{
		"stream: OK":                                           {State: sagas.Clean},
		"stream: Eicar-Signature FOUND":                        pipeline.Infected("Eicar-Signature"),
		"stream: Sluice.Test.Marker.UNOFFICIAL FOUND":          pipeline.Infected("Sluice.Test.Marker.UNOFFICIAL"),
		"stream: OK FOUND":                                     pipeline.Infected("OK"),
		"stream: Heuristics.Phishing.Email FOUND":              pipeline.Infected("Heuristics.Phishing.Email"),
		"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND": pipeline.Unscannable(sagas.ScanLimit, "Heuristics.Limits.Exceeded.MaxFileSize"),
		"stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND": pipeline.Unscannable(sagas.ScanLimit, "Heuristics.Limits.Exceeded.MaxScanTime"),
		"stream: Heuristics.Limits.Exceeded FOUND":             pipeline.Unscannable(sagas.ScanLimit, "Heuristics.Limits.Exceeded"),
		"stream: Heuristics.Encrypted.Zip FOUND":               pipeline.Unscannable(sagas.ScanEncrypted, "Heuristics.Encrypted.Zip"),
		"stream: Heuristics.Encrypted.PDF FOUND":               pipeline.Unscannable(sagas.ScanEncrypted, "Heuristics.Encrypted.PDF"),
		"INSTREAM size limit exceeded. ERROR":                  tooLarge,
		"stream: Exceeded time limit ERROR":                    pipeline.Unscannable(sagas.ScanLimit, "Exceeded time limit"),
		"stream: Bad format or broken data ERROR":              pipeline.Unscannable(sagas.ScanError, "Bad format or broken data"),
		"stream: Can't unpack some data ERROR":                 pipeline.Unscannable(sagas.ScanError, "Can't unpack some data"),
	} {
		got, err := verdict(reply)
		if err != nil {
			t.Errorf("%q: %v", reply, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", reply, got, want)
		}
	}
}

// A reply that says nothing about the file must be asked for again, whatever it looks like.
func TestVerdictOfNoJudgementIsAnError(t *testing.T) {
	for _, reply := range []string{
		"", "OK", "stream:OK", "stream: ok", "Stream: OK", "stream: OK ", " stream: OK", "stream: OK\n", "stream: OK\r", "stream: OKAY",
		"stream: ", "stream:  FOUND", "stream: FOUND", "Eicar-Signature FOUND", "/tmp/file: OK", "1: stream: OK", "stream: OK ERROR",
		"stream: Can't allocate memory ERROR", "stream: Can't create temporary file ERROR", "stream: Can't write to file ERROR",
		"INSTREAM: Can't write to temporary file. ERROR", "COMMAND READ TIMED OUT", "UNKNOWN COMMAND", "PONG",
	} {
		out, err := verdict(reply)
		if !errors.Is(err, ErrUnavailable) || out.State != "" {
			t.Errorf("%q: got %+v and error %v, want ErrUnavailable", reply, out, err)
		}
	}
}

// FuzzReply plays any bytes as the daemon's reply: only the exact OK is clean.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"stream: OK\x00", "stream: OK", "stream: OK\x00\x00", "stream: OK\nstream: OK\x00", "stream: Eicar-Signature FOUND\x00",
		"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\x00", "INSTREAM size limit exceeded. ERROR\x00", "\x00", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reply, err := receive(bytes.NewReader(data))
		if err != nil {
			if reply != "" {
				t.Fatalf("%q: a reply, %q, and the error %v", data, reply, err)
			}
			return
		}
		out, err := verdict(reply)
		if err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatalf("%q: %v", data, err)
		}
		if (out.State == sagas.Clean) != (string(data) == "stream: OK\x00") {
			t.Fatalf("%q is %s", data, out.State)
		}
		if err == nil && !sagas.Verified.CanBecome(out.State) {
			t.Fatalf("%q: a verified upload cannot become %q", data, out.State)
		}
	})
}
