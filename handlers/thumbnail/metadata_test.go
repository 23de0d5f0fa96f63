package thumbnail

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"slices"
	"testing"
)

func TestNothingButThePictureIsLeft(t *testing.T) {
	transparent := quarters(300, 200)
	transparent.SetNRGBA(5, 5, color.NRGBA{})
	icc := jpegSegment(0xE2, "ICC_PROFILE\x00\x01\x01junk")
	for name, src := range map[string][]byte{
		"jpeg":                  withEXIF(t, formatJPEG, withSegments(asJPEG(t, quarters(300, 200)), icc, jpegSegment(0xFE, "a comment")), 6),
		"jpeg that is small":    withEXIF(t, formatJPEG, asJPEG(t, quarters(30, 20)), 1),
		"png":                   withEXIF(t, formatPNG, asPNG(t, quarters(300, 200)), 3),
		"png with transparency": withEXIF(t, formatPNG, asPNG(t, transparent), 3),
		"webp":                  withEXIF(t, formatWebP, asWebP(t, image.Image(transparent)), 8),
		"display p3":            fixture(t, "display-p3.png"),
		"cmyk":                  fixture(t, "cmyk.jpg"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range render(t, src, 50, 100).Renditions {
				switch r.Type {
				case "image/jpeg":
					checkBareJPEG(t, r.Data)
				case "image/webp":
					checkBareWebP(t, r.Data)
				default:
					t.Errorf("unexpected type %s", r.Type)
				}
			}
		})
	}
}

// checkBareJPEG allows a baseline JPEG's tables, its frame, its one scan and the JFIF header.
func checkBareJPEG(t *testing.T, data []byte) {
	t.Helper()
	const markerAPP0, markerDHT, markerDQT = 0xE0, 0xC4, 0xDB
	allowed := []byte{markerSOI, markerAPP0, markerDQT, markerSOF0, markerDHT, markerSOS, markerEOI}
	for rest := data; ; {
		marker, body, ok := nextMarker(rest)
		if !ok {
			t.Fatal("the end is missing")
		}
		if !slices.Contains(allowed, marker) {
			t.Errorf("a segment %#x is left", marker)
		}
		if marker == markerEOI {
			if len(body) > 0 {
				t.Errorf("%d bytes after the end", len(body))
			}
			break
		}
		rest = body
		if !isStandalone(marker) {
			if _, rest, ok = cutSegment(body); !ok {
				t.Fatalf("segment %#x is cut short", marker)
			}
		}
	}
	if scans := readScans(data); scans.count != 1 {
		t.Errorf("%d scans", scans.count)
	}
}

func checkBareWebP(t *testing.T, data []byte) {
	t.Helper()
	if n := int(binary.LittleEndian.Uint32(data[4:])); n != len(data)-8 {
		t.Errorf("the file is said to have %d bytes and has %d", n, len(data)-8)
	}
	for b := bytes.TrimPrefix(data[8:], []byte("WEBP")); len(b) >= 8; {
		name, n := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		if !slices.Contains([]string{"VP8X", "ALPH", "VP8 "}, name) {
			t.Errorf("a chunk %q is left", name)
		}
		if name == "VP8X" && b[8]&webpMetadataFlags != 0 {
			t.Errorf("the flags %#x announce metadata", b[8])
		}
		b = b[8+n+n%2:]
	}
}

func TestBareWebPRefusesOtherFiles(t *testing.T) {
	whole := webp(vp8x(0xFF, 10, 10), webpChunk("EXIF", []byte("odd")), webpChunk("VP8 ", []byte("even")))
	for n := range whole {
		if bare, err := bareWebP(bytes.Clone(whole[:n])); err == nil && n != 12 && n != 12+18 && n != 12+18+12 {
			t.Errorf("the first %d bytes became %q", n, bare)
		}
	}
	want := webp(vp8x(0xFF&^webpMetadataFlags, 10, 10), webpChunk("VP8 ", []byte("even")))
	if bare, err := bareWebP(whole); err != nil || !bytes.Equal(bare, want) {
		t.Errorf("got %q, %v, want %q", bare, err, want)
	}
}
