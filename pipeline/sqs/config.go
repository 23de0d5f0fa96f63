package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"time"
)

// maxVisibility is the longest that SQS keeps a message invisible, counted from its receipt.
// See VisibilityTimeout in the SQS API reference of ChangeMessageVisibility.
const maxVisibility = 12 * time.Hour

// Config says which queues to use, and how. Its fields are flags (kong) with the defaults that the tags show.
type Config struct {
	Endpoint     string `help:"SQS endpoint, such as http://127.0.0.1:8083; empty for AWS." placeholder:"URL"`
	Prefix       string `help:"What every queue's name begins with: a topic's queue is PREFIX + topic." default:"sluice-"`
	MaxIdleConns int    `help:"Connections to SQS kept open between requests." default:"128"`

	Subscriber SubscriberConfig `embed:""`
}

// SubscriberConfig says how one subscriber receives. A program with several copies it and sets each one's Slots and Gate.
type SubscriberConfig struct {
	Slots             int           `help:"Messages that a subscriber handles at once." default:"10"`
	VisibilityTimeout time.Duration `help:"For how long a received message is ours before a heartbeat renews it; whole seconds." default:"30s"`
	BackoffBase       time.Duration `help:"Longest delay before a failed message is tried again the first time; doubles with each receive." default:"2s"`
	BackoffCap        time.Duration `help:"What that delay never exceeds." default:"5m"`
	DrainGrace        time.Duration `help:"How long handlers may go on after shutdown begins, before their messages are given back." default:"20s"`

	// Gate, when not nil, is asked whether messages can be handled now; while it returns an error none are received.
	// It is asked about once a second, and at once after a nack, with a context of a few seconds.
	Gate func(context.Context) error `kong:"-"`
}

// queuePrefix is what may begin the name of a standard queue: see QueueName in the API reference of CreateQueue.
var queuePrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{0,64}$`)

// Validate returns all mistakes in c, joined.
func (c Config) Validate() error {
	var mistakes []error
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			mistakes = append(mistakes, fmt.Errorf("sqs endpoint %q is not an http or https URL", c.Endpoint))
		}
	}
	if !queuePrefix.MatchString(c.Prefix) {
		mistakes = append(mistakes, fmt.Errorf("sqs prefix %q is not at most 64 letters, digits, hyphens and underscores", c.Prefix))
	}
	if c.MaxIdleConns < 1 {
		mistakes = append(mistakes, fmt.Errorf("sqs max idle conns is %d, must be at least 1", c.MaxIdleConns))
	}
	return errors.Join(append(mistakes, c.Subscriber.Validate())...)
}

// Validate returns all mistakes in c, joined.
func (c SubscriberConfig) Validate() error {
	var mistakes []error
	complain := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if c.Slots < 1 {
		complain("sqs slots is %d, must be at least 1", c.Slots)
	}
	if c.VisibilityTimeout < time.Second || c.VisibilityTimeout > maxVisibility || c.VisibilityTimeout%time.Second != 0 {
		complain("sqs visibility timeout is %s, must be whole seconds from 1s to %s", c.VisibilityTimeout, maxVisibility)
	}
	if c.BackoffBase <= 0 {
		complain("sqs backoff base is %s, must be more than nothing", c.BackoffBase)
	}
	if c.BackoffCap < c.BackoffBase || c.BackoffCap > maxVisibility {
		complain("sqs backoff cap is %s, must be from the base, %s, to %s", c.BackoffCap, c.BackoffBase, maxVisibility)
	}
	if c.DrainGrace < 0 {
		complain("sqs drain grace is %s, must not be negative", c.DrainGrace)
	}
	return errors.Join(mistakes...)
}
