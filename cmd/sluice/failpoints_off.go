//go:build !failpoints

package main

// tagged are the commands of a binary that was built to be tested: none of this one.
type tagged struct{}
