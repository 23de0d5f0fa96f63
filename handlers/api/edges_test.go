package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// badValues are what no parameter of that name takes, as it is written in a query.
var badValues = map[string][]string{
	"wait": {
		"wait=-1s", "wait=0s", "wait=61s", "wait=1h", "wait=30", "wait=NaN", "wait=1e3s", "wait=9223372036854775808s", "wait=%00", "wait=30s%00",
		"wait=" + strings.Repeat("9", 4096) + "s", "wait=%FF",
	},
	"after":          {"after=-1", "after=1.5", "after=NaN", "after=9223372036854775808", "after=1%00", "after=0x1", "after=" + strings.Repeat("1", 4096), "after=%EF%BC%91"},
	"limit":          {"limit=0", "limit=-1", "limit=101", "limit=9223372036854775808", "limit=NaN", "limit=1.0", "limit=%00", "limit=1e1"},
	"cursor":         {"cursor=!", "cursor=AAAA", "cursor=%00", "cursor=" + strings.Repeat("A", 65), "cursor=" + strings.Repeat("_", 32), "cursor=..%2F"},
	"state":          {"state=nonsense", "state=READY", "state=ready,nonsense", "state=ready&state=nonsense", "state=%00", "state=" + strings.Repeat("a", 4096)},
	"created_after":  {"created_after=yesterday", "created_after=2026-13-01T00:00:00Z", "created_after=9223372036854775808", "created_after=%00", "created_after=2026-01-01"},
	"created_before": {"created_before=NaN", "created_before=2026-01-01T25:00:00Z", "created_before=-1", "created_before=10000-01-01T00:00:00Z"},
	"filename": {
		"filename=", "filename=%20", "filename=%00", "filename=%FF", "filename=" + strings.Repeat("a", 1025), "filename=..%2Fa", "filename=a%E2%80%AEgpj.exe",
		"filename=a%E2%80%8B.jpg", "filename=a%0D%0A",
	},
	"type": {"type=", "type=text/html", "type=image/jpeg%3B%20charset=utf-8", "type=image/jpeg%00", "type=IMAGE/JPEG", "type=image/jpeg%0D%0AX:1", "type=" + strings.Repeat("a", 4096)},
	"metadata": {
		"metadata[size]=-1", "metadata[size]=0", "metadata[size]=NaN", "metadata[size]=1.5", "metadata[size]=9223372036854775808", "metadata[size]=7&metadata[size]=7",
		"metadata[a]=%00", "metadata[a%20b]=x", "metadata[]=x", "metadata[a]=" + strings.Repeat("a", 1025), "metadata[%FF]=x",
	},
	"key":         {"key=", "key=%00", "key=..%2Fx", "key=uploads%2Fnothing.jpg", "key=" + strings.Repeat("k", 4096), "key=%FF"},
	"partNumbers": {"partNumbers=", "partNumbers=0", "partNumbers=-1", "partNumbers=1,1", "partNumbers=1,,2", "partNumbers=NaN", "partNumbers=9223372036854775808", "partNumbers=" + strings.Repeat("1,", 101) + "1", "partNumbers=1%00"},
}

// replaced is the path with another value of a query parameter, which is written already.
func replaced(t testing.TB, path, name, raw string) string {
	t.Helper()
	where, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	query := where.Query()
	for other := range query {
		if other == name || strings.HasPrefix(other, name+"[") {
			query.Del(other)
		}
	}
	where.RawQuery = strings.TrimPrefix(query.Encode()+"&"+raw, "&")
	return where.String()
}

// Whatever a parameter is not, the caller is told, and nothing comes of it.
func TestBadQueriesAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	for _, o := range operations(t) {
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			u := b.subject()
			path, body := o.request(t, u)
			credential := b.credential(o)
			before := b.everything()
			want := func(status int, name, raw string) {
				t.Helper()
				res := b.answers(o, replaced(t, path, name, raw), body, credential...)
				if slices.Contains(o.Tags, simpleTag) && status == http.StatusUnprocessableEntity {
					status = http.StatusBadRequest // all that its clients know
				}
				if status == 0 && res.status >= 400 && res.status < 500 {
					status = res.status
				}
				if res.status != status {
					t.Errorf("%.100s: %d %s", raw, res.status, res.body)
					return
				}
				wantRefused(t, o, res, status)
			}
			for _, p := range o.Parameters {
				if p.In != "query" {
					continue
				}
				values, ok := badValues[p.Name]
				if !ok {
					t.Errorf("no bad values of %s are known", p.Name)
				}
				for _, raw := range values {
					want(0, p.Name, raw)
				}
				if p.Schema.Type != "array" && len(p.Schema.Examples) > 0 {
					one := url.Values{p.Name: {u.in(asParameter(t, p.Schema.Examples[0]))}}.Encode()
					want(http.StatusUnprocessableEntity, p.Name, one+"&"+one)
				}
			}
			if len(o.Security) > 0 { // of the others some answer before they look
				want(http.StatusUnprocessableEntity, "x", "x=1&x=2")
				want(http.StatusBadRequest, "x", "x=%zz")
				want(http.StatusBadRequest, "x", "x=1;y=2")
			}
			if b.everything() != before {
				t.Error("a bad query changed something")
			}
		})
	}
}

