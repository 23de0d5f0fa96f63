package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sluice-media/sluice/deploy/local/chaos"
	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

type chaosCommand struct {
	Seed     uint64        `help:"What everything random is drawn from; 0 draws a seed." default:"0"`
	Profile  string        `help:"What strikes and who comes: ${enum}." enum:"${profiles}" default:"storm"`
	Uploads  int           `help:"How many uploads are begun." default:"150"`
	Clients  int           `help:"How many customers there are at the same time, at most." default:"32"`
	Underway int           `help:"How many uploads may be between S3 and their outcome; then customers wait." default:"200"`
	Workers  int           `help:"How many worker processes there are; with more of them a kill costs less of their work." default:"3"`
	Duration time.Duration `help:"For how long faults strike, and the uploads are spread; longer if customers had to wait." default:"60s"`
	Sluice   string        `help:"The sluice program; the one beside sluice-local when not given." type:"path"`
	JSON     bool          `help:"Print the report as one JSON object."`
	Keep     bool          `help:"Keep the temporary data folder, logs included, even when all is well."`
}

// longestPause is how long a killed process may stay away.
const longestPause = time.Second

// mostWorkers is how many there are ports for.
const mostWorkers = portCount - chaos.APIs

// unproven is the status of a run that found nothing wrong, but in which not every fault struck.
const unproven = 3

// Run starts a stack of its own, has it struck, and ends with status 1 when something is wrong.
func (c *chaosCommand) Run(ctx context.Context, console console) (err error) {
	if err := errors.Join(requirePrograms(true), c.check()); err != nil {
		return err
	}
	p, err := c.prepare(ctx, console)
	if err != nil {
		return err
	}
	keep := c.Keep
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		err = errors.Join(err, p.lifecycle.stop(stopping))
		if keep {
			_, printErr := fmt.Fprintf(console.stderr, "sluice-local: data and logs are in %s\n", strings.Join(p.layout.folders(), " and "))
			err = errors.Join(err, printErr)
			return
		}
		err = errors.Join(err, p.layout.remove())
	}()
	report, err := c.strike(ctx, p, console)
	if err != nil {
		keep = true
		return err
	}
	if c.JSON {
		err = json.NewEncoder(console.stdout).Encode(report)
	} else {
		err = report.Print(console.stdout)
	}
	if err != nil || report.Passed() {
		return err
	}
	keep = true
	p.explain(report, console)
	if len(report.Findings) == 0 {
		return statusError(unproven)
	}
	return statusError(1)
}

func (c *chaosCommand) check() error {
	var errs []error
	if c.Uploads < 1 {
		errs = append(errs, fmt.Errorf("--uploads is %d, must be at least 1", c.Uploads))
	}
	if c.Clients < 1 {
		errs = append(errs, fmt.Errorf("--clients is %d, must be at least 1", c.Clients))
	}
	if c.Underway < 1 {
		errs = append(errs, fmt.Errorf("--underway is %d, must be at least 1", c.Underway))
	}
	if c.Workers < 1 || c.Workers > mostWorkers {
		errs = append(errs, fmt.Errorf("--workers is %d, must be from 1 to %d", c.Workers, mostWorkers))
	}
	if c.Duration <= 0 {
		errs = append(errs, fmt.Errorf("--duration is %s, must be more than nothing", c.Duration))
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64() //nolint:gosec // It only has to differ.
	}
	return errors.Join(errs...)
}

// prepare makes a stack in a temporary folder, not yet started, whose processes come back soon when they die.
func (c *chaosCommand) prepare(ctx context.Context, console console) (*product, error) {
	workDir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	program, err := (&runCommand{Sluice: c.Sluice}).program()
	if err != nil {
		return nil, err
	}
	s, err := temporaryStack(ctx, console)
	if err != nil {
		return nil, err
	}
	s.faults = s3.NewFaults(c.Seed)
	s.maxReceiveCount = chaos.MaxReceiveCount
	s.supervisor.LongestPause = longestPause
	return &product{stack: s, program: program, workDir: workDir}, nil
}

