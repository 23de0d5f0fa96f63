// Command sluice-local runs everything that Sluice needs on one machine, with nothing faked: an S3 and an SQS server in
// this process, and the system's PostgreSQL, clamd, nginx (as the CDN edge) and Prometheus as supervised processes.
//
//	sluice-local run            all of it and Sluice's own processes, on fixed ports, with data that stays
//	sluice-local exec -- CMD    what Sluice needs, on free ports, while CMD runs; this is how tests are run
//	sluice-local cloud          the S3 and SQS servers alone
//	sluice-local chaos          all of it, while everything goes wrong that can
//	sluice-local mutants        bugs planted in Sluice, to show that chaos finds them
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/deploy/local/chaos"
)

type commands struct {
	Run     runCommand     `cmd:"" help:"Run Sluice and all it needs in the foreground, until Ctrl-C."`
	Exec    execCommand    `cmd:"" help:"Run a command against what Sluice needs: temporary data, free ports, no Sluice processes."`
	Cloud   cloudCommand   `cmd:"" help:"Run the S3 and SQS servers alone, for any client. The root credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
	Chaos   chaosCommand   `cmd:"" help:"Upload through Sluice while its processes die and its network fails, and judge what comes of it."`
	Mutants mutantsCommand `cmd:"" help:"Plant bugs in Sluice and show that a chaos run catches each."`
}

// statusError says all there is to say by the status of the process.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	var chosen commands
	parser, err := kong.New(&chosen,
		kong.Name("sluice-local"),
		kong.Description("Everything that Sluice needs, on one machine."),
		kong.Writers(stdout, stderr),
		kong.UsageOnError(),
		kong.Vars{"profiles": strings.Join(chaos.Profiles(), ",")},
	)
	if err != nil {
		return fail(stderr, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second signal ends the process at once; the kernel then ends its children.
	context.AfterFunc(ctx, stop)

	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(console{stdout: stdout, stderr: stderr})
	err = parsed.Run()
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return 0
}

func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintf(stderr, "sluice-local: %v\n", err)
	return 1
}

// console is where the operator reads: results on stdout, events on stderr.
type console struct {
	stdout, stderr io.Writer
}
