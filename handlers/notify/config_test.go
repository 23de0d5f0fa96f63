package notify

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestConfigFromFlagsAndEnvironment(t *testing.T) {
	t.Setenv("SLUICE_WEBHOOK_SECRET", secret)
	var command struct {
		Webhook Config `embed:"" prefix:"webhook-"`
	}
	parser, err := kong.New(&command, kong.DefaultEnvars("SLUICE"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--webhook-url=https://example.com/hook"}); err != nil {
		t.Fatal(err)
	}
	want := Config{URL: "https://example.com/hook", Secret: secret, Timeout: 20 * time.Second}
	if command.Webhook != want {
		t.Errorf("got %+v, want %+v", command.Webhook, want)
	}
	if err := command.Webhook.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigWithoutWebhookIsValid(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigValidateReportsEveryMistakeButNoSecret(t *testing.T) {
	err := Config{URL: "ftp://example.com/token-7", Secret: "whsec_!token-8"}.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, mistake := range []string{"webhook url", "webhook secret", "webhook timeout"} {
		if !strings.Contains(err.Error(), mistake) {
			t.Errorf("%q does not name the %s", err, mistake)
		}
	}
	if strings.Contains(err.Error(), "token-") {
		t.Errorf("%q tells a secret", err)
	}
}

func TestConfigValidateSecret(t *testing.T) {
	of := func(bytes int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, bytes)) }
	for s, ok := range map[string]bool{
		of(24): true, of(64): true, of(23): false, of(65): false, "": false, "whsec_": false,
		strings.TrimPrefix(of(32), "whsec_"): false, strings.TrimRight(of(32), "="): false,
	} {
		err := Config{URL: "https://example.com", Secret: s, Timeout: time.Second}.Validate()
		if (err == nil) != ok {
			t.Errorf("%q: got error %v", s, err)
		}
	}
}
