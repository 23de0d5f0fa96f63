package sqs

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// defaults returns the configuration that the tags describe.
func defaults(t testing.TB) Config {
	t.Helper()
	var c Config
	if err := kong.ApplyDefaults(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreValid(t *testing.T) {
	if err := defaults(t).Validate(); err != nil {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	t.Setenv("SLUICE_SQS_ENDPOINT", "http://127.0.0.1:8083")
	t.Setenv("SLUICE_SQS_VISIBILITY_TIMEOUT", "45s")
	var cli struct {
		SQS Config `embed:"" prefix:"sqs-"`
	}
	parser, err := kong.New(&cli, kong.DefaultEnvars("SLUICE"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--sqs-slots=3"}); err != nil {
		t.Fatal(err)
	}
	want := defaults(t)
	want.Endpoint = "http://127.0.0.1:8083"
	want.Subscriber.VisibilityTimeout = 45 * time.Second
	want.Subscriber.Slots = 3
	if got := cli.SQS; got.Endpoint != want.Endpoint || got.Prefix != want.Prefix ||
		got.Subscriber.VisibilityTimeout != want.Subscriber.VisibilityTimeout || got.Subscriber.Slots != want.Subscriber.Slots {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestValidateTellsEveryMistake(t *testing.T) {
	mistaken := Config{Endpoint: "127.0.0.1:8083", Prefix: "a b", Subscriber: SubscriberConfig{
		VisibilityTimeout: 1500 * time.Millisecond, BackoffCap: -1, DrainGrace: -1,
	}}
	err := mistaken.Validate()
	if err == nil {
		t.Fatal("no mistake found")
	}
	for _, word := range []string{"endpoint", "prefix", "max idle conns", "slots", "visibility timeout", "backoff base", "backoff cap", "drain grace"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing about the %s in: %v", word, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for endpoint, valid := range map[string]bool{
		"":                         true,
		"https://sqs.example.com":  true,
		"http://127.0.0.1:8083":    true,
		"ftp://127.0.0.1:8083":     false,
		"http://":                  false,
		"127.0.0.1:8083":           false,
		"http://127.0.0.1:port/no": false,
	} {
		c := defaults(t)
		c.Endpoint = endpoint
		if err := c.Validate(); (err == nil) != valid {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}
