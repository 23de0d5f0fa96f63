// Package chaos tries Sluice as the world does: real processes on the real local stack, with customers who use the public
// API, while processes are killed, connections are cut, slowed down and swallowed, events are dropped, doubled, delayed,
// swapped and forged.
//
// What strikes when is drawn beforehand from a seed. At the end a judge, who sees only what the customers noted, what the
// API shows, what is in the buckets, what viewers get and what the webhook receiver logged, says what is lost, stuck,
// wrong, leaked, left over, untold or done twice. See Judge for the rules.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-media/sluice/deploy/local/clamd"
	"github.com/sluice-media/sluice/deploy/local/hosts"
	"github.com/sluice-media/sluice/deploy/local/s3"
)

// Config is one run.
type Config struct {
	Seed     uint64
	Profile  string
	Uploads  int           // that customers begin
	Clients  int           // customers at the same time, at most
	Underway int           // uploads that S3 accepted and whose outcome is not told yet, at most: then customers wait
	Workers  int           // worker processes
	Duration time.Duration // of the faults, which go on until the last customer is through
	Stack    Stack
	// Out gets the plan and the progress.
	Out    io.Writer
	Logger *slog.Logger
}

const (
	// settleGrace is what the line itself may take, on a busy machine, on top of two sweeps.
	settleGrace = 10 * time.Second
	// watchFor is how long after an upload's last change its file is looked for at the edge.
	watchFor = 15 * time.Second
	// quiet is how long nothing may happen before the buckets are looked at: longer than a message stays invisible.
	quiet = visibility + 2*time.Second
	// patience bounds the collection of evidence, and evidenceEach is what each upload adds to it.
	patience     = 5 * time.Minute
	evidenceEach = 100 * time.Millisecond
	// roomFor is how long a customer waits while too many uploads are underway. Then it comes in all the same, and it is for
	// the judge to say what keeps them.
	roomFor = 5 * time.Minute
	// progressEvery is how often a long run says how far it is.
	progressEvery = time.Minute
)

// run is a run under way.
type run struct {
	Config
	profile   Profile
	gates     map[string]*gate
	receiver  *receiver
	fleet     fleet
	ledger    *ledger
	tally     *tally
	striker   *striker
	watcher   *watcher
	points    *failpoints
	customers *customers
	inspector *inspector
	network   *hosts.Network // nil when there are no hosts
	cutter    *cutter
	began     time.Time

	mu         sync.Mutex
	turnedAway []string
}

// Run makes the run and judges it. The error is of the run itself; what is wrong with Sluice is in the Report.
func Run(ctx context.Context, c Config) (report Report, err error) {
	profile, err := profileNamed(c.Profile)
	if err != nil {
		return Report{}, err
	}
	points, err := newFailpoints(c.Seed, profile, c.Stack.Failpoints)
	if err != nil {
		return Report{}, err
	}
	r := &run{Config: c, profile: profile, points: points, ledger: newLedger(), tally: newTally(), began: time.Now()}
	defer func() { err = errors.Join(err, r.close(context.WithoutCancel(ctx))) }()
	if err := r.open(ctx); err != nil {
		return Report{}, err
	}
	plan := newPlan(c.Seed, profile, c.Duration)
	if _, err := fmt.Fprintf(c.Out, "Seed %d, profile %s: %d uploads, %d faults in %s\n", c.Seed, c.Profile, c.Uploads, len(plan), c.Duration); err != nil {
		return Report{}, err
	}
	if err := printPlan(c.Out, plan); err != nil {
		return Report{}, err
	}
	if _, err := fmt.Fprintln(c.Out, points); err != nil {
		return Report{}, err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watcher sync.WaitGroup
	watcher.Go(func() { r.watcher.run(watching) })

	if err := r.storm(ctx, plan); err != nil {
		return Report{}, err
	}
	calm := time.Now()
	end, err := r.settle(ctx, calm)
	if err != nil {
		return Report{}, err
	}
	if err := r.waitForParts(ctx, calm); err != nil {
		return Report{}, err
	}
	if err := wait(ctx, quiet); err != nil {
		return Report{}, err
	}
	stopWatching()
	watcher.Wait()
	e, err := r.evidence(ctx)
	if err != nil {
		return Report{}, err
	}
	report = r.report(e, end)
	if r.profile.Hosts {
		report.Cuts = r.cutter.made
		labours, err := readLabours(ctx, r.Stack.DatabaseURL)
		if err != nil {
			return Report{}, err
		}
		report.Findings = append(report.Findings, JudgeCuts(report.Cuts, labours, r.profile.takeover())...)
		for _, c := range report.Cuts {
			if c.TakenOver == 0 {
				report.Idle = append(report.Idle, "taking over from who is cut off from "+c.Target)
			}
		}
	}
	return report, nil
}

// open starts everything that stands around Sluice, then Sluice's processes.
func (r *run) open(ctx context.Context) (err error) {
	if r.receiver, err = openReceiver(ctx, r.Seed, r.profile.RefuseWebhooks, r.Logger); err != nil {
		return err
	}
	address := loopback
	var workerHosts []*hosts.Host
	if r.profile.Hosts {
		if r.network, err = hosts.Open(ctx, r.Workers); err != nil {
			return fmt.Errorf("make the hosts of the workers: %w", err)
		}
		address, workerHosts = r.network.Address(), r.network.Hosts()
	}
	if r.gates, err = openGates(r.Stack, address, r.receiver.address); err != nil {
		return err
	}
	r.cutter = &cutter{hosts: workerHosts, gates: r.gates}
	if r.fleet, err = launch(ctx, r.Stack, r.profile, r.Workers, r.points, r.gates, r.receiver.secret, workerHosts); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: r.Clients}}
	customerDoor := &door{bases: r.fleet.bases, token: r.Stack.Token, http: client}
	r.customers = &customers{
		door: customerDoor, ledger: r.ledger, photos: photographer{marker: clamd.TestMarker}, bucket: r.Stack.Incoming, http: client,
	}
	r.watcher = &watcher{ledger: r.ledger, edgeURL: r.Stack.EdgeURL, http: client, until: watchFor}
	r.inspector = &inspector{
		objects:  s3.NewClient("http://"+r.Stack.S3, r.Stack.Region, r.Stack.AccessKey, r.Stack.SecretKey),
		incoming: r.Stack.Incoming, media: r.Stack.Media, door: customerDoor, viewers: client,
	}
	forger, err := r.openForger(ctx)
	if err != nil {
		return err
	}
	mortals := r.fleet.services
	for name, service := range r.Stack.Mortals {
		mortals[name] = append(mortals[name], service)
	}
	r.striker = &striker{
		mortals: mortals, gates: r.gates, events: r.Stack.Faults, forger: forger, cutter: r.cutter, tally: r.tally, logger: r.Logger,
	}
	return nil
}

