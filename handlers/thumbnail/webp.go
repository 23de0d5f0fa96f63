package thumbnail

import (
	"encoding/binary"
	"errors"
)

// Flags of a WebP's VP8X chunk for the chunks that are metadata (RFC 9649, section 2.7.1).
const webpMetadataFlags = 0x20 | 0x08 | 0x04 // ICCP, EXIF, XMP

var errNotWebP = errors.New("not a WebP file")

// bareWebP drops the metadata of a WebP file, in place: libvips 8.14 writes some even when told to strip it.
func bareWebP(file []byte) ([]byte, error) {
	const headerSize = 12 // "RIFF", size, "WEBP"
	if len(file) < headerSize {
		return nil, errNotWebP
	}
	bare := file[:headerSize]
	for rest := file[headerSize:]; len(rest) > 0; {
		if len(rest) < 8 {
			return nil, errNotWebP
		}
		size := int64(binary.LittleEndian.Uint32(rest[4:]))
		size += 8 + size%2
		if size > int64(len(rest)) {
			return nil, errNotWebP
		}
		chunk := rest[:size]
		rest = rest[size:]
		switch string(chunk[:4]) {
		case "ICCP", "EXIF", "XMP ":
			continue
		case "VP8X":
			if len(chunk) == 8 {
				return nil, errNotWebP
			}
			chunk[8] &^= webpMetadataFlags
		}
		bare = append(bare, chunk...)
	}
	binary.LittleEndian.PutUint32(bare[4:], uint32(len(bare)-8))
	return bare, nil
}
