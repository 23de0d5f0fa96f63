package storage

import "time"

// SetClock makes the client sign as at that time.
func (c *Client) SetClock(now time.Time) { c.signer.now = func() time.Time { return now } }

// Signature signs a policy.
var Signature = signature
