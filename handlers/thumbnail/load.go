package thumbnail

import (
	"fmt"
	"strings"
)

// format is a media type that libvips is allowed to load.
type format string

const (
	formatJPEG format = "image/jpeg"
	formatPNG  format = "image/png"
	formatWebP format = "image/webp"
)

// loadOptions tell a loader of libvips how to decode.
type loadOptions struct {
	format  format
	shrink  int  // what the decoder itself divides both sides by, where it can: 1, 2, 4 or 8
	lenient bool // fail on truncation only, not on every warning
}

// planLoad chooses how to decode src so that its longer side is at least side pixels, with as little work as that
// takes: a JPEG decoder that shrinks by 8 leaves out 63 of 64 sums. The shorter side keeps a pixel: libvips aborts the
// process over an image without any.
func planLoad(f format, h header, scans jpegScans, side int) loadOptions {
	o := loadOptions{format: f, shrink: 1, lenient: scans.odd}
	for o.shrink < 8 && max(h.width, h.height) >= 2*o.shrink*side && min(h.width, h.height) >= 2*o.shrink {
		o.shrink *= 2
	}
	return o
}

// String writes o as libvips reads it. libjpeg counts as a warning what would show as a grey or garbled part of the
// picture.
func (o loadOptions) String() string {
	options := []string{"access=sequential", "fail_on=warning"}
	if o.lenient {
		options[1] = "fail_on=truncated"
	}
	switch o.format {
	case formatJPEG:
		options = append(options, fmt.Sprintf("shrink=%d", o.shrink))
	case formatWebP:
		options = append(options, fmt.Sprintf("scale=%g", 1/float64(o.shrink)))
	case formatPNG: // has no such option
	}
	return "[" + strings.Join(options, ",") + "]"
}
