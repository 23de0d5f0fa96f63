package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

// Profile says what happens in a run: which faults strike how often, and what the customers are like.
type Profile struct {
	// KillEvery is the time between two kills, and Mortals the weight of each process among their victims.
	KillEvery time.Duration
	Mortals   map[string]int

	// PoisonEvery is the time between two disturbances of the network. Each takes a fault of Poisons and a dependency
	// of Gates, all pairs before any comes again, and lasts between ShortestPoison and LongestPoison.
	PoisonEvery                   time.Duration
	Poisons                       []string
	Gates                         []string
	ShortestPoison, LongestPoison time.Duration

	// Weather lists what may become of the events of S3. It changes every WeatherEvery; the first lasts from the start.
	WeatherEvery time.Duration
	Weather      []s3.FaultPlan

	// ForgeEvery is the time between two forged events.
	ForgeEvery time.Duration

	// RefuseWebhooks is the share of webhooks that the receiver answers with an error.
	RefuseWebhooks float64

	// Hosts tells that each worker has a host of its own, one of which after the other is cut off, from each of Cuts: a
	// dependency or everything.
	Hosts bool
	Cuts  []string

	// Crashes is how many of its points between two effects the seed chooses, at each of which a worker then dies, in
	// CrashShare percent of the times; it takes a sluice that was built to be tested. At each of Failures it fails, in
	// FailureShare percent of the times.
	Crashes      int
	CrashShare   float64
	Failures     []string
	FailureShare int
	// Attempts is how often a stage tries before it gives an upload up. Zero is more than a run can wear out; otherwise
	// any upload may end failed, and some must.
	Attempts int

	// Crowd is the weight of each kind of customer.
	Crowd map[string]int

	// The sweeper's ages: see Sluice's own configuration.
	SweepEvery, ArrivalAge, StillnessAge time.Duration
	// Unswept is how long an upload may take where no sweep is to heal it; zero means that sweeps do.
	Unswept time.Duration
}

// The names of processes that may be killed.
const (
	mortalAPI      = "api"
	mortalWorker   = "worker"
	mortalClamd    = "clamd"
	mortalPostgres = "postgres"
	mortalEdge     = "edge"
)

// The dependencies that can be disturbed, as Sluice's processes see them, and storage as the customers see it.
const (
	gateS3       = "s3"
	gateSQS      = "sqs"
	gatePostgres = "postgres"
	gateClamd    = "clamd"
	gateWebhook  = "webhook"
	gateUploads  = "uploads"
)

func allGates() []string {
	return []string{gateS3, gateSQS, gatePostgres, gateClamd, gateWebhook, gateUploads}
}

// storm has everything strike.
var storm = Profile{
	KillEvery:      time.Second,
	Mortals:        map[string]int{mortalWorker: 18, mortalAPI: 8, mortalClamd: 3, mortalPostgres: 2, mortalEdge: 2},
	PoisonEvery:    time.Second,
	Poisons:        []string{reset, latency, bandwidth, blackhole},
	Gates:          allGates(),
	ShortestPoison: 500 * time.Millisecond,
	LongestPoison:  4 * time.Second,
	WeatherEvery:   6 * time.Second,
	Weather: []s3.FaultPlan{
		{Drop: 0.2, Duplicate: 0.3, Delay: 0.3, Reorder: 0.3, MaxDelay: 2 * time.Second},
		{},
		{Drop: 1},
		{Duplicate: 1, Reorder: 0.5, MaxDelay: 3 * time.Second},
		{Delay: 1, MaxDelay: 5 * time.Second},
	},
	ForgeEvery:     500 * time.Millisecond,
	RefuseWebhooks: 0.3,
	Crashes:        12,
	CrashShare:     2,
	Crowd: map[string]int{
		honest: 8, silent: 6, infectious: 6, liar: 3, damager: 2, cheat: 2, idler: 3, quitter: 2, swapper: 4, insister: 2,
		poster: 4, piecemeal: 2, deserter: 1, repenter: 4,
	},
	SweepEvery: time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
}

// siege is a storm that goes on for long. It kills as often, but less often what takes long to come back, and cuts the
// network less often: where all of that is under way at all times, hardly an upload gets through.
func siege() Profile {
	p := storm
	p.Mortals = map[string]int{mortalWorker: 9, mortalAPI: 8, mortalClamd: 2, mortalPostgres: 1, mortalEdge: 8}
	p.PoisonEvery = 3 * time.Second
	p.CrashShare = 0.3
	return p
}