// What is not exactly the name of one's upload names nothing.
func TestBadPathsAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	for _, o := range operations(t) {
		for _, p := range o.Parameters {
			if p.In != "path" {
				continue
			}
			t.Run(o.ID+"/"+p.Name, func(t *testing.T) {
				b := b.of(t)
				u := b.subject()
				good, body := o.request(t, u)
				value := map[string]string{"id": u.id, "uploadId": u.uploadID, "number": "1", "pass": u.pass}[p.Name]
				if value == "" {
					t.Fatalf("no value of %s is known", p.Name)
				}
				before := b.everything()
				others := []string{
					"", "/", "%2F", "..", ".", "%2E%2E", "..%2F..", "%00", value + "%00", "%FF", "%20" + value, value + "%20", "-1", "0", "NaN", "9223372036854775808",
					"{" + value + "}", strings.Repeat("a", 4096), uuid.NewString(), "*", "%25", "1.0", "%EF%BC%91",
				}
				if upper := strings.ToUpper(value); upper != value {
					others = append(others, upper)
				}
				for _, other := range others {
					// Of a path, the value is between slashes or at its end.
					path := strings.Replace(good, "/"+url.PathEscape(value), "/"+other, 1)
					req, err := http.NewRequest(o.method, b.url+path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					setHeaders(req, append(b.as(b.token), "Content-Type", "application/json"))
					res := b.do(req)
					if res.status != http.StatusNotFound && res.status != http.StatusUnprocessableEntity && res.status != http.StatusMethodNotAllowed {
						t.Errorf("%.60s: %d %s", other, res.status, res.body)
					}
					if res.header.Get("Location") != "" || len(res.body) == 0 {
						t.Errorf("%.60s: %d %v %s", other, res.status, res.header, res.body)
					}
				}
				if b.everything() != before {
					t.Error("a bad path changed something")
				}
			})
		}
	}
}

// A path takes the methods that the document has for it, and says which they are.
func TestOtherMethodsAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	u := b.subject()
	takes := map[string][]string{}
	for _, o := range operations(t) {
		path, _ := o.request(t, u)
		takes[path] = append(takes[path], o.method)
		if o.method == http.MethodGet {
			if o.ID == "stream-upload" || o.ID == "uppy-params" {
				res := b.call(http.MethodHead, path, "", b.credential(o)...)
				if res.status != http.StatusMethodNotAllowed || res.header.Get("Allow") != http.MethodGet {
					t.Errorf("HEAD %s: %d %v", path, res.status, res.header)
				}
			} else if res := b.call(http.MethodHead, path, "", b.credential(o)...); !granted(res) || len(res.body) > 0 {
				t.Errorf("HEAD %s: %d %s", path, res.status, res.body)
			}
		}
	}
	before := b.everything()
	for path, methods := range takes {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} {
			if slices.ContainsFunc(operations(t), func(o operation) bool { return o.matches(method, path) }) {
				continue
			}
			res := b.call(method, path, "", b.as(b.token)...)
			wantProblem(t, res, http.StatusMethodNotAllowed, "method_not_allowed")
			allow := strings.Split(res.header.Get("Allow"), ", ")
			for _, m := range methods {
				if !slices.Contains(allow, m) {
					t.Errorf("%s %s: Allow is %q, without %s", method, path, allow, m)
				}
			}
		}
	}
	if b.everything() != before {
		t.Error("a method that is not taken changed something")
	}
}

// Pages of the allowed origins may call everything, with every header that it takes; others nothing.
func TestPreflightsAtEveryRoute(t *testing.T) {
	const allowed = "https://app.example.com"
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.AllowedOrigins = []string{allowed} })
	u := b.subject()
	for _, o := range operations(t) {
		path, body := o.request(t, u)
		asked := []string{"authorization", "content-type"}
		for _, p := range o.Parameters {
			if p.In == "header" {
				asked = append(asked, strings.ToLower(p.Name))
			}
		}
		slices.Sort(asked) // as browsers do, and the Fetch standard wants
		preflight := []string{"Access-Control-Request-Method", o.method, "Access-Control-Request-Headers", strings.Join(asked, ",")}
		for origin, want := range map[string]string{
			allowed: allowed, "https://evil.example.com": "", "null": "", "http://app.example.com": "", allowed + ".evil.com": "", "https://APP.example.com.": "",
		} {
			res := b.call(http.MethodOptions, path, "", append(preflight, "Origin", origin)...)
			if got := res.header.Get("Access-Control-Allow-Origin"); got != want || res.status >= 500 {
				t.Errorf("%s from %s: %d, allowed to %q", o.ID, origin, res.status, got)
			}
			if want != "" && (res.header.Get("Access-Control-Allow-Methods") != o.method || res.header.Get("Access-Control-Allow-Credentials") != "") {
				t.Errorf("%s from %s: %v", o.ID, origin, res.header)
			}
			if o.ID == "stream-upload" {
				continue
			}
			res = b.call(o.method, path, body, "Origin", origin) // without a credential, and so without effect
			if got := res.header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %s: %d, shown to %q", o.ID, origin, res.status, got)
			}
		}
	}
}
