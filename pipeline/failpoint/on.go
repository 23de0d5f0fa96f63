//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// variable is the environment variable that arms the points.
const variable = "SLUICE_FAILPOINTS"

// points are those of the process: a failpoint has no other owner.
var points registry

type registry struct {
	once  sync.Once
	mu    sync.Mutex
	armed map[string]*point
	seen  func(name string)
}

// point is an armed failpoint.
type point struct {
	rule
	hits int
}

// Hit is called where effect is about to happen, with when before, or has happened, with when after; of an effect that
// a stage has, where names it too: verify, commit.before. It returns an
// error where one is planted.
func Hit(effect, when string) error { return points.hit(effect + "." + when) }

// Observe has seen called with each point that is hit, until the function that it returns is called.
func Observe(seen func(name string)) (stop func()) {
	points.mu.Lock()
	defer points.mu.Unlock()
	points.seen = seen
	return func() {
		points.mu.Lock()
		defer points.mu.Unlock()
		points.seen = nil
	}
}

func (r *registry) hit(name string) error {
	r.once.Do(func() {
		var err error
		if r.armed, err = parse(os.Getenv(variable)); err != nil {
			fmt.Fprintf(os.Stderr, "sluice: %s: %v\n", variable, err)
			os.Exit(2)
		}
	})
	r.mu.Lock()
	if r.seen != nil {
		r.seen(name)
	}
	p := r.armed[name]
	strikes := p != nil && p.strikes()
	r.mu.Unlock()
	if !strikes {
		return nil
	}
	fmt.Fprintf(os.Stderr, "sluice: failpoint %s: %s\n", name, p.action)
	switch p.action {
	case crash:
		return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), forever())
	case stall:
		time.Sleep(p.pause)
		return nil
	default:
		return fmt.Errorf("failpoint %s: %s", name, p.text)
	}
}

// forever waits for the end of the process.
func forever() error { select {} }

func (p *point) strikes() bool {
	p.hits++
	switch {
	case p.chance > 0:
		return rand.Float64() < p.chance
	case p.nth > 0 && p.onwards:
		return p.hits >= p.nth
	case p.nth > 0:
		return p.hits == p.nth
	}
	return true
}

// effects are those that are no stage's: of the other processes, of S3, of SQS, of clamd and the webhook.
var effects = slices.Concat([]string{"api.begin", "api.commit", "sweeper.commit", "operator.commit", "clamd.scan", "webhook.post"},
	ofService("s3", s3Effects), ofService("sqs", sqsEffects))

// Points lists every failpoint that is no stage's.
func Points() []string {
	names := make([]string, 0, 2*len(effects))
	for _, effect := range effects {
		names = append(names, effect+".before", effect+".after")
	}
	return names
}
