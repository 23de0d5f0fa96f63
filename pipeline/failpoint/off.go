//go:build !failpoints

package failpoint

import "github.com/aws/aws-sdk-go-v2/aws"

// Hit does nothing.
func Hit(string, string) error { return nil }

// AWS does nothing.
func AWS(*aws.Config) {}
