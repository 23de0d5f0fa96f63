package thumbnail

import (
	"bytes"
	"testing"
)

func TestReadScans(t *testing.T) {
	soi, eoi := []byte{0xFF, markerSOI}, []byte{0xFF, markerEOI}
	sof := func(marker byte) []byte { return jpegSegment(marker, "\x08\x00\x01\x00\x01\x01\x01\x11\x00") }
	sos := func(parameters string) []byte { return jpegSegment(markerSOS, "\x01\x01\x00"+parameters) }
	const whole, odd = "\x00\x3f\x00", "\x00\x00\x00"
	// Stuffed bytes, a restart marker and fill bytes belong to the scan.
	data := []byte("\x12\xff\x00\xda\xff\xd3\x34\xff\xff")
	for _, c := range []struct {
		name  string
		parts [][]byte
		want  jpegScans
	}{
		{"nothing", nil, jpegScans{}},
		{"no scan", [][]byte{soi, sof(markerSOF0), eoi}, jpegScans{}},
		{"baseline", [][]byte{soi, sof(markerSOF0), sos(whole), data, eoi}, jpegScans{count: 1}},
		{"baseline, odd", [][]byte{soi, sof(markerSOF0), sos(odd), data, eoi}, jpegScans{count: 1, odd: true}},
		{"extended, odd in its second scan", [][]byte{soi, sof(markerSOF1), sos(whole), data, sos(odd), data, eoi}, jpegScans{count: 2, odd: true}},
		{"progressive", [][]byte{soi, sof(0xC2), sos(odd), data, sos("\x01\x3f\x00"), data, eoi}, jpegScans{count: 2}},
		{"a thumbnail inside a segment", [][]byte{soi, jpegSegment(0xE1, string(sos(whole))), sof(markerSOF0), sos(whole), eoi}, jpegScans{count: 1}},
		{"a second image after the end", [][]byte{soi, sof(markerSOF0), sos(whole), eoi, soi, sos(whole)}, jpegScans{count: 1}},
		{"cut in a segment", [][]byte{soi, sof(markerSOF0), sos(whole), data, {0xFF, markerSOS, 0, 9, 1}}, jpegScans{count: 1}},
		{"a segment shorter than its length", [][]byte{soi, {0xFF, markerSOS, 0, 1}}, jpegScans{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := readScans(bytes.Join(c.parts, nil)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzReadScans(f *testing.F) {
	for _, name := range []string{"progressive.jpg", "cmyk.jpg"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte{0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, src []byte) {
		if s := readScans(src); s.count > len(src)/4 {
			t.Errorf("%d scans in %d bytes", s.count, len(src))
		}
	})
}
