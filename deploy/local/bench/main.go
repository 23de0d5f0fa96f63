// Command bench measures what Sluice's control plane costs on this machine, against targets that are ratios wherever
// they can be, so that a slow machine and a fast one come to the same verdict.
//
//	bench pipeline    messages and uploads per second, and what each of them costs
//	bench api         permissions to upload and answers to pollers per second, and what each of them costs
//
// It brings its own PostgreSQL and its own SQS server, the latter in a process of its own, and leaves nothing behind.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Pipeline pipelineCommand `cmd:"" help:"Measure the transport, the line of stages and the database beneath them."`
	API      apiCommand      `cmd:"" name:"api" help:"Measure the API, beside the usual upload backend in Node.js."`

	Queues queuesCommand `cmd:"" hidden:"" help:"Serve SQS, counted and delayed."`
	Worker workerCommand `cmd:"" hidden:"" help:"Run all stages of the line with nothing to do in them."`
}

// gcPercent is that of Sluice's own processes. All that is compared here has it, the hand-written consumer included.
const gcPercent = 400

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var chosen commands
	parsed := kong.Parse(&chosen,
		kong.Name("bench"),
		kong.Description("What Sluice's control plane costs on this machine."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err := parsed.Run(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}
