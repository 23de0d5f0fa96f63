package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image"
	"image/draw"
	"image/jpeg"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	interception "github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

// uppies are the lines of Uppy's S3 plugin, each with its options as a script: version 5 shows a token, version 6 relies on
// the session, or on the page to ask for each signature.
func uppies() map[string]string {
	const parts = `shouldUseMultipart: file => file.size > 16 * 2 ** 20`
	token := quoted(stack.value["SLUICE_TOKEN"])
	return map[string]string{
		"5":             `{endpoint: location.origin, headers: {Authorization: 'Bearer ' + ` + token + `}, limit: 2, ` + parts + `}`,
		"6":             `{companionEndpoint: location.origin, ` + parts + `}`,
		"6 signRequest": `{...signing(location.origin, {Authorization: 'Bearer ' + ` + token + `}), ` + parts + `}`,
	}
}

// openUppy opens a page with Uppy of that version.
func openUppy(t *testing.T, version string) *tab {
	t.Helper()
	line, _, _ := strings.Cut(version, " ")
	b := openApplication(t, uppyScript(t, line))
	if version == "6" {
		b.signIn()
	}
	value[any](b, `start(`+uppies()[version]+`)`)
	return b
}

// uppyScript is the page's script with that line of Uppy, as npm has it.
func uppyScript(t *testing.T, line string) string {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join("uppy", line, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	install(t, filepath.Dir(modules))
	bundler := exec.CommandContext(t.Context(), filepath.Join(modules, ".bin", "esbuild"), "uppy/page.js", "--bundle", "--log-level=warning")
	bundler.Env = append(os.Environ(), "NODE_PATH="+modules)
	var stderr bytes.Buffer
	bundler.Stderr = &stderr
	script, err := bundler.Output()
	if err != nil {
		t.Fatalf("esbuild: %v\n%s", err, &stderr)
	}
	return string(script)
}

// idOf is the id of the upload whose object has that key, as a page reads it.
func idOf(key string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(key, "uploads/"), ".")
	return id
}

// outcome waits for Uppy to have sent the file, and for what becomes of it.
func (b *tab) outcome() upload {
	b.t.Helper()
	b.until(`window.sent || window.failure`)
	if failure := value[string](b, `window.failure ?? ''`); failure != "" {
		b.t.Fatalf("uppy failed: %s", failure)
	}
	return wait(b.t, idOf(value[string](b, `window.sent.body.key`)), settled)
}

