package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/deploy/local/hosts"
	"github.com/sluice-media/sluice/deploy/local/s3"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// Stack is what the run finds in place.
type Stack struct {
	S3, SQS, Clamd string // host:port
	DatabaseURL    string
	EdgeURL        string
	Incoming       string // bucket
	Media          string // bucket
	EventsQueue    string // name

	Region, AccessKey, SecretKey string
	// Token of the public API.
	Token string

	// Faults disturbs the events of S3, and Mortals are the services that may be killed: clamd, postgres, edge.
	Faults  *s3.Faults
	Mortals map[string]*supervise.Service

	// Failpoints are those that the sluice program has, if it was built to be tested, and Logs is the folder of the
	// processes' logs, each named NAME.log.
	Failpoints []string
	Logs       string

	// Ports are free ones for Sluice's processes.
	Ports []int
	// Launch starts a process of Sluice's and keeps it running.
	Launch func(context.Context, Process) (*supervise.Service, error)
}

// Process is one of Sluice's.
type Process struct {
	Name    string // unique
	Command string
	Env     func() map[string]string // on top of the stack's own, asked for at each start
	Health  string                   // base URL of /healthz
	Host    *hosts.Host              // that it runs on; nil is the machine itself
}

const (
	// APIs is how many processes serve the API. Each process of Sluice's needs a port.
	APIs = 2

	visibility = 5 * time.Second
	// multipartLifetime and arrivalGrace are when a multipart upload expires that nobody sends.
	multipartLifetime = 30 * time.Second
	arrivalGrace      = 10 * time.Second
	// maxAttempts is far above what a run can wear out, unless its profile is about giving up.
	maxAttempts = 100
	// MaxReceiveCount is for the queues.
	MaxReceiveCount = maxAttempts + 20
)

// fleet is Sluice's processes.
type fleet struct {
	services map[string][]*supervise.Service
	bases    []string // URLs of the API
	workers  []string // names
}

// loopback is where everything is when there are no hosts.
const loopback = "127.0.0.1"

// openGates opens a gate to each dependency at the address.
func openGates(s Stack, address, receiver string) (map[string]*gate, error) {
	database, err := url.Parse(s.DatabaseURL)
	if err != nil {
		return nil, errors.New("the database URL is none")
	}
	gates := map[string]*gate{}
	for name, target := range map[string]string{
		gateS3: s.S3, gateUploads: s.S3, gateSQS: s.SQS, gateClamd: s.Clamd, gatePostgres: database.Host, gateWebhook: receiver,
	} {
		if gates[name], err = openGate(name, address, target); err != nil {
			return gates, err
		}
	}
	return gates, nil
}

// launch starts the fleet behind the gates and waits until it answers.
func launch(ctx context.Context, s Stack, p Profile, workers int, points *failpoints, gates map[string]*gate, secret string, workerHosts []*hosts.Host) (fleet, error) {
	env, err := environment(s, p, gates, secret)
	if err != nil {
		return fleet{}, err
	}
	f := fleet{services: map[string][]*supervise.Service{}}
	for i, port := range s.Ports[:APIs+workers] {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		command, listen, number := mortalAPI, "SLUICE_LISTEN", i+1
		if i >= APIs {
			command, listen, number = mortalWorker, "SLUICE_METRICS_LISTEN", i+1-APIs
		} else {
			f.bases = append(f.bases, "http://"+address)
		}
		var host *hosts.Host
		if n := i - APIs; n >= 0 && n < len(workerHosts) {
			host = workerHosts[n]
			address = net.JoinHostPort(host.Address, strconv.Itoa(port))
		}
		own := withVariable(env, listen, address)
		name := fmt.Sprintf("%s-%d", command, number)
		process := Process{
			Host: host, Name: name, Command: command, Env: func() map[string]string { return own }, Health: "http://" + address,
		}
		if command == mortalWorker {
			process.Env = func() map[string]string { return withVariable(own, failpointsVariable, points.variable()) }
			f.workers = append(f.workers, name)
		}
		service, err := s.Launch(ctx, process)
		if err != nil {
			return f, err
		}
		f.services[command] = append(f.services[command], service)
	}
	return f, f.waitReady(ctx)
}