func (r *run) close(ctx context.Context) error {
	err := r.fleet.stop(ctx)
	for _, g := range r.gates {
		g.close()
	}
	if r.network != nil {
		err = errors.Join(err, r.network.Close(ctx))
	}
	if r.receiver != nil {
		err = errors.Join(err, r.receiver.close(ctx))
	}
	return err
}

// disarm has the workers come back without failpoints, and counts how often those struck.
func (r *run) disarm(ctx context.Context) error {
	if r.points.variable() == "" {
		return nil
	}
	r.points.disarmed.Store(true)
	if err := r.fleet.restartWorkers(ctx); err != nil {
		return fmt.Errorf("restart the workers without failpoints: %w", err)
	}
	return r.points.count(r.tally, r.Stack.Logs, r.fleet.workers)
}

// evidence collects everything for the judge.
func (r *run) evidence(ctx context.Context) (e Evidence, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience+evidenceEach*time.Duration(r.Uploads))
	defer cancel()
	e = Evidence{
		Receipts: r.ledger.all(), Deliveries: r.receiver.deliveries(), Sightings: r.watcher.seen, Shown: map[string]Seen{},
		GivesUp: r.profile.Attempts > 0,
	}
	for _, receipt := range e.Receipts {
		seen, found, err := r.inspector.show(ctx, receipt.ID)
		if err != nil {
			return e, err
		}
		if found {
			e.Shown[receipt.ID] = seen
		}
	}
	if e.Incoming, err = r.inspector.contents(ctx, r.Stack.Incoming); err != nil {
		return e, err
	}
	if e.Media, err = r.inspector.contents(ctx, r.Stack.Media); err != nil {
		return e, err
	}
	if e.Unfinished, err = r.inspector.unfinished(ctx); err != nil {
		return e, err
	}
	e.Viewed, err = r.inspector.views(ctx, e.Shown)
	return e, err
}

func (r *run) report(e Evidence, end settling) Report {
	report := Report{
		Seed: r.Seed, Profile: r.Profile, Took: time.Since(r.began), Uploads: len(e.Receipts), Outcomes: map[string]int{},
		Faults: r.tally.counts(), Webhooks: len(e.Deliveries), Looks: r.watcher.looks.Load(),
		Slowest: end.slowest, Allowed: end.allowed, TurnedAway: r.turnedAway, Findings: append(Judge(e), end.overdue...),
	}
	report.Idle = idle(report.Faults)
	for _, seen := range e.Shown {
		report.Outcomes[seen.State]++
	}
	if e.GivesUp && report.Outcomes[failed] == 0 {
		report.Idle = append(report.Idle, "giving up")
	}
	return report
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
