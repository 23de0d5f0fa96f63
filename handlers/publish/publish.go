// Package publish is the stage that lets a file out: it copies the scanned object and its renditions into the
// bucket that the CDN reads. Each copy is conditional on exactly the version that was scanned or rendered, so
// whatever happens to the incoming bucket meanwhile, nothing else can get out.
package publish

import (
	"context"
	"errors"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Config says how published files are cached.
type Config struct {
	CacheControl string `help:"Cache-Control of published files. Keys are never reused, so they never change." default:"public, max-age=31536000, immutable"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	if c.CacheControl == "" {
		return errors.New("cache-control is empty")
	}
	return nil
}

// Stage implements pipeline.Stage and pipeline.Undoer.
type Stage struct {
	Copies
	config  Config
	objects *storage.Client
}

// New returns the stage.
func New(c Config, objects *storage.Client) *Stage {
	return &Stage{Copies: Copies{objects}, config: c, objects: objects}
}

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Publish }

// Run copies the renditions first, so that whoever finds the file finds them too.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	for _, v := range u.Variants {
		pinned := storage.Ref{Bucket: u.Bucket, Key: v.Key, VersionID: v.VersionID, ETag: v.ETag}
		if err := s.copy(ctx, pinned, v.Type, v.Size); err != nil {
			return gone(err, "rendition "+v.Name)
		}
	}
	pinned := storage.Pinned(u)
	if err := s.copy(ctx, pinned, u.Observed.Type, u.Observed.Size); err != nil {
		return gone(err, "uploaded object")
	}
	return pipeline.Advance(sagas.Ready, sagas.Facts{}), nil
}

func (s *Stage) copy(ctx context.Context, from storage.Ref, mediaType string, size int64) error {
	_, err := s.objects.Copy(ctx, from, size, s.objects.Media, from.Key,
		storage.Properties{Type: mediaType, CacheControl: s.config.CacheControl})
	return err
}

// gone is the outcome when what was pinned no longer exists; any other error is worth another try.
func gone(err error, what string) (pipeline.Outcome, error) {
	if storage.IsGone(err) {
		return pipeline.Fail(sagas.ObjectGone, "the %s is gone", what), nil
	}
	return pipeline.Outcome{}, err
}
