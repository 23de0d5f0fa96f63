package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	_ "image/jpeg" // the format that renditions have
	"os"
	"slices"
	"testing"
)

// photo is a real photograph, in landscape.
func photo(t *testing.T) []byte {
	t.Helper()
	body, err := os.ReadFile("../../../testdata/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// withSegment inserts a segment behind a JPEG's start.
func withSegment(jpeg []byte, marker byte, payload []byte) []byte {
	segment := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(payload)+2))
	return slices.Concat(jpeg[:2], segment, payload, jpeg[2:])
}

func withComment(jpeg []byte, text string) []byte { return withSegment(jpeg, 0xfe, []byte(text)) }

// turned gives a JPEG the EXIF orientation 6: to be shown after a quarter turn clockwise.
func turned(jpeg []byte) []byte {
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	return withSegment(jpeg, 0xe1, exif)
}

func TestAPhotographGoesFromPresignToTheEdge(t *testing.T) {
	original := turned(photo(t))
	source, _, err := image.DecodeConfig(bytes.NewReader(original))
	if err != nil {
		t.Fatal(err)
	}
	u := send(t, 0, file(t, "holiday ☀.jpg", original))[0]
	if u.State != "ready" || u.Filename != "holiday ☀.jpg" {
		t.Fatalf("got %+v", u)
	}
	if u.Width != source.Height || u.Height != source.Width {
		t.Errorf("it is %d×%d, want %d×%d", u.Width, u.Height, source.Height, source.Width)
	}
	sum := sha256.Sum256(original)
	if u.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("SHA-256 is %s", u.SHA256)
	}

	for _, want := range []string{"Miss", "Hit"} {
		got := served(t, u.URL, want)
		if !bytes.Equal(got.body, original) {
			t.Errorf("the edge serves other bytes")
		}
		for name, value := range map[string]string{
			"Content-Type":            "image/jpeg",
			"Cache-Control":           "public, max-age=31536000, immutable",
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; sandbox",
		} {
			if got.header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, got.header.Get(name), value)
			}
		}
	}

	if len(u.Variants) != 1 {
		t.Fatalf("%d variants, want 1", len(u.Variants))
	}
	served(t, u.Variants[0].URL, "Miss")
	thumbnail := served(t, u.Variants[0].URL, "Hit")
	shown, _, err := image.DecodeConfig(bytes.NewReader(thumbnail.body))
	if err != nil {
		t.Fatal(err)
	}
	if shown.Height != 200 || shown.Width >= 200 {
		t.Errorf("the thumbnail is %d×%d, want it upright and 200 high", shown.Width, shown.Height)
	}
	if bytes.Contains(thumbnail.body, []byte("Exif")) {
		t.Error("the thumbnail has EXIF")
	}
}

func TestTheHistoryShowsEveryStage(t *testing.T) {
	u := send(t, 0, file(t, "a.jpg", photo(t)))[0]
	wait(t, u.ID, func(u upload) bool { return len(u.History) == 7 })
	u = status(t, u.ID)
	var got []string
	for i, h := range u.History {
		got = append(got, h.Stage+" "+h.To)
		if h.StartedAt.IsZero() || h.FinishedAt.Before(h.StartedAt) || i > 0 && h.From != u.History[i-1].To {
			t.Errorf("transition %d is %+v", i, h)
		}
	}
	want := []string{"api initiated", "intake uploaded", "verify verified", "scan clean", "thumbnail processed", "publish ready", "notify ready"}
	if !slices.Equal(got, want) {
		t.Errorf("history is %q, want %q", got, want)
	}
}

// served GETs a published file and checks what the cache said.
func served(t *testing.T, url, cache string) *answered {
	t.Helper()
	status, got, err := fetch(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if status != 200 || got.header.Get("X-Cache") != cache {
		t.Fatalf("%s answered %d, %s; want 200, %s", url, status, got.header.Get("X-Cache"), cache)
	}
	return got
}
