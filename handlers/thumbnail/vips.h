#ifndef SLUICE_THUMBNAIL_VIPS_H
#define SLUICE_THUMBNAIL_VIPS_H

#include <stddef.h>
#include <vips/vips.h>

typedef struct {
	int width;       /* pixels as stored, before the orientation is applied */
	int height;      /* of one frame */
	int frames;
	int orientation; /* EXIF, 1 to 8 */
	int interlaced;  /* progressive JPEG, interlaced PNG */
} SluiceHeader;

/*
 * A function that fails returns -1 or NULL and leaves the reason in libvips' error buffer. None keeps buf. The
 * caller owns what is returned: an image is given back by g_object_unref, bytes by g_free.
 */

/* Blocks every loader of libvips but those that read JPEG, PNG and WebP from memory, in the whole process. */
void sluice_restrict(void);

/* Reads no pixels. */
int sluice_header(const void *buf, size_t len, SluiceHeader *header);

/*
 * Decodes all of buf and fits it in a square of side pixels, never enlarging: upright, 8 bits, sRGB or grey, in
 * memory, with an alpha channel only where something shows through. options are those of the loader.
 */
VipsImage *sluice_decode(const void *buf, size_t len, const char *options, int side);

/* Fits an image of sluice_decode in a smaller square. */
VipsImage *sluice_fit(VipsImage *in, int side);

int sluice_has_alpha(VipsImage *in);

/* Saves as PNG without compression or metadata. */
void *sluice_save_png(VipsImage *in, size_t *len);

#endif
