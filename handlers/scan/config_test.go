package scan

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("SLUICE_CLAMD_ADDRESS", "unix:///run/clamav/clamd.ctl")
	t.Setenv("SLUICE_SCAN_MAX_SIZE", "26214400")
	got := parse(t, "--scan-timeout=90s")
	want := Config{ClamdAddress: "unix:///run/clamav/clamd.ctl", MaxSize: 25 << 20, Timeout: 90 * time.Second}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestConfigDefaultsAreValid(t *testing.T) {
	t.Setenv("SLUICE_CLAMD_ADDRESS", "tcp://127.0.0.1:8085")
	if err := parse(t).Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigValidateReportsEveryMistake(t *testing.T) {
	err := Config{ClamdAddress: "127.0.0.1:3310", MaxSize: 1 << 31}.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, mistake := range []string{"127.0.0.1:3310", "2147483648", "timeout"} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("%q does not name %q", err, mistake)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for s, want := range map[string][2]string{
		"tcp://127.0.0.1:3310":         {"tcp", "127.0.0.1:3310"},
		"tcp://clamd.internal:3310/":   {"tcp", "clamd.internal:3310"},
		"tcp://[::1]:3310":             {"tcp", "[::1]:3310"},
		"unix:///run/clamav/clamd.ctl": {"unix", "/run/clamav/clamd.ctl"},
	} {
		network, address, err := parseAddress(s)
		if err != nil || network != want[0] || address != want[1] {
			t.Errorf("%s: got %s %s and error %v", s, network, address, err)
		}
	}
	for _, s := range []string{"", "clamd", "127.0.0.1:3310", "tcp://clamd", "tcp://:3310", "tcp://clamd:3310/path", "unix://run/clamd.ctl", "unix:clamd.ctl", "http://clamd:3310", "tcp://clamd:port"} {
		if network, address, err := parseAddress(s); err == nil {
			t.Errorf("%q: got %s %s, want an error", s, network, address)
		}
	}
}

func parse(t *testing.T, args ...string) Config {
	t.Helper()
	var c Config
	parser, err := kong.New(&c, kong.DefaultEnvars("SLUICE"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return c
}
