package thumbnail

import "bytes"

// JPEG markers, the second byte after 0xFF (ITU-T T.81, table B.1).
const (
	markerSOF0 = 0xC0 // baseline
	markerSOF1 = 0xC1 // extended sequential
	markerRST0 = 0xD0
	markerSOI  = 0xD8
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerTEM  = 0x01
)

// jpegScans is what the markers of a JPEG tell about its scans.
type jpegScans struct {
	count int

	// odd reports a sequential image whose scan header bears the parameters of a progressive one. Some phones
	// write it; it does no harm, but libjpeg warns of it as it warns of damage.
	odd bool
}

// readScans walks over the markers of src up to its end or to the first thing that is not JPEG, which is left to
// the decoder to judge.
func readScans(src []byte) jpegScans {
	var s jpegScans
	sequential := false
	for rest := src; ; {
		marker, body, ok := nextMarker(rest)
		if !ok || marker == markerEOI {
			return s
		}
		rest = body
		if isStandalone(marker) {
			continue
		}
		segment, after, ok := cutSegment(body)
		if !ok {
			return s
		}
		rest = after
		switch marker {
		case markerSOF0, markerSOF1:
			sequential = true
		case markerSOS:
			s.count++
			s.odd = s.odd || sequential && !isWholeSpectrum(segment)
		}
	}
}

// nextMarker finds the next marker in b, past entropy-coded data if there is any, and returns what follows it.
func nextMarker(b []byte) (marker byte, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(b, 0xFF)
		if i < 0 || i+1 >= len(b) {
			return 0, nil, false
		}
		switch b[i+1] {
		case 0xFF: // fill byte
			b = b[i+1:]
		case 0x00: // a stuffed byte of entropy-coded data
			b = b[i+2:]
		default:
			return b[i+1], b[i+2:], true
		}
	}
}

// isStandalone reports a marker without a segment: RST0 to RST7, SOI, TEM.
func isStandalone(marker byte) bool {
	return marker >= markerRST0 && marker <= markerSOI || marker == markerTEM
}

// cutSegment cuts off a segment, whose first two bytes are its length including them.
func cutSegment(b []byte) (segment, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(b[0])<<8 | int(b[1])
	if n < 2 || n > len(b) {
		return nil, nil, false
	}
	return b[2:n], b[n:], true
}

// isWholeSpectrum reports a scan header that ends as a sequential image's must: coefficients 0 to 63, unrefined
// (ITU-T T.81, B.2.3).
func isWholeSpectrum(scanHeader []byte) bool {
	return bytes.HasSuffix(scanHeader, []byte{0, 63, 0})
}
