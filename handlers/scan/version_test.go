package scan

import (
	"errors"
	"io"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestParseVersion(t *testing.T) {
	for reply, want := range map[string]Version{
		"ClamAV 1.4.6": {Engine: "1.4.6"},
		"ClamAV 1.4.6/27500/Wed Jan  1 10:33:22 2025": {Engine: "1.4.6", Signatures: 27500, Built: time.Date(2025, 1, 1, 10, 33, 22, 0, time.Local)},
		"ClamAV 1.0.7/27123/Mon Dec 30 09:40:02 2024": {Engine: "1.0.7", Signatures: 27123, Built: time.Date(2024, 12, 30, 9, 40, 2, 0, time.Local)},
		"ClamAV 1.5.0-rc": {Engine: "1.5.0-rc"},
	} {
		got, err := parseVersion(reply)
		if err != nil {
			t.Errorf("%q: %v", reply, err)
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", reply, got, want)
		}
	}
	for _, reply := range []string{"", "ClamAV", "ClamAV ", "PONG", "ClamAV 1.4.6/new/Wed Jan  1 10:33:22 2025", "ClamAV 1.4.6/27500/yesterday"} {
		if v, err := parseVersion(reply); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%q: got %+v and error %v, want ErrUnavailable", reply, v, err)
		}
	}
}

func TestSignatureAge(t *testing.T) {
	const name = "sluice_clamd_signature_age_seconds"
	tests := []struct {
		name, reply string
		want        float64 // seconds, to the hour; NaN for no metric
	}{
		{"official", "ClamAV 1.4.6/27500/" + time.Now().Add(-36*time.Hour).Format(time.ANSIC) + "\x00", 36 * 3600},
		{"only others", "ClamAV 1.4.6\x00", math.Inf(1)},
		{"garbled", "ClamAV 1.4.6/27500/", math.NaN()},
		{"down", "", math.NaN()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clamd := daemon(t, func(conn net.Conn) {
				_, _ = io.ReadFull(conn, make([]byte, len("zVERSION\x00")))
				_, _ = io.WriteString(conn, test.reply)
			})
			registry := prometheus.NewPedanticRegistry()
			age := newSignatureAge(clamd)
			registry.MustRegister(age)
			n, err := testutil.GatherAndCount(registry, name)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				if !math.IsNaN(test.want) {
					t.Errorf("got no metric, want %v", test.want)
				}
				return
			}
			if got := testutil.ToFloat64(age); !(got >= test.want && got <= test.want+3600) {
				t.Errorf("got an age of %v s, want %v", got, test.want)
			}
		})
	}
}

func TestSignatureAgeIsAskedForOnceAMinute(t *testing.T) {
	var asked atomic.Int32
	clamd := daemon(t, func(conn net.Conn) {
		asked.Add(1)
		_, _ = io.ReadFull(conn, make([]byte, len("zVERSION\x00")))
		_, _ = io.WriteString(conn, "ClamAV 1.4.6/27500/Wed Jan  1 10:33:22 2025\x00")
	})
	age := newSignatureAge(clamd)
	for range 3 {
		testutil.ToFloat64(age)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	age.asked = age.asked.Add(-versionLifetime)
	testutil.ToFloat64(age)
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times after a minute, want once more", n-1)
	}
}
