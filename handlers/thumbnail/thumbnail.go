// Package thumbnail makes the renditions of an image: upright, in sRGB, without metadata, fitted by their longer side.
//
// It needs libvips (pkg-config vips), 8.14 or newer. bimg starts libvips and encodes. Everything before that bimg
// has no knob for, or a trap, and is a few calls of libvips in vips.c: to refuse a damaged file, to shrink before
// turning, to apply the embedded colour profile, to weigh colours by alpha, to make the smaller size from the larger
// one. So bimg never sees a file from a stranger, only pixels that are already in order.
//
// libvips is told to load nothing but JPEG, PNG and WebP from memory: Debian's build would open anything through
// ImageMagick, poppler and librsvg. VIPS_BLOCK_UNTRUSTED=1 in the environment is welcome as well, and
// VIPS_CONCURRENCY should stay unset: bimg then gives each image one thread, and images run beside each other.
package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Stage implements pipeline.Stage.
type Stage struct {
	config   Config
	objects  *storage.Client
	renderer *Renderer
	memory   *semaphore.Weighted // bytes of files: what is rendered, and a little that waits
}

// New returns the stage. From then on libvips is restricted as NewRenderer says.
func New(c Config, objects *storage.Client) *Stage {
	renderer := NewRenderer(c)
	return &Stage{config: c, objects: objects, renderer: renderer, memory: semaphore.NewWeighted(int64(renderer.c.Concurrency+1) * c.MaxBytes)}
}

// Name implements pipeline.Stage.
func (*Stage) Name() string { return pipeline.Thumbnail }

// Run renders the pinned image and puts its renditions beside it, under thumbnails/, where no event is sent for
// them. What is not an image passes as it is.
func (s *Stage) Run(ctx context.Context, u sagas.Upload) (pipeline.Outcome, error) {
	if !strings.HasPrefix(u.Observed.Type, "image/") {
		return pipeline.Advance(sagas.Processed, sagas.Facts{}), nil
	}
	if u.Observed.Size > s.config.MaxBytes {
		return pipeline.Reject(sagas.TooLarge, "%d bytes are more than the %d that an image may have", u.Observed.Size, s.config.MaxBytes), nil
	}
	if err := s.memory.Acquire(ctx, u.Observed.Size); err != nil {
		return pipeline.Outcome{}, fmt.Errorf("waiting for memory: %w", err)
	}
	defer s.memory.Release(u.Observed.Size)
	src, err := s.read(ctx, u)
	if storage.IsGone(err) {
		return pipeline.Fail(sagas.ObjectGone, "the uploaded object is gone"), nil
	}
	if err != nil {
		return pipeline.Outcome{}, err
	}
	image, err := s.renderer.Render(ctx, src)
	switch {
	case errors.Is(err, ErrUndecodable):
		return pipeline.Reject(sagas.Undecodable, "%v", err), nil
	case errors.Is(err, ErrTooManyPixels):
		return pipeline.Reject(sagas.TooManyPixels, "%v", err), nil
	case err != nil:
		return pipeline.Outcome{}, err
	}
	facts := sagas.Facts{Width: image.Width, Height: image.Height}
	for _, r := range image.Renditions {
		v, err := s.put(ctx, u, r)
		if err != nil {
			return pipeline.Outcome{}, err
		}
		facts.Variants = append(facts.Variants, v)
	}
	return pipeline.Advance(sagas.Processed, facts), nil
}

// Undo removes the renditions beside the original. Those of an upload that is ready were copied when it was published.
func (s *Stage) Undo(ctx context.Context, u sagas.Upload) error {
	return s.objects.RemoveFolder(ctx, u.Bucket, storage.Renditions(u))
}

// read reads the whole pinned object, whose size is known to be within the limit.
func (s *Stage) read(ctx context.Context, u sagas.Upload) ([]byte, error) {
	pinned := storage.Pinned(u)
	body, err := s.objects.Get(ctx, pinned)
	if err != nil {
		return nil, err
	}
	src := bytes.NewBuffer(make([]byte, 0, u.Observed.Size+bytes.MinRead))
	_, err = src.ReadFrom(io.LimitReader(body, s.config.MaxBytes))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", pinned, err)
	}
	return src.Bytes(), nil
}

// put writes a rendition under a key that is made of the upload's id and the size, so that doing it again
// replaces it.
func (s *Stage) put(ctx context.Context, u sagas.Upload, r Rendition) (sagas.Variant, error) {
	name := strconv.Itoa(r.Size)
	key := storage.Renditions(u) + name + r.Ext
	ref, err := s.objects.Put(ctx, u.Bucket, key, bytes.NewReader(r.Data), storage.Properties{Type: r.Type})
	if err != nil {
		return sagas.Variant{}, err
	}
	return sagas.Variant{
		Name: name, Key: key, Type: r.Type, Width: r.Width, Height: r.Height, Size: int64(len(r.Data)),
		ETag: ref.ETag, VersionID: ref.VersionID,
	}, nil
}