// strike starts the stack and makes the run.
func (c *chaosCommand) strike(ctx context.Context, p *product, console console) (chaos.Report, error) {
	own, err := freePorts(ctx)
	if err != nil {
		return chaos.Report{}, err
	}
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := errors.Join(p.start(starting), p.writeEnvironment()); err != nil {
		return chaos.Report{}, err
	}
	if err := p.waitForClamd(starting, startLimit); err != nil {
		return chaos.Report{}, err
	}
	if err := p.supervisor.Run(starting, p.process("migrate", nil)); err != nil {
		return chaos.Report{}, err
	}
	progress := console.stdout
	if c.JSON {
		progress = console.stderr
	}
	return chaos.Run(ctx, chaos.Config{
		Seed: c.Seed, Profile: c.Profile, Uploads: c.Uploads, Clients: c.Clients, Underway: c.Underway, Workers: c.Workers, Duration: c.Duration,
		Stack: p.struck(own, p.failpoints(ctx)), Out: progress, Logger: p.logger,
	})
}

// struck is the stack as a chaos run needs to know it.
func (p *product) struck(own ports, points []string) chaos.Stack {
	return chaos.Stack{
		S3: address(p.ports.s3()), SQS: address(p.ports.sqs()), Clamd: p.clamdConfig().Address(),
		DatabaseURL: p.postgresConfig().URL(), EdgeURL: p.edgeConfig().URL(),
		Incoming: incomingBucket, Media: mediaBucket, EventsQueue: eventsQueue,
		Region: region, AccessKey: p.secrets.AccessKey, SecretKey: p.secrets.SecretKey, Token: p.variables.get("SLUICE_TOKEN"),
		Faults:     p.faults,
		Failpoints: points, Logs: p.layout.logs(),
		Mortals: map[string]*supervise.Service{"clamd": p.clamd, "postgres": p.database, "edge": p.viewers},
		Ports:   own.all(),
		Launch:  p.launchProcess,
	}
}

// failpoints lists the points of a sluice that was built with the tag failpoints. Any other does not know the command.
func (p *product) failpoints(ctx context.Context) []string {
	names, err := exec.CommandContext(ctx, p.program, "failpoints").Output() //nolint:gosec // It is the program that is tried.
	if err != nil {
		return nil
	}
	return strings.Fields(string(names))
}

func (p *product) launchProcess(ctx context.Context, process chaos.Process) (*supervise.Service, error) {
	spec := p.process(process.Command, healthy(process.Health))
	spec.Name = process.Name
	if process.Host != nil {
		spec.Path, spec.Args = process.Host.Command(spec.Path, spec.Args...)
	}
	spec.Important = nil
	spec.Env = func() []string {
		own := slices.Clone(p.variables)
		for name, value := range process.Env() {
			own.set(name, value)
		}
		return own.over(os.Environ())
	}
	return p.supervisor.Launch(ctx, spec)
}

// mostExplained bounds how many uploads are shown.
const mostExplained = 5

// explain shows what is needed to find out about the uploads that something is wrong with.
func (p *product) explain(report chaos.Report, console console) {
	shown := console
	shown.stdout = console.stderr
	suspects := report.Suspects()
	for _, id := range suspects[:min(len(suspects), mostExplained)] {
		_, _ = fmt.Fprintf(console.stderr, "\n$ sluice saga show %s\n", id)
		if err := runForeground([]string{p.program, "saga", "show", id}, p.workDir, p.environ(), shown); err != nil {
			_, _ = fmt.Fprintf(console.stderr, "%v\n", err)
		}
	}
	_, _ = fmt.Fprintf(console.stderr, "\nWhat the processes said of an upload: grep ID %s/*.log\n", p.layout.logs())
}
