// Package web is Sluice in a browser: the page at / and the client that it is built on, /client.js, which other
// pages may import too. Everything is plain files, served as they lie in assets: there is no build step.
//
// The page keeps its credentials in the session cookie that the API gives out, and sends files straight to object
// storage. Its Content-Security-Policy lets it do that and nothing else.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// Config is what is served.
type Config struct {
	Page bool `help:"Serve the page for uploading at /." default:"true" negatable:""`
}

// Elsewhere are the URLs of other origins that the page works with. Only their origins count.
type Elsewhere struct {
	Storage string // where presigned requests go
	Media   string // where published files are
}

// types are the media types of what is in assets, by the ends of the names. TypeScript has none that is registered.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".ts":   "text/plain; charset=utf-8",
	".svg":  "image/svg+xml",
}

const index = "index.html"

// Site is the files, ready to be served.
type Site struct {
	files map[string]file // by mux pattern
}

// New reads the files.
func New(c Config, e Elsewhere) (*Site, error) {
	policy, err := contentSecurityPolicy(e)
	if err != nil {
		return nil, err
	}
	root, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, fmt.Errorf("opening the page's files: %w", err)
	}
	s := &Site{files: map[string]file{}}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !c.Page && !isClient(name) {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return fmt.Errorf("reading the page's %s: %w", name, err)
		}
		f := file{body: body, etag: etag(body), mediaType: types[path.Ext(name)], shared: isClient(name)}
		if name == index {
			f.policy, name = policy, "{$}"
		}
		s.files["GET /"+name] = f
		return nil
	})
	return s, err
}

// Mount adds the files to mux, an exact pattern each, so that no path of the API's is in their shadow.
func (s *Site) Mount(mux *http.ServeMux) {
	for pattern, f := range s.files {
		mux.Handle(pattern, f)
	}
}

// isClient tells the client for any page from what belongs to Sluice's own.
func isClient(name string) bool {
	return strings.HasPrefix(name, "client.") || strings.HasPrefix(name, "client/")
}

// file is one of the files. Its name says nothing of its content, so browsers ask each time whether it has changed.
type file struct {
	body      []byte
	etag      string
	mediaType string
	policy    string // Content-Security-Policy, of documents only
	shared    bool   // pages of any origin may import it
}

// ServeHTTP implements http.Handler.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if f.shared {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}
