package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"
)

var elsewhere = Elsewhere{Storage: "https://in.s3.example.com/bucket", Media: "https://media.example.com/files"}

func newServer(t *testing.T, c Config) *httptest.Server {
	t.Helper()
	site, err := New(c, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	site.Mount(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, url string, headers ...string) (status int, header http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header
}

func TestEveryFileIsServedAsWhatItIs(t *testing.T) {
	server := newServer(t, Config{Page: true})
	for name, want := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/client.js":   "text/javascript; charset=utf-8",
		"/client.d.ts": "text/plain; charset=utf-8",
		"/icon.svg":    "image/svg+xml",
		"/page/app.js": "text/javascript; charset=utf-8",
	} {
		status, h := get(t, server.URL+name)
		if status != http.StatusOK || h.Get("Content-Type") != want || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v", name, status, h)
		}
		if status, _ := get(t, server.URL+name, "If-None-Match", h.Get("ETag")); status != http.StatusNotModified {
			t.Errorf("%s: %d for its own ETag", name, status)
		}
		if shared := h.Get("Access-Control-Allow-Origin") == "*"; shared != strings.HasPrefix(name, "/client") {
			t.Errorf("%s: other origins may import it: %t", name, shared)
		}
	}
	err := fs.WalkDir(assets, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && types[path.Ext(name)] == "" {
			t.Errorf("%s has no media type", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotThereIsLeftToTheAPI(t *testing.T) {
	server := newServer(t, Config{Page: true})
	for _, path := range []string{"/index.html", "/assets/index.html", "/page", "/page/", "/page/none.js", "/client/../page/app.js/x", "/v1/uploads", "/tests/pure.test.js", "/package.json"} {
		if status, _ := get(t, server.URL+path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestWithoutThePageThereIsTheClient(t *testing.T) {
	server := newServer(t, Config{})
	for path, want := range map[string]int{"/": 404, "/page/app.js": 404, "/icon.svg": 404, "/client.js": 200, "/client/api.js": 200} {
		if status, _ := get(t, server.URL+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestThePolicyLetsThePageDoWhatItNeeds(t *testing.T) {
	_, header := get(t, newServer(t, Config{Page: true}).URL+"/")
	policy := header.Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: https://media.example.com",
		"connect-src 'self' https://in.s3.example.com", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
	} {
		if !strings.Contains(policy+";", want+";") {
			t.Errorf("no %q in %q", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, bad := range []string{"", "media", "ftp://x", "https://x; script-src *", "https://*"} {
		if _, err := New(Config{}, Elsewhere{Storage: elsewhere.Storage, Media: bad}); err == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
}

var markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)

// The policy would stop it, in browsers that know all of the policy.
func TestNoTextBecomesMarkup(t *testing.T) {
	err := fs.WalkDir(assets, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := assets.ReadFile(name)
		if found := markup.Find(body); found != nil {
			t.Errorf("%s: %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	page, err := assets.ReadFile("assets/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`<style|style="|<script>|\son\w+="`).Find(page); found != nil {
		t.Errorf("index.html: the policy forbids %s", found)
	}
}

// The tests of the scripts, by Node's own runner.
func TestScripts(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "node", "--test", "tests/")
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
