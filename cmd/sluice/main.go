// Sluice is an upload backend: an API that hands out presigned URLs, and workers that check, scan, render and
// publish what was uploaded.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/pipeline"
)

// Exit codes besides 0.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells have it for Ctrl-C
)

type program struct {
	LogLevel  slog.Level `predictor:"level" help:"Least severe events to log: debug, info, warn or error." default:"info"`
	LogFormat string     `help:"How to log: ${enum}." enum:"text,json" default:"text"`

	Version kong.VersionFlag `env:"-" help:"Print the version, and do nothing else."`

	API     apiCommand     `cmd:"" name:"api" help:"Serve the upload API."`
	Worker  workerCommand  `cmd:"" help:"Run stages of the pipeline."`
	Migrate migrateCommand `cmd:"" help:"Bring the database schema up to date."`
	Upload  uploadCmd      `cmd:"" help:"Upload files and wait until they are ready."`
	Status  statusCmd      `cmd:"" help:"Show how far an upload has come."`
	List    listCmd        `cmd:"" help:"List your uploads, the newest first."`
	Delete  deleteCmd      `cmd:"" help:"Cancel uploads, or remove files from everywhere."`
	DLQ     dlqCommand     `cmd:"" name:"dlq" help:"Look after the dead-letter queues."`
	Saga    sagaCommand    `cmd:"" help:"Look at and move single uploads, whoever owns them."`
	APIKey  apiKeyCommand  `cmd:"" name:"apikey" help:"Make, list and revoke keys for programs that call the API."`
	Limits  limitsCommand  `cmd:"" help:"Show, set and clear what single tenants may do."`
	Doctor  doctorCommand  `cmd:"" help:"Examine what Sluice stands on, and say how to put right what is wrong."`

	Completion completionCommand `cmd:"" help:"Print what lets a shell complete commands, flags and values with TAB."`

	Tagged tagged `embed:""`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not listen to the first
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run parses args and runs the command they name. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var p program
	code := -1
	parser, err := kong.New(&p,
		kong.Name("sluice"),
		kong.Description("The upload backend that lets through only what should pass."),
		kong.PostBuild(nameVariables),
		kong.Vars{"stages": strings.Join(pipeline.Stages(), ","), "version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(c int) { code = c }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	if done, err := completeLine(parser); err != nil {
		return complain(stderr, err, exitFailed)
	} else if done {
		return 0
	}
	command, err := parser.Parse(args)
	if code >= 0 { // --help or --version has done its work
		return code
	}
	if err != nil {
		return complain(stderr, err, exitUsage)
	}
	logged := newLines(stderr)
	err = command.Run(p.logger(logged))
	_ = logged.Close() // there is nobody left to tell
	if err != nil {
		if _, ok := errors.AsType[*configError](err); ok {
			return complain(stderr, err, exitUsage)
		}
		if errors.Is(err, errInterrupted) {
			return complain(stderr, err, exitInterrupted)
		}
		return complain(stderr, err, exitFailed)
	}
	return 0
}

// version is that of the module, and of the commit where Go knows it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// nameVariables gives every flag that names no environment variable its own: --s3-endpoint is SLUICE_S3_ENDPOINT.
// The tag env:"-" keeps one from it.
// (kong.DefaultEnvars would make SLUICE_S_3_ENDPOINT of it.)
func nameVariables(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" {
			switch {
			case len(flag.Envs) == 0:
				flag.Envs = []string{"SLUICE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))}
			case flag.Envs[0] == "-":
				flag.Envs = nil
			}
			flag.Tag.Envs = flag.Envs // for the help
		}
		return next(nil)
	})
}

func (p *program) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: p.LogLevel}
	if p.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func complain(w io.Writer, err error, code int) int {
	_, _ = fmt.Fprintf(w, "sluice: %v\n", err) // there is nobody left to tell
	return code
}

// configError is a mistake of whoever started the program, found by a command.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }
