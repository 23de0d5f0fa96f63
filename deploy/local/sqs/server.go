// Package sqs is an Amazon SQS server for one machine: standard queues behind
// the AWS JSON 1.0 protocol, for any client of the AWS SDKs.
//
// It keeps what matters to a program that was written for the real service:
// long polling, visibility timeouts and receipt handles that go stale, delays,
// retention, dead-letter queues and message move tasks, exact counts, typed
// errors and limits. Every request must carry a valid Signature Version 4.
// Times, limits and errors are those of the Amazon SQS API Reference and
// Developer Guide, except that nothing is approximate or eventually so.
//
// There are no FIFO queues, no KMS encryption, no Query protocol, and access
// policies are stored but not evaluated: every credential of the server may do
// everything.
//
// State is kept in memory and in an append-only journal in a data folder, which
// is written before a request is answered. A process that is killed loses
// nothing; a machine that loses power may lose what its disk had not stored.
package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	defaultRegion    = "us-east-1"
	defaultAccountID = "000000000000"
	defaultCompactAt = 64 << 20
)

// Config says what a Server is.
type Config struct {
	// Dir is the data folder. It is created when it is missing and can be used
	// by one server at a time.
	Dir string
	// Region is in ARNs and in what clients sign; us-east-1 when empty.
	Region string
	// AccountID is in ARNs and queue URLs; 000000000000 when empty.
	AccountID string
	// Credentials are the secret keys by access key. At least one is needed.
	Credentials map[string]string
	// BaseURL is what queue URLs start with, without a slash at the end; when
	// empty, the host that the client called over http.
	BaseURL string
	// CompactAt is the size in bytes of a journal that a snapshot replaces;
	// 64 MiB when 0. Nothing is answered while a snapshot's content is noted.
	CompactAt int64
	// Logger gets what an operator should know; nothing is logged when nil.
	Logger *slog.Logger
}

// complete fills the defaults in and reports every mistake.
func (c *Config) complete() error {
	var mistakes []error
	if c.Dir == "" {
		mistakes = append(mistakes, errors.New("the data folder must be set"))
	}
	if len(c.Credentials) == 0 {
		mistakes = append(mistakes, errors.New("at least one credential must be set"))
	}
	for access, secret := range c.Credentials {
		if access == "" || secret == "" {
			mistakes = append(mistakes, errors.New("a credential must have an access key and a secret key"))
		}
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if c.AccountID == "" {
		c.AccountID = defaultAccountID
	}
	if c.CompactAt < 0 {
		mistakes = append(mistakes, errors.New("the size to compact at must not be negative"))
	}
	if c.CompactAt == 0 {
		c.CompactAt = defaultCompactAt
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(mistakes...)
}

// Server is an SQS server; it is an http.Handler. Use Open to make one.
type Server struct {
	config   Config
	logger   *slog.Logger
	verifier *verifier
	actions  map[string]action

	dir     *dataDir
	journal *journal
	queues  *queueTable
	tasks   *moveTasks
	lastSeq atomic.Uint64

	compactAt  atomic.Int64 // bytes in the journal
	compacting atomic.Bool

	closing    context.Context // done when the server closes
	cancel     context.CancelFunc
	background background
	close      func() error // ends the server, once
}

var _ http.Handler = (*Server)(nil)

// Open starts a server on the state in its data folder.
func Open(config Config) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("configure sqs server: %w", err)
	}
	dir, err := openDataDir(config.Dir, config.Logger)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:   config,
		logger:   config.Logger,
		verifier: newVerifier(config.Region, config.Credentials),
		actions:  actions(),
		dir:      dir,
		journal:  newJournal(),
		queues:   newQueueTable(),
	}
	s.tasks = newMoveTasks(s.journal)
	s.close = sync.OnceValue(s.end)
	s.compactAt.Store(config.CompactAt)
	s.closing, s.cancel = context.WithCancel(context.Background())
	file, size, err := dir.recover(s.apply)
	if err != nil {
		s.cancel()
		return nil, errors.Join(fmt.Errorf("recover queues: %w", err), dir.close())
	}
	s.journal.start(file, size)
	s.resumeMoveTasks()
	return s, nil
}

// Close ends waiting polls with empty answers, refuses what comes later with
// ServiceUnavailable, and writes the journal's end. Close the Server before
// the http.Server that it handles requests of, so that Shutdown need not wait
// for long polls. Closing again does nothing.
func (s *Server) Close() error { return s.close() }

func (s *Server) end() error {
	s.cancel()
	s.background.stop()
	return errors.Join(s.journal.close(), s.dir.close())
}

// Send puts a message into a queue, as SendMessage does, from within the
// process. It returns an *Error with code QueueDoesNotExist when there is no
// queue of the name.
func (s *Server) Send(ctx context.Context, queueName, body string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q := s.queues.named(queueName)
	if q == nil {
		return errQueueDoesNotExist()
	}
	_, err := s.sendOne(q, sendEntry{MessageBody: &body})
	return err
}

// CreateQueue makes a queue with the attributes, as the action CreateQueue
// does, from within the process. A queue that exists with those attributes is
// left as it is.
func (s *Server) CreateQueue(ctx context.Context, name string, attributes map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.ensureQueue(name, attributes, nil)
	return err
}

func (s *Server) arn(queueName string) string {
	return fmt.Sprintf("arn:aws:sqs:%s:%s:%s", s.config.Region, s.config.AccountID, queueName)
}

// nextSeq returns a new message sequence number.
func (s *Server) nextSeq() uint64 { return s.lastSeq.Add(1) }

// noteSeq keeps a recorded sequence number from being used again.
func (s *Server) noteSeq(seq uint64) { s.lastSeq.Store(max(s.lastSeq.Load(), seq)) }

// commit waits until the change of the ticket is durable, and starts a
// snapshot when the journal has grown long.
func (s *Server) commit(t ticket) error {
	if err := s.journal.commit(t); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if s.journal.size.Load() > s.compactAt.Load() && s.compacting.CompareAndSwap(false, true) {
		started := s.background.run(func() {
			defer s.compacting.Store(false)
			if err := s.compact(); err != nil {
				s.logger.Error("could not write a snapshot", "error", err)
			}
		})
		if !started {
			s.compacting.Store(false)
		}
	}
	return nil
}

// background runs the server's own goroutines until it is stopped.
type background struct {
	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

// run starts the function, unless the server is closing.
func (b *background) run(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return false
	}
	b.running.Go(f)
	return true
}

// stop waits for what runs and starts nothing more.
func (b *background) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.running.Wait()
}
