package thumbnail

/*
#cgo pkg-config: vips
#include <stdlib.h>
#include "vips.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/h2non/bimg"
)

// setUpVips makes libvips, which bimg has started, fit for files from strangers. It affects the whole process.
var setUpVips = sync.OnceFunc(func() {
	C.sluice_restrict()
	bimg.VipsCacheSetMax(0) // an operation is never repeated here: the cache would only hold memory
})

// header is what a file says of itself.
type header struct {
	width, height int // pixels of one frame as stored, before the orientation is applied
	frames        int
	orientation   int // EXIF, 1 to 8
	interlaced    bool
}

// readHeader reads what src says of itself without decoding a pixel.
func readHeader(src []byte) (header, error) {
	var h C.SluiceHeader
	if len(src) == 0 || C.sluice_header(unsafe.Pointer(&src[0]), C.size_t(len(src)), &h) != 0 {
		return header{}, vipsError()
	}
	return header{
		width: int(h.width), height: int(h.height), frames: int(h.frames),
		orientation: int(h.orientation), interlaced: h.interlaced != 0,
	}, nil
}

// pixels are a decoded image, upright, in sRGB or grey. The owner calls free.
type pixels struct{ image *C.VipsImage }

// decode decodes all of src and fits it in a square of side pixels.
func decode(src []byte, o loadOptions, side int) (pixels, error) {
	options := C.CString(o.String())
	defer C.free(unsafe.Pointer(options))
	image := C.sluice_decode(unsafe.Pointer(&src[0]), C.size_t(len(src)), options, C.int(side))
	if image == nil {
		return pixels{}, vipsError()
	}
	return pixels{image}, nil
}

// fit returns the same picture for a square of side pixels.
func (p pixels) fit(side int) (pixels, error) {
	image := C.sluice_fit(p.image, C.int(side))
	if image == nil {
		return pixels{}, fmt.Errorf("shrinking to %d px: %w", side, vipsError())
	}
	return pixels{image}, nil
}

func (p pixels) width() int     { return int(C.vips_image_get_width(p.image)) }
func (p pixels) height() int    { return int(C.vips_image_get_height(p.image)) }
func (p pixels) hasAlpha() bool { return C.sluice_has_alpha(p.image) != 0 }
func (p pixels) free()          { C.g_object_unref(C.gpointer(p.image)) }

// png returns the pixels as a PNG without compression.
func (p pixels) png() ([]byte, error) {
	var n C.size_t
	data := C.sluice_save_png(p.image, &n)
	if data == nil {
		return nil, fmt.Errorf("saving as png: %w", vipsError())
	}
	defer C.g_free(C.gpointer(data))
	return C.GoBytes(data, C.int(n)), nil
}

// endVipsThread frees what libvips keeps for the calling thread.
func endVipsThread() { C.vips_thread_shutdown() }

// vipsError empties libvips' error buffer, of which a process has one: when two images fail at the same moment
// the text may tell of both or of neither.
func vipsError() error {
	message := C.vips_error_buffer_copy()
	defer C.g_free(C.gpointer(message))
	lines := strings.FieldsFunc(C.GoString(message), func(r rune) bool { return r == '\n' })
	if len(lines) == 0 {
		return errors.New("libvips gave no reason")
	}
	return errors.New(strings.Join(lines, "; "))
}
