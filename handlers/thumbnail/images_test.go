package thumbnail

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/h2non/bimg"
)

var (
	red   = color.NRGBA{R: 220, G: 30, B: 30, A: 255}
	green = color.NRGBA{R: 30, G: 180, B: 30, A: 255}
	blue  = color.NRGBA{R: 30, G: 30, B: 220, A: 255}
	white = color.NRGBA{R: 250, G: 250, B: 250, A: 255}
)

// quarters is a picture of w × h pixels: red, green above blue, white.
func quarters(w, h int) *image.NRGBA {
	return paint(w, h, func(x, y int) color.Color {
		switch {
		case y < h/2 && x < w/2:
			return red
		case y < h/2:
			return green
		case x < w/2:
			return blue
		}
		return white
	})
}

func paint(w, h int, at func(x, y int) color.Color) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, at(x, y))
		}
	}
	return m
}

// stored turns and mirrors an upright picture so that a viewer that honours the EXIF orientation shows it upright
// (TIFF 6.0, tag 274: where the first row and column are).
func stored(m *image.NRGBA, orientation int) *image.NRGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	return paint(w, h, func(x, y int) color.Color {
		switch orientation {
		case 2:
			return m.At(w-1-x, y)
		case 3:
			return m.At(w-1-x, h-1-y)
		case 4:
			return m.At(x, h-1-y)
		case 5:
			return m.At(y, x)
		case 6:
			return m.At(h-1-y, x)
		case 7:
			return m.At(h-1-y, w-1-x)
		case 8:
			return m.At(y, w-1-x)
		}
		return m.At(x, y)
	})
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asWebP(t testing.TB, m image.Image) []byte {
	t.Helper()
	setUpVips()
	b, err := bimg.NewImage(asPNG(t, m)).Process(bimg.Options{Type: bimg.WEBP, Lossless: true, Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func photo(t testing.TB) []byte {
	t.Helper()
	return fixture(t, "../../../testdata/photo.jpg")
}

// tiff is the body of an EXIF segment with an orientation and a place.
func tiff(orientation int) []byte {
	le := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00")
	entry := func(tag, kind uint16, count, value uint32) {
		b = le.AppendUint16(b, tag)
		b = le.AppendUint16(b, kind)
		b = le.AppendUint32(b, count)
		b = le.AppendUint32(b, value)
	}
	b = le.AppendUint16(b, 2)
	entry(0x0112, 3, 1, uint32(orientation))
	entry(0x8825, 4, 1, 8+2+2*12+4) // the GPS directory follows this one
	b = le.AppendUint32(b, 0)
	b = le.AppendUint16(b, 1)
	entry(0x0001, 2, 2, 'N') // GPSLatitudeRef
	return le.AppendUint32(b, 0)
}

// jpegSegment is a segment of a JPEG with its marker and length.
func jpegSegment(marker byte, body string) []byte {
	b := []byte{0xFF, marker}
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(body)))
	return append(b, body...)
}

// withSegments puts segments behind the start of a JPEG.
func withSegments(src []byte, segments ...[]byte) []byte {
	return bytes.Join([][]byte{src[:2], bytes.Join(segments, nil), src[2:]}, nil)
}

// withEXIF adds an orientation and a place to a JPEG, PNG or WebP, and XMP to a JPEG.
func withEXIF(t testing.TB, f format, src []byte, orientation int) []byte {
	t.Helper()
	exif := tiff(orientation)
	switch f {
	case formatJPEG:
		return withSegments(src,
			jpegSegment(0xE1, "Exif\x00\x00"+string(exif)),
			jpegSegment(0xE1, "http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta xmlns:x='adobe:ns:meta/'>secret</x:xmpmeta>"))
	case formatPNG:
		const afterIHDR = 8 + 4 + 4 + 13 + 4
		return bytes.Join([][]byte{src[:afterIHDR], pngChunk("eXIf", exif), src[afterIHDR:]}, nil)
	case formatWebP:
		h, err := readHeader(src)
		if err != nil {
			t.Fatal(err)
		}
		const exifFlag, alphaFlag = 0x08, 0x10
		return webp(vp8x(exifFlag|alphaFlag, h.width, h.height), imageChunk(t, src), webpChunk("EXIF", exif))
	}
	t.Fatalf("no EXIF for %s", f)
	return nil
}

func pngChunk(name string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// webp is a WebP file of chunks (RFC 9649).
func webp(chunks ...[]byte) []byte {
	body := append([]byte("WEBP"), bytes.Join(chunks, nil)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func webpChunk(name string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func vp8x(flags byte, w, h int) []byte {
	return webpChunk("VP8X", append([]byte{flags, 0, 0, 0}, append(uint24(w-1), uint24(h-1)...)...))
}

func uint24(n int) []byte { return []byte{byte(n), byte(n >> 8), byte(n >> 16)} }

// imageChunk is the VP8L chunk of a lossless WebP.
func imageChunk(t testing.TB, src []byte) []byte {
	t.Helper()
	i := bytes.Index(src, []byte("VP8L"))
	if i < 0 {
		t.Fatal("no VP8L chunk")
	}
	n := int(binary.LittleEndian.Uint32(src[i+4:]))
	return src[i : i+8+n+n%2]
}

// animation is a WebP that shows each picture for a second.
func animation(t testing.TB, frames ...image.Image) []byte {
	t.Helper()
	const animationFlag = 0x02
	size := frames[0].Bounds().Size()
	chunks := [][]byte{vp8x(animationFlag, size.X, size.Y), webpChunk("ANIM", make([]byte, 6))}
	for _, frame := range frames {
		head := bytes.Join([][]byte{uint24(0), uint24(0), uint24(size.X - 1), uint24(size.Y - 1), uint24(1000), {0}}, nil)
		chunks = append(chunks, webpChunk("ANMF", append(head, imageChunk(t, asWebP(t, frame))...)))
	}
	return webp(chunks...)
}

// config is the default one for tests, which do not parse flags.
func config(sizes ...int) Config {
	return Config{Sizes: sizes, Quality: 80, MaxBytes: 100 << 20, MaxPixels: 100e6, MaxHeldPixels: 40e6}
}

func render(t testing.TB, src []byte, sizes ...int) Image {
	t.Helper()
	m, err := NewRenderer(config(sizes...)).Render(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Renditions) != len(sizes) {
		t.Fatalf("got %d renditions, want %d", len(m.Renditions), len(sizes))
	}
	return m
}

// look decodes a rendition, through libvips when Go cannot.
func look(t testing.TB, r Rendition) image.Image {
	t.Helper()
	data := r.Data
	if r.Type == string(formatWebP) {
		p, err := decode(data, loadOptions{format: formatWebP, shrink: 1}, maxRenditionSide)
		if err != nil {
			t.Fatal(err)
		}
		defer p.free()
		if data, err = p.png(); err != nil {
			t.Fatal(err)
		}
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Bounds().Size(), (image.Point{r.Width, r.Height}); got != want {
		t.Fatalf("the rendition is %v, and said to be %v", got, want)
	}
	return m
}

// checkColor allows for what JPEG loses.
func checkColor(t testing.TB, m image.Image, x, y int, want color.NRGBA, tolerance int) {
	t.Helper()
	got := nrgba(t, m.At(x, y))
	for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B), int(got.A) - int(want.A)} {
		if max(d, -d) > tolerance {
			t.Errorf("pixel %d, %d is %v, want %v within %d", x, y, got, want, tolerance)
			return
		}
	}
}

func nrgba(t testing.TB, c color.Color) color.NRGBA {
	t.Helper()
	n, ok := color.NRGBAModel.Convert(c).(color.NRGBA)
	if !ok {
		t.Fatalf("%v is not an NRGBA color", c)
	}
	return n
}

// checkQuarters looks at the corners of a picture that shows quarters.
func checkQuarters(t testing.TB, m image.Image) {
	t.Helper()
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	checkColor(t, m, w/8, h/8, red, 20)
	checkColor(t, m, w-1-w/8, h/8, green, 20)
	checkColor(t, m, w/8, h-1-h/8, blue, 20)
	checkColor(t, m, w-1-w/8, h-1-h/8, white, 20)
}
