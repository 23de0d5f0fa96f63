package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
)

// openApplication opens a page of an application that has Sluice's API on its own origin, behind its own server. The page
// is a file input and a script.
func openApplication(t *testing.T, script string) *tab {
	t.Helper()
	target, err := url.Parse(stack.value["SLUICE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	mux := application(func() string { return script })
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := openTab(t, 768)
	b.open(server.URL + "/application")
	return b
}

// openElsewhere opens a page of an application on another origin than Sluice's, which Sluice allows.
func openElsewhere(t *testing.T, script string) *tab {
	t.Helper()
	stack.script.Store(&script)
	b := openTab(t, 768)
	b.open(stack.elsewhere + "/application")
	return b
}

// application serves a page and its script.
func application(script func() string) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /application", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><title>Files</title><link rel="icon" href="data:,"><input type="file"><script src="/application.js"></script>`)
	})
	mux.HandleFunc("GET /application.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = io.WriteString(w, script())
	})
	return mux
}

// signIn gives the page the session cookie.
func (b *tab) signIn() {
	b.t.Helper()
	if status := value[int](b, `fetch('/v1/session', {method: 'POST', headers: {Authorization: 'Bearer ' + `+quoted(stack.value["SLUICE_TOKEN"])+`}}).then(r => r.status)`); status != http.StatusNoContent {
		b.t.Fatalf("POST /v1/session answered %d", status)
	}
}

// pick chooses a file in the page's input.
func (b *tab) pick(path string) {
	b.t.Helper()
	b.do(chromedp.Click("input"))
	b.choose(path)
}

// The simple protocol's client code, in the browser.
func TestTheSimpleProtocolInABrowser(t *testing.T) {
	b := openApplication(t, source(t, "simple.js"))
	b.signIn()
	b.pick(file(t, "me.jpg", withComment(photo(t), t.Name())))
	const chosen = `document.querySelector('input').files[0]`
	b.until(chosen)
	if said := value[string](b, `confirmUpload('uploads/none.jpg').catch(error => error.message)`); said != "File not found in storage" {
		t.Errorf("confirming nothing: %s", said)
	}
	for name, send := range map[string]string{
		"fetch": `upload(` + chosen + `)`,
		"XHR":   `uploadWithProgress(` + chosen + `, percent => { (window.seen ??= []).push(percent); })`,
	} {
		t.Run(name, func(t *testing.T) {
			key := value[string](b, send)
			location := value[string](b, `confirmUpload(`+quoted(key)+`)`)
			if u := wait(t, idOf(key), settled); u.State != "ready" || u.URL != location {
				t.Errorf("it is %+v, confirmed as %s", u, location)
			}
		})
	}
	if seen := value[[]int](b, `window.seen`); len(seen) == 0 || seen[len(seen)-1] != 100 {
		t.Errorf("the progress was %v", seen)
	}
}

// The simple protocol's parts, which the page cuts as it likes and sends all at once.
func TestTheSimpleProtocolInParts(t *testing.T) {
	b := openApplication(t, source(t, "simple.js"))
	b.signIn()
	b.pick(file(t, "large.jpg", padded(t, 12<<20)))
	const chosen = `document.querySelector('input').files[0]`
	b.until(chosen)
	sent := value[struct{ Key, FileURL string }](b, `uploadInParts(`+chosen+`, 5 * 2 ** 20)`)
	if u := wait(t, idOf(sent.Key), settled); u.State != "ready" || u.URL != sent.FileURL || u.Filename != "large.jpg" {
		t.Errorf("it is %+v, completed as %s", u, sent.FileURL)
	}
	said := value[string](b, `uploadInParts(new File(['x'], 'small.jpg', {type: 'image/gif'}), 1).catch(error => String(error))`)
	if said == "" {
		t.Error("a type that is not allowed is taken")
	}
}
