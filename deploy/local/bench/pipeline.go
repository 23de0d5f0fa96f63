package main

import (
	"context"
	"fmt"
	"time"
)

type pipelineCommand struct {
	Quick   bool     `help:"Shorter runs and a history of 100,000 uploads: does it work, rather than how fast is it."`
	Check   bool     `help:"End with status 1 when a target is missed."`
	Only    []string `help:"Measure only these: transport, line, workers, history." enum:"transport,line,workers,history" default:"transport,line,workers,history"`
	Durable bool     `help:"Have PostgreSQL wait for the disk, whose speed is then part of the figures."`
	Slots   int      `help:"Messages that each stage of a worker handles at once, where the line is measured." default:"32"`

	AllTransitions bool `help:"Give all uploads of the large history their transitions, not the last million alone: 28 million rows more."`

	Dir string `help:"Where to make the temporary folder, which takes up to 15 GB." placeholder:"FOLDER"`
}

// extent is how much is measured.
type extent struct {
	rounds   int           // of everything that is compared, but for the transport
	turns    int           // of each consumer of the transport: short ones, since the machine has its moods
	window   time.Duration // of one turn
	messages int           // on a queue, before it is consumed
	uploads  int           // of one run of the line
	waiting  int           // the same, where the stages sleep
	settled  int           // uploads in the large history
	logged   int           // those of them, the last ones, that have their transitions
	slots    int           // of each stage
}

func (c *pipelineCommand) extent() extent {
	if c.Quick {
		return extent{rounds: 1, turns: 1, window: time.Second, messages: 20_000, uploads: 1_000, waiting: 200, settled: 100_000, logged: 100_000, slots: c.Slots}
	}
	logged := 1_000_000
	if c.AllTransitions {
		logged = 5_000_000
	}
	return extent{rounds: 3, turns: 9, window: time.Second, messages: 60_000, uploads: 5_000, waiting: 400, settled: 5_000_000, logged: logged, slots: c.Slots}
}

// Run measures one thing after the other and prints each as soon as it is known.
func (c *pipelineCommand) Run(ctx context.Context) error {
	sections := map[string]func(context.Context, *bed, extent, *report) error{
		"transport": measureTransport,
		"line":      measureCost,
		"workers":   measureWorkers,
		"history":   measureHistory,
	}
	return measured(ctx, c.Dir, c.Durable, c.Check, func(b *bed, r *report) error {
		for _, name := range c.Only {
			if err := sections[name](ctx, b, c.extent(), r); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}
