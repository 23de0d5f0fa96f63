package storage

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Transport is what a client with that much patience sends its requests by.
var Transport = transport

// SetClock makes the client sign as at that time.
func (c *Client) SetClock(now time.Time) { c.signer.now = func() time.Time { return now } }

// Signature signs a policy.
func Signature(c aws.Credentials, day, region, policy string) string {
	return new(signer).key(c, day, region).sign(policy)
}
