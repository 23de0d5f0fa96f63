package thumbnail

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"

	"github.com/h2non/bimg"
	"golang.org/x/sync/semaphore"
)

var (
	// ErrUndecodable reports a file that is no JPEG, PNG or WebP, or one that is damaged or cut short.
	ErrUndecodable = errors.New("the image cannot be decoded")

	// ErrTooManyPixels reports an image that would take more work to decode than is allowed.
	ErrTooManyPixels = errors.New("the image has too many pixels")
)

// Image is what came of a source: its size and its renditions.
type Image struct {
	Width      int // pixels of the source, upright
	Height     int
	Renditions []Rendition // smallest first
}

// Rendition is an encoded picture: upright, in sRGB, without metadata. It is a JPEG, or a WebP when the picture has
// transparent parts.
type Rendition struct {
	Size   int    // the length in pixels that was asked for
	Type   string // media type
	Ext    string // ".jpg" or ".webp"
	Width  int    // pixels
	Height int
	Data   []byte
}

// Renderer makes renditions. It is safe for concurrent use.
type Renderer struct {
	c     Config
	sizes []int // largest first
	slots *semaphore.Weighted
}

// NewRenderer returns a renderer for a valid Config. From then on libvips, in the whole process, loads nothing but
// JPEG, PNG and WebP from memory.
func NewRenderer(c Config) *Renderer {
	setUpVips()
	if c.Concurrency == 0 {
		c.Concurrency = runtime.GOMAXPROCS(0)
	}
	sizes := slices.Clone(c.Sizes)
	slices.SortFunc(sizes, func(a, b int) int { return b - a })
	return &Renderer{c: c, sizes: sizes, slots: semaphore.NewWeighted(int64(c.Concurrency))}
}

// Render makes all renditions of src, a whole JPEG, PNG or WebP file; of an animation those of its first frame. It
// fails with ErrUndecodable or ErrTooManyPixels for what src is, and with the context's error when that ends while
// it waits or between two renditions.
func (r *Renderer) Render(ctx context.Context, src []byte) (Image, error) {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return Image{}, fmt.Errorf("waiting for a free slot: %w", err)
	}
	defer r.slots.Release(1)
	// libvips keeps buffers for each thread that has called it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer endVipsThread()

	f := format(http.DetectContentType(src))
	if f != formatJPEG && f != formatPNG && f != formatWebP {
		return Image{}, fmt.Errorf("%w: it is neither JPEG nor PNG nor WebP", ErrUndecodable)
	}
	h, err := readHeader(src)
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	var scans jpegScans
	if f == formatJPEG {
		scans = readScans(src)
	}
	if err := r.checkBudget(f, h, scans); err != nil {
		return Image{}, err
	}
	p, err := decode(src, planLoad(f, h, scans, r.sizes[0]), r.sizes[0])
	if err != nil {
		return Image{}, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	image := Image{Width: h.width, Height: h.height}
	if h.orientation >= 5 {
		image.Width, image.Height = h.height, h.width
	}
	image.Renditions, err = r.renditions(ctx, p)
	return image, err
}

// checkBudget judges by the header alone, since decoding is what must not happen.
func (r *Renderer) checkBudget(f format, h header, scans jpegScans) error {
	frame := int64(h.width) * int64(h.height)
	switch {
	case h.width > maxSide || h.height > maxSide:
		return fmt.Errorf("%w: %d × %d, at most %d on a side", ErrTooManyPixels, h.width, h.height, maxSide)
	case frame*int64(h.frames) > r.c.MaxPixels:
		return fmt.Errorf("%w: %d × %d in %d frames, at most %d together", ErrTooManyPixels, h.width, h.height, h.frames, r.c.MaxPixels)
	case (h.interlaced || f == formatWebP) && frame > r.c.MaxHeldPixels:
		return fmt.Errorf("%w: %d × %d that must be decoded as a whole, at most %d", ErrTooManyPixels, h.width, h.height, r.c.MaxHeldPixels)
	case scans.count > maxScans:
		return fmt.Errorf("%w: %d × %d in %d scans, at most %d", ErrTooManyPixels, h.width, h.height, scans.count, maxScans)
	}
	return nil
}

// renditions encodes p, and each smaller size from the one before it. It frees p.
func (r *Renderer) renditions(ctx context.Context, p pixels) ([]Rendition, error) {
	defer func() { p.free() }()
	var made []Rendition
	for i, size := range r.sizes {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("before the rendition of %d px: %w", size, err)
		}
		if i > 0 {
			smaller, err := p.fit(size)
			if err != nil {
				return nil, err
			}
			p.free()
			p = smaller
		}
		rendition, err := r.encode(p)
		if err != nil {
			return nil, fmt.Errorf("encoding the rendition of %d px: %w", size, err)
		}
		rendition.Size = size
		made = append(made, rendition)
	}
	slices.Reverse(made)
	return made, nil
}

// encode hands p to bimg, which knows images only as files: an uncompressed PNG takes a millisecond or two.
func (r *Renderer) encode(p pixels) (Rendition, error) {
	made := Rendition{Type: string(formatJPEG), Ext: ".jpg", Width: p.width(), Height: p.height()}
	options := bimg.Options{Type: bimg.JPEG, Quality: r.c.Quality, StripMetadata: true, NoAutoRotate: true}
	if p.hasAlpha() {
		made.Type, made.Ext, options.Type = string(formatWebP), ".webp", bimg.WEBP
	}
	png, err := p.png()
	if err != nil {
		return Rendition{}, err
	}
	if made.Data, err = bimg.NewImage(png).Process(options); err != nil {
		return Rendition{}, err
	}
	if options.Type == bimg.WEBP {
		made.Data, err = bareWebP(made.Data)
	}
	return made, err
}
