package main

import (
	"context"
	"fmt"
	"time"
)

type apiCommand struct {
	Quick bool     `help:"One short round of each: does it work, rather than how fast is it."`
	Check bool     `help:"End with status 1 when a target is missed."`
	Only  []string `help:"Measure only these: presign, polling, memory." enum:"presign,polling,memory" default:"presign,polling,memory"`

	Soak        time.Duration `help:"How long the memory is watched. A minute shows a leak; 10m is what BENCHMARKS.md has." default:"1m"`
	Rate        float64       `help:"Presigns a second meanwhile." default:"500"`
	Connections int           `help:"Connections that clients keep open, each with one request at a time." default:"32"`
	Durable     bool          `help:"Have PostgreSQL wait for the disk, for all that is measured, as in production." default:"true" negatable:""`

	Sluice string `help:"Program to measure." type:"existingfile" default:"bin/sluice"`
	Peer   string `help:"Folder of the backend to compare with, where npm ci has run." type:"existingdir" default:"deploy/local/bench/peer"`
	Dir    string `help:"Where to make the temporary folder." placeholder:"FOLDER"`
}

// apiExtent is how much of the API is measured.
type apiExtent struct {
	rounds      int           // of everything that is compared
	warmUp      time.Duration // before each window
	window      time.Duration
	polled      int // uploads that are asked about
	connections int
	soak        time.Duration
	rate        float64 // presigns a second during the soak
}

func (c *apiCommand) extent() apiExtent {
	e := apiExtent{
		rounds: 9, warmUp: time.Second, window: 4 * time.Second, polled: 1_000,
		connections: c.Connections, soak: c.Soak, rate: c.Rate,
	}
	if c.Quick {
		e.rounds, e.warmUp, e.window, e.soak = 1, time.Second, 2*time.Second, min(c.Soak, 15*time.Second)
	}
	return e
}

// Run measures one thing after the other and prints each as soon as it is known.
func (c *apiCommand) Run(ctx context.Context) error {
	return measured(ctx, c.Dir, c.Durable, c.Check, func(b *bed, r *report) error {
		sluice, err := b.startSluice(ctx, c.Sluice)
		if err != nil {
			return err
		}
		for _, name := range c.Only {
			switch name {
			case "presign":
				err = c.measurePresign(ctx, b, sluice, r)
			case "polling":
				err = measurePolling(ctx, b, sluice, c.extent(), r)
			case "memory":
				err = measureMemory(ctx, b, sluice, c.extent(), r)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return sluice.checkWritten(ctx)
	})
}
