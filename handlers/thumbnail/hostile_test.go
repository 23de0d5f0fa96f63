package thumbnail

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"image"
	"image/color/palette"
	"image/gif"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// others are images that Debian's libvips reads when nobody forbids it, and files that are no images at all.
func others(t *testing.T) map[string][]byte {
	t.Helper()
	var g bytes.Buffer
	if err := gif.Encode(&g, image.NewPaletted(image.Rect(0, 0, 8, 8), palette.Plan9), nil); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"gif":  g.Bytes(),
		"svg":  []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>`),
		"pdf":  []byte("%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 8 8]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"),
		"tiff": grayTIFF(),
		"bmp":  []byte("BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x18\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\x00"),
		"ppm":  []byte("P6 1 1 255\n\xff\xff\xff"),
		"xpm":  []byte("/* XPM */\nstatic char *x[] = {\n\"1 1 1 1\",\n\"a c #ff0000\",\n\"a\"\n};\n"),
		"mvg":  []byte("push graphic-context\nviewbox 0 0 8 8\nimage over 0,0 0,0 'https://127.0.0.1/x'\npop graphic-context\n"),
		"text": []byte("not an image, whatever its name"),
		"zero": make([]byte, 4096),
	}
}

// grayTIFF is one white pixel.
func grayTIFF() []byte {
	le := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00")
	entries := [][2]uint32{{256, 1}, {257, 1}, {258, 8}, {259, 1}, {262, 1}, {273, 8 + 2 + 8*12 + 4}, {278, 1}, {279, 1}}
	b = le.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = le.AppendUint16(b, uint16(e[0]))
		b = le.AppendUint16(b, 4)
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, e[1])
	}
	return append(le.AppendUint32(b, 0), 0xFF)
}

func TestOtherFormatsAreRefused(t *testing.T) {
	r := NewRenderer(config(40))
	for name, src := range others(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Render(t.Context(), src); !errors.Is(err, ErrUndecodable) {
				t.Errorf("got %v, want ErrUndecodable", err)
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		if _, err := r.Render(t.Context(), nil); !errors.Is(err, ErrUndecodable) {
			t.Errorf("got %v, want ErrUndecodable", err)
		}
	})
}

func TestLibvipsLoadsNothingElse(t *testing.T) {
	setUpVips()
	for name, src := range others(t) {
		t.Run(name, func(t *testing.T) {
			if h, err := readHeader(src); err == nil {
				t.Errorf("libvips opened it: %+v", h)
			}
		})
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	picture := quarters(640, 400)
	whole := map[string][]byte{
		"jpeg":             photo(t),
		"progressive jpeg": fixture(t, "progressive.jpg"),
		"png":              asPNG(t, noise(320, 200)),
		"webp":             asWebP(t, noise(320, 200)),
		"jpeg with exif":   withEXIF(t, formatJPEG, asJPEG(t, picture), 6),
	}
	r := NewRenderer(config(40, 160))
	for name, src := range whole {
		if _, err := r.Render(t.Context(), src); err != nil {
			t.Fatalf("%s: the whole file: %v", name, err)
		}
		damaged := map[string][]byte{
			"half":                src[:len(src)/2],
			"nine tenths":         src[:len(src)*9/10],
			"the first 100 bytes": src[:100],
		}
		if strings.Contains(name, "jpeg") {
			damaged["half, ended properly"] = append(bytes.Clone(src[:len(src)/2]), 0xFF, markerEOI)
		}
		if strings.HasPrefix(name, "png") {
			damaged["one byte changed"] = bytes.Clone(src)
			damaged["one byte changed"][len(src)/2] ^= 0x55
		}
		for how, src := range damaged {
			t.Run(name+" "+how, func(t *testing.T) {
				if _, err := r.Render(t.Context(), src); !errors.Is(err, ErrUndecodable) {
					t.Errorf("got %v, want ErrUndecodable", err)
				}
			})
		}
	}
}

// noise does not compress, so that half a file is half a picture.
func noise(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	state := uint32(1)
	for i := range m.Pix {
		state = state*1664525 + 1013904223 // Numerical Recipes' generator
		m.Pix[i] = byte(state >> 24)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	return m
}

// Some phones write a sequential JPEG whose scan header says coefficients 0 to 0.
func TestOddScanHeaderIsAccepted(t *testing.T) {
	src := asJPEG(t, quarters(640, 400))
	sos := bytes.Index(src, []byte{0xFF, markerSOS})
	end := sos + 2 + int(src[sos+2])<<8 + int(src[sos+3])
	src[end-2] = 0
	checkQuarters(t, look(t, render(t, src, 40).Renditions[0]))
	if _, err := NewRenderer(config(40)).Render(t.Context(), src[:len(src)/2]); !errors.Is(err, ErrUndecodable) {
		t.Errorf("half of it: got %v, want ErrUndecodable", err)
	}
}

func TestPixelBudget(t *testing.T) {
	c := config(40)
	c.MaxPixels, c.MaxHeldPixels = 10_000, 5_000
	r := NewRenderer(c)
	small := image.NewNRGBA(image.Rect(0, 0, 80, 60))
	for _, x := range []struct {
		name    string
		src     []byte
		refused bool
	}{
		{"baseline jpeg within", asJPEG(t, quarters(100, 100)), false},
		{"baseline jpeg over", asJPEG(t, quarters(101, 100)), true},
		{"png within", asPNG(t, quarters(100, 100)), false},
		{"webp within", asWebP(t, quarters(80, 60)), false},
		{"webp over what may be held", asWebP(t, quarters(100, 60)), true},
		{"progressive jpeg over what may be held", fixture(t, "progressive.jpg"), true},
		{"interlaced png within", fixture(t, "interlaced.png"), false},
		{"two frames", animation(t, quarters(80, 60), small), false},
		{"three frames", animation(t, quarters(80, 60), small, small), true},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := r.Render(t.Context(), x.src)
			if x.refused && !errors.Is(err, ErrTooManyPixels) || !x.refused && err != nil {
				t.Errorf("got %v; refused should be %v", err, x.refused)
			}
		})
	}
}

func TestHeadersAloneAreJudged(t *testing.T) {
	r := NewRenderer(config(200))
	for name, src := range map[string][]byte{
		"30,000 squared jpeg":             jpegHeader(markerSOF0, 30_000, 30_000),
		"7,000 squared progressive jpeg":  jpegHeader(0xC2, 7_000, 7_000),
		"7,000 squared interlaced png":    pngHeader(7_000, 7_000, 1),
		"30,000 squared png":              pngHeader(30_000, 30_000, 0),
		"png wider than a row may be":     pngHeader(maxSide+1, 1, 0),
		"jpeg with more scans than makes": withScans(fixture(t, "progressive.jpg"), maxScans),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.Render(t.Context(), src); !errors.Is(err, ErrTooManyPixels) {
				t.Errorf("got %v, want ErrTooManyPixels", err)
			}
		})
	}
}

// jpegHeader is a JPEG up to its first scan.
func jpegHeader(sof byte, w, h int) []byte {
	frame := string([]byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), 1, 1, 0x11, 0})
	return bytes.Join([][]byte{{0xFF, markerSOI}, jpegSegment(sof, frame), jpegSegment(markerSOS, "\x01\x01\x00\x00\x3f\x00")}, nil)
}

func pngHeader(w, h int, interlace byte) []byte {
	return bytes.Join([][]byte{[]byte("\x89PNG\r\n\x1a\n"), ihdr(w, h, interlace), pngChunk("IDAT", []byte{0x78, 0x9c})}, nil)
}

// ihdr is the header chunk of a PNG of one bit a pixel.
func ihdr(w, h int, interlace byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(w))
	body = binary.BigEndian.AppendUint32(body, uint32(h))
	return pngChunk("IHDR", append(body, 1, 0, 0, 0, interlace))
}

// withScans repeats the end of a JPEG's last scan header n times.
func withScans(src []byte, n int) []byte {
	i := bytes.LastIndex(src, []byte{0xFF, markerSOS})
	scan := src[i : len(src)-2]
	return bytes.Join([][]byte{src[:i], bytes.Repeat(scan, n), src[i:]}, nil)
}

// A PNG of 30,000 by 30,000 pixels fits in less than a megabyte. Rendered in a process of its own, to see what memory it takes.
func TestDecompressionBombTakesNoMemory(t *testing.T) {
	const inChild = "SLUICE_TEST_BOMB"
	if file := os.Getenv(inChild); file != "" {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewRenderer(config(200)).Render(t.Context(), src); !errors.Is(err, ErrTooManyPixels) {
			t.Fatalf("got %v, want ErrTooManyPixels", err)
		}
		return
	}
	file := t.TempDir() + "/bomb.png"
	if err := os.WriteFile(file, bomb(t, 30_000), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), inChild+"="+file)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	used, ok := child.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no resource usage for the child")
	}
	const mostKB = 300 << 10
	if used.Maxrss > mostKB {
		t.Errorf("took %d KB", used.Maxrss)
	}
}

func bomb(t *testing.T, side int) []byte {
	t.Helper()
	var data bytes.Buffer
	z, err := zlib.NewWriterLevel(&data, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]byte, 1+(side+7)/8)
	for range side {
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Join([][]byte{[]byte("\x89PNG\r\n\x1a\n"), ihdr(side, side, 0), pngChunk("IDAT", data.Bytes()), pngChunk("IEND", nil)}, nil)
}

// FuzzRender looks for what crashes libvips, which would take the worker with it.
func FuzzRender(f *testing.F) {
	for _, name := range []string{"progressive.jpg", "cmyk.jpg", "interlaced.png", "display-p3.png"} {
		f.Add(fixture(f, name))
	}
	f.Add(withEXIF(f, formatWebP, asWebP(f, quarters(64, 40)), 6))
	f.Add(withEXIF(f, formatJPEG, asJPEG(f, quarters(64, 40)), 6))
	f.Add(animation(f, quarters(16, 16), quarters(16, 16)))
	c := config(20, 40)
	c.MaxPixels, c.MaxHeldPixels = 1_000_000, 1_000_000
	r := NewRenderer(c)
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := r.Render(t.Context(), src)
		if err != nil {
			if !errors.Is(err, ErrUndecodable) && !errors.Is(err, ErrTooManyPixels) {
				t.Errorf("a file's fault is reported as %v", err)
			}
			return
		}
		for _, made := range m.Renditions {
			if made.Width < 1 || made.Height < 1 || max(made.Width, made.Height) > made.Size {
				t.Errorf("rendition %d is %d × %d", made.Size, made.Width, made.Height)
			}
		}
	})
}
