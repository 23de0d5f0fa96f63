package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// row is the line of the list whose file is named so, to a script.
func row(name string) string {
	return `Array.from(document.querySelectorAll('.upload')).find(row => row.querySelector('.name').textContent === ` + quoted(name) + `)`
}

// quoted makes a script's literal of a text.
func quoted(text string) string {
	literal, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(literal)
}

func TestThePageShowsADroppedPhotoBecomeReady(t *testing.T) {
	b := openSluice(t, 1440)
	if got := value[string](b, `location.href + document.cookie`); got != stack.value["SLUICE_URL"]+"/" {
		t.Errorf("the token can still be read: %q", got)
	}
	const name = `<img src=x onerror=alert(1)> & ☀.jpg`
	b.drop(file(t, name, withComment(photo(t), t.Name())))

	b.until(row(name) + `?.dataset.state === 'ready'`)
	b.until(row(name) + `.querySelector('img')?.naturalWidth > 0`)
	if width := value[int](b, row(name)+`.querySelector('img').naturalWidth`); width != 200 {
		t.Errorf("the thumbnail is %d pixels wide", width)
	}
	links := value[[]string](b, `Array.from(`+row(name)+`.querySelectorAll('a'), a => a.href)`)
	if len(links) != 2 {
		t.Fatalf("the links are %q", links)
	}
	for _, link := range links {
		if code, _, err := fetch(t.Context(), link); err != nil || code != http.StatusOK {
			t.Errorf("%s answers %d (%v)", link, code, err)
		}
	}
	if heard := value[string](b, `document.getElementById('heard').textContent`); !strings.Contains(heard, "Ready") {
		t.Errorf("those who listen heard %q", heard)
	}
	if streams := b.sent(http.MethodGet, stack.value["SLUICE_URL"]+"/v1/uploads/"); len(streams) != 1 {
		t.Errorf("%d requests for one stream of events", len(streams))
	}
	b.screenshot("ready")

	b.do(chromedp.Reload())
	b.until(row(name) + `?.querySelectorAll('a').length === 2`)
}

func TestThePageSaysWhyAFileDidNotPass(t *testing.T) {
	b := openSluice(t, 768)
	files := map[string]struct {
		body  []byte
		words string
	}{
		"infected.jpg": {withComment(photo(t), marker), "Malware was found in this file. It was not published."},
		"diary.jpg":    {[]byte("dear diary"), "The content is not what the file’s name says it is."},
		"note.txt":     {[]byte("milk"), "Files of this kind are not accepted here."},
		"empty.jpg":    {nil, "The file is empty."},
	}
	var paths []string
	for name, f := range files {
		paths = append(paths, file(t, name, f.body))
	}
	b.drop(paths...)
	for name, f := range files {
		b.until(row(name) + `?.querySelector('.words').textContent === ` + quoted(f.words))
		if links := value[int](b, row(name)+`.querySelectorAll('a').length`); links != 0 {
			t.Errorf("%s has %d links", name, links)
		}
	}
	b.screenshot("refused")
}

// padded is a photograph of size bytes, its end empty.
func padded(t *testing.T, size int) []byte {
	t.Helper()
	body := withComment(photo(t), t.Name())
	return slices.Concat(body, make([]byte, size-len(body)))
}

// storedParts are the numbers of the parts that S3 has of an upload.
func storedParts(t *testing.T, id string) (numbers []string) {
	t.Helper()
	var listing struct{ Parts []struct{ Number int } }
	if code, err := tryCall(t, http.MethodGet, "/v1/uploads/"+id+"/parts", nil, &listing); err != nil || code != http.StatusOK {
		t.Fatalf("the parts of %s: %d, %v", id, code, err)
	}
	for _, part := range listing.Parts {
		numbers = append(numbers, strconv.Itoa(part.Number))
	}
	return numbers
}

func partNumbers(requests []*network.Request) (numbers []string) {
	for _, r := range requests {
		if u, err := url.Parse(r.URL); err == nil {
			numbers = append(numbers, u.Query().Get("partNumber"))
		}
	}
	return numbers
}

