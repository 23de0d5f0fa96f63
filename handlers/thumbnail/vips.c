#include "vips.h"

static void
discard_log(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
}

void
sluice_restrict(void)
{
	vips_operation_block_set("VipsForeignLoad", TRUE);
	vips_operation_block_set("VipsForeignLoadJpegBuffer", FALSE);
	vips_operation_block_set("VipsForeignLoadPngBuffer", FALSE);
	vips_operation_block_set("VipsForeignLoadWebpBuffer", FALSE);

	/* Warnings about a file would go to stderr, as the file's author pleases; what matters is an error anyway. */
	g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, discard_log, NULL);
}

static int
header_int(VipsImage *image, const char *name, int missing)
{
	int value;

	if (!vips_image_get_typeof(image, name) || vips_image_get_int(image, name, &value))
		return missing;
	return value;
}

int
sluice_header(const void *buf, size_t len, SluiceHeader *header)
{
	VipsImage *image;

	if (!(image = vips_image_new_from_buffer(buf, len, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL)))
		return -1;
	header->width = image->Xsize;
	header->height = vips_image_get_page_height(image);
	header->frames = header_int(image, VIPS_META_N_PAGES, 1);
	header->orientation = vips_image_get_orientation(image);
	header->interlaced = header_int(image, "interlaced", 0);
	g_object_unref(image);
	return 0;
}

/*
 * Applies the embedded profile. One that cannot be applied (damaged, or made for other channels, as a CMYK image's
 * once it is sRGB) leaves the image as it is.
 */
static VipsImage *
to_srgb(VipsImage *in)
{
	VipsImage *out;

	if (vips_image_get_typeof(in, VIPS_META_ICC_NAME) &&
		!vips_icc_transform(in, &out, "srgb", "embedded", TRUE, NULL))
		return out;
	return g_object_ref(in);
}

static int
lowest_alpha(VipsImage *in, double *lowest)
{
	VipsImage *alpha;
	int failed;

	if (vips_extract_band(in, &alpha, in->Bands - 1, NULL))
		return -1;
	failed = vips_min(alpha, lowest, NULL);
	g_object_unref(alpha);
	return failed;
}

static VipsImage *
drop_opaque_alpha(VipsImage *in)
{
	VipsImage *opaque;
	double lowest = 0;

	if (vips_image_hasalpha(in) && lowest_alpha(in, &lowest))
		return NULL;
	if (lowest < 255)
		return g_object_ref(in);
	if (vips_extract_band(in, &opaque, 0, "n", in->Bands - 1, NULL))
		return NULL;
	return opaque;
}

VipsImage *
sluice_fit(VipsImage *in, int side)
{
	VipsImage *fitted, *memory;

	/* Shrinks first and rotates by the orientation then; weighs colours by alpha while shrinking. */
	if (vips_thumbnail_image(in, &fitted, side, "height", side, "size", VIPS_SIZE_DOWN, NULL))
		return NULL;
	memory = vips_image_copy_memory(fitted);
	g_object_unref(fitted);
	return memory;
}

VipsImage *
sluice_decode(const void *buf, size_t len, const char *options, int side)
{
	VipsImage *source, *fitted, *srgb, *out;

	if (!(source = vips_image_new_from_buffer(buf, len, options, NULL)))
		return NULL;
	fitted = sluice_fit(source, side);
	g_object_unref(source);
	if (!fitted)
		return NULL;
	srgb = to_srgb(fitted);
	g_object_unref(fitted);
	out = drop_opaque_alpha(srgb);
	g_object_unref(srgb);
	return out;
}

int
sluice_has_alpha(VipsImage *in)
{
	return vips_image_hasalpha(in);
}

void *
sluice_save_png(VipsImage *in, size_t *len)
{
	void *buf;

	if (vips_pngsave_buffer(in, &buf, len, "compression", 0, "filter", VIPS_FOREIGN_PNG_FILTER_NONE, "strip", TRUE, NULL))
		return NULL;
	return buf;
}
