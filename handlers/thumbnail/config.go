package thumbnail

import (
	"errors"
	"fmt"
)

// maxSide is the longest side in pixels that an image or a rendition may have. It bounds the memory that rows take,
// however few there are. JPEG's own limit is 65535; WebP's, which bounds renditions, is 16383.
const (
	maxSide          = 65_535
	maxRenditionSide = 16_383
)

// maxScans is the most scans that a JPEG may have. Encoders write about ten; each scan costs a pass over the whole
// image, however few bytes it takes.
const maxScans = 100

// Config says what renditions are made and how much work one image may be.
type Config struct {
	Sizes         []int `help:"Renditions to make, by the pixels of their longer side. An image is never enlarged." default:"200"`
	Quality       int   `help:"Quality of renditions, 1 to 100." default:"80"`
	MaxBytes      int64 `help:"Largest image file in bytes; it is read into memory." default:"104857600"`
	MaxPixels     int64 `help:"Most pixels of an image, all frames of an animation together." default:"100000000"`
	MaxHeldPixels int64 `help:"Most pixels of an image that can only be decoded as a whole: progressive JPEG, interlaced PNG, WebP." default:"40000000"`
	Concurrency   int   `help:"Images decoded at the same time; 0 for one per processor." default:"0"`
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	var errs []error
	if len(c.Sizes) == 0 {
		errs = append(errs, errors.New("sizes is empty"))
	}
	seen := map[int]bool{}
	for _, size := range c.Sizes {
		if size < 1 || size > maxRenditionSide {
			errs = append(errs, fmt.Errorf("sizes: %d is not within 1 to %d", size, maxRenditionSide))
		}
		if seen[size] {
			errs = append(errs, fmt.Errorf("sizes: %d is named twice", size))
		}
		seen[size] = true
	}
	if c.Quality < 1 || c.Quality > 100 {
		errs = append(errs, fmt.Errorf("quality: %d is not within 1 to 100", c.Quality))
	}
	for name, n := range map[string]int64{"max-bytes": c.MaxBytes, "max-pixels": c.MaxPixels, "max-held-pixels": c.MaxHeldPixels} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("%s: %d is less than 1", name, n))
		}
	}
	if c.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("concurrency: %d is negative", c.Concurrency))
	}
	return errors.Join(errs...)
}