func TestThePageResumesAfterAReload(t *testing.T) {
	const name, size = "large.jpg", 48 << 20
	body := padded(t, size)
	path := file(t, name, body)
	b := openSluice(t, 1440)
	storage := stack.value["SLUICE_S3_ENDPOINT"]

	b.throttle(6 << 20)
	b.do(chromedp.Click("#choose-files"))
	b.choose(path)
	b.until(row(name) + `?.dataset.state === 'sending'`)
	id := uploading(t)
	for len(storedParts(t, id)) < 2 {
		time.Sleep(pollEvery)
	}
	b.screenshot("sending")
	b.do(chromedp.Reload())
	b.throttle(-1)
	b.until(row(name) + `?.dataset.state === 'interrupted'`)
	b.until(`!document.getElementById('inside').hidden`)
	b.screenshot("interrupted")

	there := storedParts(t, id)
	before := len(b.sent(http.MethodPut, storage))
	t.Logf("%d parts begun and %d stored before the reload", before, len(there))

	value[any](b, row(name)+`.querySelector('.actions .strong').focus()`)
	b.press(kb.Enter)
	b.choose(file(t, "other.jpg", photo(t)))
	b.until(row(name) + `.querySelector('.words').textContent.startsWith('That was another file')`)
	b.press(kb.Enter)
	b.choose(path)
	b.until(row(name) + `?.dataset.state === 'ready'`)

	after := partNumbers(b.sent(http.MethodPut, storage)[before:])
	t.Logf("parts %v afterwards", after)
	for _, number := range after {
		if slices.Contains(there, number) {
			t.Errorf("part %s was sent again", number)
		}
	}
	if len(after)+len(there) < 3 {
		t.Errorf("%d parts were stored and %d sent afterwards", len(there), len(after))
	}
	sum := sha256.Sum256(body)
	if u := status(t, id); u.State != "ready" || u.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("upload %s is %s with SHA-256 %s", id, u.State, u.SHA256)
	}
}

// uploading is the id of the one upload in parts that is under way.
func uploading(t *testing.T) string {
	t.Helper()
	var list struct {
		Uploads []struct{ ID, Method string }
	}
	if code, err := tryCall(t, http.MethodGet, "/v1/uploads?state=initiated&limit=100", nil, &list); err != nil || code != http.StatusOK {
		t.Fatalf("the list: %d, %v", code, err)
	}
	for _, u := range list.Uploads {
		if u.Method == "multipart" {
			return u.ID
		}
	}
	t.Fatalf("no upload in parts in %+v", list.Uploads)
	return ""
}

func TestThePageWorksByKeyboard(t *testing.T) {
	b := openTab(t, 360)
	b.open(stack.value["SLUICE_URL"] + "/")
	b.until(`document.activeElement.id === 'token'`)
	b.press("nonsense" + kb.Enter)
	b.until(`document.getElementById('sign-in-error').textContent === 'This token is not valid.'`)
	value[any](b, `document.getElementById('token').select()`)
	b.press(stack.value["SLUICE_TOKEN"] + kb.Enter)
	b.until(`!document.getElementById('inside').hidden`)

	const name = "keys.jpg"
	value[any](b, `document.activeElement.blur()`)
	b.tabTo(`focus.matches('#choose-files')`, 8)
	b.press(kb.Enter)
	b.choose(file(t, name, withComment(photo(t), t.Name())))
	b.until(row(name) + `?.dataset.state === 'ready'`)

	b.tabTo(`focus.ariaLabel === 'Original of keys.jpg'`, 12)
	b.tabTo(`focus.ariaLabel === 'Delete keys.jpg'`, 6)
	b.press(kb.Enter)
	b.until(`document.getElementById('question').open`)
	b.tabTo(`focus.value === 'yes'`, 3)
	b.press(kb.Enter)
	b.until(`!` + row(name))
	if lost := value[bool](b, `document.activeElement === document.body`); lost {
		t.Error("the focus was lost")
	}

	b.tabTo(`focus.matches('#sign-out')`, 20, chromedp.KeyModifiers(kb.ModifierShift))
	b.press(kb.Enter)
	b.until(`document.activeElement?.id === 'token'`)
}