// largePhoto is a photograph of twelve megapixels.
func largePhoto(t *testing.T) []byte {
	t.Helper()
	tile, err := jpeg.Decode(bytes.NewReader(photo(t)))
	if err != nil {
		t.Fatal(err)
	}
	canvas, size := image.NewRGBA(image.Rect(0, 0, 4000, 3000)), tile.Bounds().Size()
	for y := 0; y < 3000; y += size.Y {
		for x := 0; x < 4000; x += size.X {
			draw.Draw(canvas, image.Rect(x, y, x+size.X, y+size.Y), tile, image.Point{}, draw.Src)
		}
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, canvas, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestUppySendsAPhoto(t *testing.T) {
	body := largePhoto(t)
	for version := range uppies() {
		t.Run(version, func(t *testing.T) {
			b := openUppy(t, version)
			b.pick(file(t, "garden.jpg", withComment(body, t.Name())))
			b.until(`uppy.getFiles().length === 1`)
			value[any](b, `void uppy.upload()`)
			u := b.outcome()
			if u.State != "ready" || u.Width != 4000 || u.Height != 3000 || u.Filename != "garden.jpg" || len(u.Variants) == 0 {
				t.Errorf("it is %+v", u)
			}
		})
	}
}

func TestUppySaysWhatIsRefused(t *testing.T) {
	b := openUppy(t, "5")
	b.pick(file(t, "note.txt", []byte("milk")))
	b.until(`uppy.getFiles().length === 1`)
	value[any](b, `void uppy.upload()`)
	b.until(`window.failure`)
	if said := value[string](b, `window.failure`); !strings.Contains(said, "are accepted") {
		t.Errorf("it says %q", said)
	}
}

// largeSize is how many bytes the file has that is sent in parts.
func largeSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("E2E_LARGE_FILE")
	if text == "" {
		return 32 << 20
	}
	size, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// film is an MP4 file of size bytes, of which all but the head is to be skipped (ISO/IEC 14496-12: boxes ftyp and free).
func film(t *testing.T, size int) []byte {
	t.Helper()
	head := append([]byte("\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp41"), 0, 0, 0, 0, 'f', 'r', 'e', 'e')
	binary.BigEndian.PutUint32(head[20:], uint32(size-20))
	return slices.Concat(head, []byte(t.Name()), make([]byte, size-len(head)-len(t.Name())))
}

// failOnce answers the first PUT of a part in place of the storage, as one that has too much to do.
func (b *tab) failOnce(part string) (failed func() bool) {
	b.t.Helper()
	var seen, done atomic.Bool
	answer := func(request interception.RequestID) {
		try(b, interception.FulfillRequest, interception.FulfillRequestParams{
			RequestID: request, ResponseCode: http.StatusServiceUnavailable,
			ResponseHeaders: []*interception.HeaderEntry{{Name: "Access-Control-Allow-Origin", Value: "*"}},
		})
		done.Store(true)
	}
	pass := func(request interception.RequestID) { // which fails when the page, and the request with it, is gone
		_, _ = chromedp.Call(b.ctx, interception.ContinueRequest, interception.ContinueRequestParams{RequestID: request})
	}
	err := chromedp.Listen(b.ctx, func(event any) {
		paused, ok := event.(*interception.EventRequestPaused)
		switch {
		case !ok:
		case paused.Request.Method != http.MethodPut || seen.Swap(true):
			go pass(paused.RequestID)
		default:
			go answer(paused.RequestID)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	call(b, interception.Enable, interception.EnableParams{Patterns: []*interception.RequestPattern{{URLPattern: "*partNumber=" + part + "&*"}}})
	return done.Load
}

func TestUppyResumesAfterAReload(t *testing.T) {
	size := largeSize(t)
	for version, options := range uppies() {
		t.Run(version, func(t *testing.T) {
			body := film(t, size)
			path := file(t, "large.mp4", body)
			storage := stack.value["SLUICE_S3_ENDPOINT"]
			b := openUppy(t, version)
			failed := b.failOnce("2")

			b.throttle(float64(size) / 8)
			b.pick(path)
			b.until(`uppy.getFiles().length === 1`)
			value[any](b, `void uppy.upload()`)
			b.until(`uppy.getFiles()[0].s3Multipart?.key`)
			id := idOf(value[string](b, `uppy.getFiles()[0].s3Multipart.key`))
			for len(storedParts(t, id)) < 2 || !failed() {
				time.Sleep(pollEvery)
			}
			b.do(chromedp.Reload())
			b.throttle(-1)

			value[any](b, `start(`+options+`)`)
			b.until(`window.restored && uppy.getFiles()[0]?.isGhost`)
			there := storedParts(t, id)
			before := len(b.sent(http.MethodPut, storage))
			b.pick(path)
			b.until(`uppy.getFiles()[0].isGhost === false`)
			value[any](b, `void uppy.emit('restore-confirmed')`)

			u := b.outcome()
			after := partNumbers(b.sent(http.MethodPut, storage)[before:])
			t.Logf("parts %v were stored, %v sent afterwards", there, after)
			for _, number := range after {
				if slices.Contains(there, number) {
					t.Errorf("part %s was sent again", number)
				}
			}
			if len(after) == 0 {
				t.Error("everything was sent before the reload")
			}
			sum := sha256.Sum256(body)
			if u.ID != id || u.State != "ready" || u.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("it is %+v, not %s", u, id)
			}
		})
	}
}
