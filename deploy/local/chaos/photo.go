package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
)

// The classes of files, by the outcome that each must have.
const (
	good     = "ready"
	failed   = "failed"
	infected = "infected"
	lying    = "rejected"
)

const (
	photoWidth, photoHeight = 320, 240 // pixels
	photoType               = "image/jpeg"
	// padding is how many bytes every tenth photo has after its end, so that a transfer takes a while.
	padding = 400 << 10
)

// file is what a customer sends.
type file struct {
	body   []byte
	class  string
	colour color.RGBA // of a good photo: all of it, so that a rendition can be known by it
}

func (f file) sha256() string {
	sum := sha256.Sum256(f.body)
	return hex.EncodeToString(sum[:])
}

// photographer makes small photographs, no two of which are the same.
type photographer struct {
	marker string // makes a file infected
}

// photo returns a good photograph of one colour, with a comment that no other has.
func (photographer) photo(dice *rand.Rand) (file, error) {
	c := color.RGBA{R: uint8(dice.IntN(256)), G: uint8(dice.IntN(256)), B: uint8(dice.IntN(256)), A: 255}
	picture := image.NewRGBA(image.Rect(0, 0, photoWidth, photoHeight))
	for i := 0; i < len(picture.Pix); i += 4 {
		picture.Pix[i], picture.Pix[i+1], picture.Pix[i+2], picture.Pix[i+3] = c.R, c.G, c.B, c.A
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, nil); err != nil {
		return file{}, fmt.Errorf("encode a photo: %w", err)
	}
	body := withComment(encoded.Bytes(), fmt.Sprintf("%016x%016x", dice.Uint64(), dice.Uint64()))
	if dice.IntN(10) == 0 {
		body = append(body, make([]byte, padding)...)
	}
	return file{body: body, class: good, colour: c}, nil
}

// infectedPhoto is a photograph that the scanner must find infected.
func (p photographer) infectedPhoto(dice *rand.Rand) (file, error) {
	f, err := p.photo(dice)
	f.body, f.class = withComment(f.body, p.marker), infected
	return f, err
}

// lie is a picture that is no JPEG.
func (photographer) lie(dice *rand.Rand) (file, error) {
	picture := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(dice.IntN(256))
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, picture); err != nil {
		return file{}, fmt.Errorf("encode a picture: %w", err)
	}
	return file{body: encoded.Bytes(), class: lying}, nil
}

// damaged is a photograph whose second half is missing.
func (p photographer) damaged(dice *rand.Rand) (file, error) {
	f, err := p.photo(dice)
	if end := bytes.LastIndex(f.body, []byte{0xFF, 0xD9}); end > 0 {
		f.body = f.body[:end/2]
	}
	f.class = lying
	return f, err
}

// withComment puts a comment segment (COM, ITU-T T.81 B.2.4.5) behind a JPEG's first marker.
func withComment(photo []byte, comment string) []byte {
	const startOfImage = 2 // bytes
	segment := binary.BigEndian.AppendUint16([]byte{0xFF, 0xFE}, uint16(2+len(comment)))
	segment = append(segment, comment...)
	return append(append(bytes.Clone(photo[:startOfImage]), segment...), photo[startOfImage:]...)
}