func (f fleet) waitReady(ctx context.Context) error {
	for _, services := range f.services {
		for _, service := range services {
			if err := service.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// restartWorkers kills every worker and waits until it is back.
func (f fleet) restartWorkers(ctx context.Context) error {
	for _, worker := range f.services[mortalWorker] {
		if pid := worker.PID(); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // or it has just died by itself
		}
	}
	return f.waitReady(ctx)
}

// stop ends Sluice's own processes; the others belong to the stack.
func (f fleet) stop(ctx context.Context) error {
	var errs []error
	for _, name := range []string{mortalAPI, mortalWorker} {
		for _, service := range slices.Backward(f.services[name]) {
			errs = append(errs, service.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}

// environment sends every process through the gates and makes everything quick that a person would wait for.
func environment(s Stack, p Profile, gates map[string]*gate, secret string) (map[string]string, error) {
	database, err := url.Parse(s.DatabaseURL)
	if err != nil {
		return nil, errors.New("the database URL is none")
	}
	database.Host = gates[gatePostgres].address()
	return map[string]string{
		"SLUICE_DATABASE_URL":           database.String(),
		"SLUICE_S3_ENDPOINT":            "http://" + gates[gateS3].address(),
		"SLUICE_S3_PUBLIC_ENDPOINT":     "http://" + gates[gateUploads].address(),
		"SLUICE_SQS_ENDPOINT":           "http://" + gates[gateSQS].address(),
		"SLUICE_CLAMD_ADDRESS":          "tcp://" + gates[gateClamd].address(),
		"SLUICE_WEBHOOK_URL":            "http://" + gates[gateWebhook].address() + "/webhook",
		"SLUICE_WEBHOOK_SECRET":         secret,
		"SLUICE_WEBHOOK_TIMEOUT":        "3s",
		"SLUICE_PRESIGN_LIFETIME":       "20s",
		"SLUICE_PART_LIFETIME":          "20s",
		"SLUICE_MULTIPART_LIFETIME":     multipartLifetime.String(),
		"SLUICE_ARRIVAL_GRACE":          arrivalGrace.String(),
		"SLUICE_SWEEP_EVERY":            p.SweepEvery.String(),
		"SLUICE_SWEEP_ARRIVAL_AGE":      p.ArrivalAge.String(),
		"SLUICE_SWEEP_STILLNESS_AGE":    p.StillnessAge.String(),
		"SLUICE_SQS_VISIBILITY_TIMEOUT": visibility.String(),
		"SLUICE_SQS_BACKOFF_BASE":       "200ms",
		"SLUICE_SQS_BACKOFF_CAP":        "2s",
		"SLUICE_MAX_ATTEMPTS":           strconv.Itoa(cmp.Or(p.Attempts, maxAttempts)),
		"SLUICE_THUMBNAIL_CONCURRENCY":  "1",
	}, nil
}

func withVariable(env map[string]string, name, value string) map[string]string {
	own := map[string]string{name: value}
	for name, value := range env {
		own[name] = value
	}
	return own
}

// openForger gives the forger a way to the events queue that no fault is in.
func (r *run) openForger(ctx context.Context) (*forger, error) {
	queues := sqs.New(sqs.Options{
		BaseEndpoint: aws.String("http://" + r.Stack.SQS),
		Region:       r.Stack.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(r.Stack.AccessKey, r.Stack.SecretKey, ""),
	})
	queue, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &r.Stack.EventsQueue})
	if err != nil {
		return nil, fmt.Errorf("find the events queue: %w", err)
	}
	return &forger{
		queues: queues, queueURL: aws.ToString(queue.QueueUrl), ledger: r.ledger, incoming: r.Stack.Incoming, media: r.Stack.Media,
	}, nil
}