func TestThePageIsAccessible(t *testing.T) {
	script := npm(t, "axe-core/axe.min.js")
	b := openTab(t, 1440)
	b.open(stack.value["SLUICE_URL"] + "/")
	b.until(`!document.getElementById('signing-in').hidden`)
	b.examine(script, "door")

	b = openSluice(t, 1440)
	b.drop(file(t, "good.jpg", withComment(photo(t), t.Name())), file(t, "bad.jpg", withComment(photo(t), marker+t.Name())), file(t, "note.txt", []byte("x")))
	b.until(row("good.jpg") + `?.querySelector('img')?.naturalWidth > 0`)
	b.until(row("bad.jpg") + `?.dataset.state === 'infected'`)
	b.until(row("note.txt") + `?.dataset.state === 'failed'`)
	b.examine(script, "list")

	value[any](b, row("good.jpg")+`.querySelector('.actions button').click()`)
	b.until(`document.getElementById('question').open`)
	b.examine(script, "question")
}

// examine has axe look at the page in every width and colour scheme, and keeps a picture of each.
func (b *tab) examine(axe, name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 768, 1440} {
			b.colours(scheme)
			b.resize(width)
			if over := value[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				b.t.Errorf("%s is %d pixels too wide at %d", name, over, width)
			}
			for _, v := range value[[]violation](b, axe+`; axe.run({resultTypes: ['violations']}).then(found => found.violations.map(one => ({
				id: one.id, impact: one.impact, help: one.help, nodes: one.nodes.map(node => node.html + ' ' + node.failureSummary)})))`) {
				if v.Impact == "serious" || v.Impact == "critical" {
					b.t.Errorf("%s at %d pixels, %s: %s: %s %q", name, width, scheme, v.ID, v.Help, v.Nodes)
				}
			}
			b.screenshot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
		}
	}
}

type violation struct {
	ID, Impact, Help string
	Nodes            []string
}

// The client on a page of another origin, with a bearer token in place of the cookie.
func TestTheClientWorksOnOtherOrigins(t *testing.T) {
	b := openTab(t, 768)
	other, _, _ := strings.Cut(stack.value["SLUICE_ALLOWED_ORIGINS"], ",")
	b.open(other + "/healthz")
	token, err := json.Marshal(stack.value["SLUICE_TOKEN"])
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(withComment(photo(t), t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	got := value[struct {
		State, Heard string
		Parted       string
		Sent, Total  int
		Refused      string
	}](b, fmt.Sprintf(`(async () => {
		const { SluiceClient } = await import('%[1]s/client.js');
		const sluice = new SluiceClient({ baseUrl: '%[1]s', token: %[2]s });
		const bytes = Uint8Array.from(atob(%[3]s), one => one.charCodeAt(0));
		const file = new File([bytes], 'elsewhere.jpg', { type: 'image/jpeg' });
		let last = {}, heard = [];
		const upload = await sluice.upload(file, { sha256: true, onProgress: one => { last = one; } });
		const ready = await sluice.waitUntilReady(upload.id, { onChange: ({ state }) => heard.push(state) });
		const parts = new File([bytes, new Uint8Array(11 << 20)], 'parts.jpg', { type: 'image/jpeg' }); // what follows a photo is no part of it
		const parted = await sluice.waitUntilReady((await sluice.upload(parts, { sha256: true, method: 'multipart' })).id);
		const refused = await sluice.upload(new File(['x'], 'x.txt', { type: 'text/plain' })).catch(error => error.code);
		return { State: ready.state, Parted: parted.state, Heard: heard.at(-1), Sent: last.sent, Total: last.total, Refused: refused };
	})()`, stack.value["SLUICE_URL"], token, body))
	if got.State != "ready" || got.Parted != "ready" || got.Heard != "ready" || got.Sent != got.Total || got.Total == 0 || got.Refused != "type_not_allowed" {
		t.Errorf("got %+v", got)
	}
}