// profiles are the runs there are. All but storm and siege serve to provoke one kind of mistake.
var profiles = map[string]Profile{
	"storm": storm,
	"siege": siege(),
	// lost-replies breaks the line between commits and messages, and no sweep heals it.
	"lost-replies": {
		KillEvery:      700 * time.Millisecond,
		Mortals:        map[string]int{mortalWorker: 1},
		PoisonEvery:    time.Second,
		Poisons:        []string{reset, blackhole},
		Gates:          []string{gateSQS, gateS3, gateClamd},
		ShortestPoison: 500 * time.Millisecond,
		LongestPoison:  1500 * time.Millisecond,
		Crowd:          map[string]int{silent: 1},
		SweepEvery:     time.Second, ArrivalAge: time.Hour, StillnessAge: time.Hour, Unswept: 25 * time.Second,
	},
	// overwrite has customers only who put infected bytes in the place of those that were accepted.
	"overwrite": {
		Crowd:      map[string]int{swapper: 1},
		SweepEvery: time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
	},
	// blind-scanner keeps cutting the connections to clamd while infected files arrive.
	"blind-scanner": {
		KillEvery:      2 * time.Second,
		Mortals:        map[string]int{mortalClamd: 1},
		PoisonEvery:    700 * time.Millisecond,
		Poisons:        []string{reset},
		Gates:          []string{gateClamd},
		ShortestPoison: 500 * time.Millisecond,
		LongestPoison:  time.Second,
		Crowd:          map[string]int{infectious: 3, honest: 1},
		SweepEvery:     time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
	},
	// forgeries has events of objects that are not there.
	"forgeries": {
		ForgeEvery: 100 * time.Millisecond,
		Crowd:      map[string]int{idler: 3, honest: 1},
		SweepEvery: time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
	},
	// hosts has each worker on a host of its own, and one of them cut off at a time.
	"hosts": {
		Hosts:      true,
		Cuts:       []string{gatePostgres, gateSQS, everything},
		Crowd:      map[string]int{honest: 4, silent: 3, infectious: 2, poster: 1, liar: 1, repenter: 1},
		SweepEvery: time.Second, ArrivalAge: 3 * time.Second, StillnessAge: 4 * time.Second,
	},
	// giving-up has stages that fail after their work is done, some more often than they try.
	"giving-up": {
		KillEvery:    4 * time.Second,
		Mortals:      map[string]int{mortalWorker: 1},
		Crashes:      6,
		CrashShare:   2,
		Failures:     []string{"thumbnail.work.after", "publish.work.after"},
		FailureShare: 40,
		Attempts:     2,
		Crowd:        map[string]int{honest: 6, silent: 3, infectious: 2, poster: 1, repenter: 2},
		SweepEvery:   time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
	},
	// deaf never hears of an upload: the sweeper has to find it.
	"deaf": {
		WeatherEvery: time.Minute,
		Weather:      []s3.FaultPlan{{Drop: 1}},
		Crowd:        map[string]int{silent: 1},
		SweepEvery:   time.Second, ArrivalAge: 2 * time.Second, StillnessAge: 8 * time.Second,
	},
	// twins has every event twice at the same moment, and a receiver that is often out of order.
	"twins": {
		KillEvery:      time.Second,
		Mortals:        map[string]int{mortalWorker: 1},
		WeatherEvery:   time.Minute,
		Weather:        []s3.FaultPlan{{Duplicate: 1}},
		RefuseWebhooks: 0.5,
		Crowd:          map[string]int{honest: 1, insister: 1},
		SweepEvery:     time.Second, ArrivalAge: 4 * time.Second, StillnessAge: 8 * time.Second,
	},
}

// Profiles lists the names of the profiles.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles)) }

func profileNamed(name string) (Profile, error) {
	p, found := profiles[name]
	if !found {
		return Profile{}, fmt.Errorf("there is no profile %q, but %s", name, strings.Join(Profiles(), ", "))
	}
	return p, nil
}

// twoSweeps is how long an upload may take that needs the sweeper twice: each time it stands still for its age, and
// until a sweep, whose pauses vary by half.
func (p Profile) twoSweeps() time.Duration {
	if p.Unswept > 0 {
		return p.Unswept
	}
	return 2 * (max(p.ArrivalAge, p.StillnessAge) + p.SweepEvery*3/2)
}

// takeover is how long the work of a host may lie that is cut off: until its messages are visible again, or until the
// sweeper sends new ones.
func (p Profile) takeover() time.Duration {
	return max(visibility, p.StillnessAge+p.SweepEvery*3/2) + takeoverGrace
}
