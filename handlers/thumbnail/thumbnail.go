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
