//go:build failpoints

package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/pipeline"
)

// tagged are the commands of a binary that was built to be tested.
type tagged struct {
	Failpoints failpointsCommand `cmd:"" help:"List where SLUICE_FAILPOINTS can have this binary fail."`
}

type failpointsCommand struct{}

// Run prints one name a line.
func (failpointsCommand) Run(k *kong.Context) error {
	for _, name := range pipeline.Failpoints() {
		if _, err := fmt.Fprintln(k.Stdout, name); err != nil {
			return err
		}
	}
	return nil
}
