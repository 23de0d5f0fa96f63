// Package scan is the stage that asks clamd about an upload: verified → clean.
//
// It fails closed. A file is clean when clamd answered exactly OK, had been given every byte of the pinned object,
// and the bytes have the SHA-256 that was declared, if one was. What clamd cannot vouch for is unscannable; what
// may go better next time is an error.
//
// It needs clamd 1.0 or newer with AlertExceedsMax and AlertEncrypted on, or clamd calls clean what it did not
// look into, and with StreamMaxLength, MaxFileSize and MaxScanSize at least Config.MaxSize. The file passes
// through in chunks: memory does not grow with its size.
package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/failpoint"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// pingTimeout bounds Ping. clamd answers from its main thread, also while all others scan.
const pingTimeout = 5 * time.Second

// Stage implements pipeline.Stage.
type Stage struct {
	conf  Config
	clamd *Clamd
	store *storage.Client
	age   *signatureAge
}

// New returns the stage. The configuration must be valid.
func New(c Config, s *storage.Client) *Stage {
	clamd := NewClamd(c.ClamdAddress)
	return &Stage{conf: c, clamd: clamd, store: s, age: newSignatureAge(clamd)}
}

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Scan }

// Ping returns an ErrUnavailable while clamd does not answer. It takes at most five seconds.
func (s *Stage) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.clamd.Ping(ctx)
}

// Version asks clamd for its versions.
func (s *Stage) Version(ctx context.Context) (Version, error) { return s.clamd.Version(ctx) }

// SignatureAge is the gauge sluice_clamd_signature_age_seconds: how old clamd's official signatures are. There is
// none while clamd is down or has no official signatures.
func (s *Stage) SignatureAge() prometheus.Collector { return s.age }

// Run scans the pinned object and, on the way, learns its SHA-256.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	if u.Observed.Size <= 0 || u.Observed.Size > s.conf.MaxSize {
		return pipeline.Unscannable(sagas.ScanLimit, "%d bytes; a scan takes 1 to %d", u.Observed.Size, s.conf.MaxSize), nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.conf.Timeout)
	defer cancel()

	object := storage.Pinned(u)
	body, err := s.store.Get(ctx, object)
	if storage.IsGone(err) {
		return pipeline.Fail(sagas.ObjectGone, "the verified object is no longer there"), nil
	}
	if err != nil {
		return pipeline.Outcome{}, err
	}
	seen := &digest{Hash: sha256.New()}
	reply, err := s.ask(ctx, io.TeeReader(body, seen))
	// Whatever closing says, it says it of bytes that were not needed.
	_ = body.Close()
	if err != nil {
		return pipeline.Outcome{}, fmt.Errorf("scanning %s: %w", object, err)
	}
	out, err := verdict(reply)
	if err != nil {
		return pipeline.Outcome{}, fmt.Errorf("scanning %s: %w", object, err)
	}
	return confirmed(out, u, seen)
}

// ask has clamd scan the file.
func (s *Stage) ask(ctx context.Context, file io.Reader) (string, error) {
	if err := failpoint.Hit("clamd.scan", "before"); err != nil {
		return "", err
	}
	reply, err := s.clamd.Scan(ctx, file)
	return reply, errors.Join(err, failpoint.Hit("clamd.scan", "after"))
}

// confirmed holds a clean verdict to what was verified and declared. Other verdicts stand on their own.
func confirmed(out pipeline.Outcome, u sagas.Upload, seen *digest) (pipeline.Outcome, error) {
	sum := seen.Sum(nil)
	whole := seen.size == u.Observed.Size
	if whole {
		out.Facts.Observed.SHA256 = sum
	}
	switch {
	case out.State != sagas.Clean:
		return out, nil
	case !whole:
		return pipeline.Outcome{}, fmt.Errorf("%d bytes were scanned, but %d were verified", seen.size, u.Observed.Size)
	case u.Declared.SHA256 != nil && !bytes.Equal(u.Declared.SHA256, sum):
		rejected := pipeline.Reject(sagas.ChecksumMismatch, "SHA-256 is %x, declared was %x", sum, u.Declared.SHA256)
		rejected.Facts = out.Facts
		return rejected, nil
	}
	return out, nil
}

// digest hashes and counts what is written to it.
type digest struct {
	hash.Hash
	size int64 // bytes
}

func (d *digest) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return d.Hash.Write(p)
}
