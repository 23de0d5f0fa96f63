// Package verify is the stage that holds an uploaded object to what was declared: its size, its type, which is read
// from its first bytes and not taken from its name or header, and its SHA-256, which S3 has checked already or which is
// calculated here.
package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/gabriel-vasile/mimetype"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// sniffed is how many leading bytes the type is read from: mimetype's own default limit.
const sniffed = 3072

// Config says what may pass.
type Config struct {
	MaxSize      int64    `help:"Largest file, in bytes; a tenant may be held to less." default:"2097152000"`
	AllowedTypes []string `help:"Media types that may pass." default:"image/jpeg,image/png,image/webp,video/mp4"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if c.MaxSize < 1 {
		errs = append(errs, fmt.Errorf("max-size: %d is less than 1", c.MaxSize))
	}
	if len(c.AllowedTypes) == 0 {
		errs = append(errs, errors.New("allowed-types is empty"))
	}
	for _, t := range c.AllowedTypes {
		if mimetype.Lookup(t) == nil {
			errs = append(errs, fmt.Errorf("allowed-types: %q cannot be recognised by content", t))
		}
	}
	return errors.Join(errs...)
}

// Stage implements pipeline.Stage.
type Stage struct {
	config  Config
	objects *storage.Client
}

// New returns the stage.
func New(c Config, objects *storage.Client) *Stage { return &Stage{config: c, objects: objects} }

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Verify }

// Run compares the pinned object with the declaration.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	pinned := storage.Pinned(u)
	o, err := s.objects.Head(ctx, pinned)
	if storage.IsGone(err) {
		return pipeline.Fail(sagas.ObjectGone, "the uploaded object is gone"), nil
	}
	if err != nil {
		return pipeline.Outcome{}, err
	}
	switch {
	case o.Size == 0:
		return pipeline.Reject(sagas.EmptyFile, "the file is empty"), nil
	case u.Declared.Size != 0 && o.Size != u.Declared.Size:
		return pipeline.Reject(sagas.SizeMismatch, "declared %d bytes, found %d", u.Declared.Size, o.Size), nil
	case o.Size > s.most(u):
		return pipeline.Reject(sagas.TooLarge, "%d bytes are more than the allowed %d", o.Size, s.most(u)), nil
	}

	found, err := s.sniff(ctx, pinned)
	if storage.IsGone(err) {
		return pipeline.Fail(sagas.ObjectGone, "the uploaded object is gone"), nil
	}
	if err != nil {
		return pipeline.Outcome{}, err
	}
	if !found.Is(u.Declared.Type) {
		return pipeline.Reject(sagas.TypeMismatch, "declared %s, found %s", u.Declared.Type, found), nil
	}
	if !slices.ContainsFunc(s.config.AllowedTypes, found.Is) {
		return pipeline.Reject(sagas.TypeNotAllowed, "%s is not allowed", found), nil
	}

	sum := o.SHA256
	if u.Declared.SHA256 != nil && sum == nil {
		sum, err = s.digest(ctx, pinned)
		if storage.IsGone(err) {
			return pipeline.Fail(sagas.ObjectGone, "the uploaded object is gone"), nil
		}
		if err != nil {
			return pipeline.Outcome{}, err
		}
	}
	if u.Declared.SHA256 != nil && !bytes.Equal(sum, u.Declared.SHA256) {
		return pipeline.Reject(sagas.ChecksumMismatch, "declared SHA-256 %x, found %x", u.Declared.SHA256, sum), nil
	}
	return pipeline.Advance(sagas.Verified, sagas.Facts{
		Observed: sagas.Content{Type: u.Declared.Type, Size: o.Size, SHA256: sum},
	}), nil
}

// most is how many bytes the upload may have: its tenant's limit, within the stage's own. The tenant's types need no
// such care: the declared type was one of them, and the found one is held to it.
func (s *Stage) most(u sagas.Upload) int64 {
	if u.MaxSize > 0 {
		return min(u.MaxSize, s.config.MaxSize)
	}
	return s.config.MaxSize
}

// digest reads the whole object for its SHA-256. S3 knows that of a file that came in one piece only: of parts it
// knows each one's, and a checksum of these.
func (s *Stage) digest(ctx context.Context, r storage.Ref) ([]byte, error) {
	body, err := s.objects.Get(ctx, r)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("reading %s for its SHA-256: %w", r, err)
	}
	return hash.Sum(nil), nil
}

func (s *Stage) sniff(ctx context.Context, r storage.Ref) (*mimetype.MIME, error) {
	body, err := s.objects.GetPrefix(ctx, r, sniffed)
	if err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(body, sniffed))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("reading the first bytes of %s: %w", r, err)
	}
	return mimetype.Detect(head), nil
}
