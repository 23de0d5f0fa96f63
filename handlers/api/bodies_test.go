package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Whatever is not the JSON of the operation is refused in its clients' terms, and nothing comes of it.
func TestBadBodiesAtEveryRoute(t *testing.T) {
	b := newTestBundle(t)
	for _, o := range operations(t) {
		if !o.takesJSON() {
			continue
		}
		t.Run(o.ID, func(t *testing.T) {
			b := b.of(t)
			path, good := o.request(t, b.subject())
			before := b.everything()
			for name, body := range badBodies(t, o, good) {
				res := b.call(o.method, path, body, b.as(b.token)...)
				if res.status < 400 || res.status >= 500 || res.status == http.StatusNotFound || res.status == http.StatusConflict {
					t.Errorf("%s: %d %s", name, res.status, res.body)
					continue
				}
				if name == "too long" {
					wantRefused(t, o, res, http.StatusRequestEntityTooLarge)
				}
				wantRefused(t, o, res, res.status)
				if b.everything() != before {
					t.Fatalf("%s changed something", name)
				}
			}
			for _, encoding := range []string{"gzip", "br", "identity, gzip"} {
				res := b.call(o.method, path, gzipped(t, good), append(b.as(b.token), "Content-Encoding", encoding)...)
				wantRefused(t, o, res, http.StatusUnsupportedMediaType)
			}
			for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml", "application/jsonp"} {
				if slices.Contains(o.Tags, simpleTag) {
					break // its clients call it anything
				}
				res := b.call(o.method, path, good, append(b.as(b.token), "Content-Type", contentType)...)
				wantRefused(t, o, res, http.StatusUnsupportedMediaType)
			}
			res := b.chunked(o.method, path, good+strings.Repeat(" ", maxPartList))
			wantRefused(t, o, res, http.StatusRequestEntityTooLarge)
			if b.everything() != before {
				t.Error("a body that cannot be read changed something")
			}
		})
	}
}

// badBodies are what a good one is spoilt to.
func badBodies(t testing.TB, o operation, good string) map[string]string {
	t.Helper()
	bodies := map[string]string{
		"half": good[:len(good)/2], "two": good + good, "something after it": good + "]", "byte order mark": "\ufeff" + good,
		"list": "[" + good + "]", "text": `"x"`, "number": "7", "null": "null", "blank": "  ", "NUL": "\x00",
		"not UTF-8": strings.Replace(good, `{"`, "{\"\xff\":1,\"", 1), "lone surrogate": strings.Replace(good, `{"`, `{"\ud800":1,"`, 1),
		"deep": strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001), "too long": good + strings.Repeat(" ", maxPartList),
		"deep list":          strings.Replace(good, `{"`, `{"x":`+strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)+`,"`, 1),
		"twice, where deep":  strings.Replace(good, `{"`, `{"x":[{"y":{"a":1,"a":1}}],"`, 1),
		"not UTF-8 in value": strings.Replace(good, `{"`, "{\"x\":\"\xff\",\"", 1),
	}
	if o.RequestBody.Required {
		bodies["nothing"] = ""
		bodies["empty"] = "{}"
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(good), &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		member := `"` + name + `":` + string(value)
		bodies[name+" twice"] = strings.Replace(good, member, member+","+member, 1)
		for _, other := range []string{"null", "true", `{"a":1}`, `-1`, "0", "1.5", "1e3", "9223372036854775808", `""`, "[]", `[null]`, `[{}]`, `"a\u0000b"`} {
			bodies[name+" of "+other] = strings.Replace(good, member, `"`+name+`":`+other, 1)
		}
		if o.RequestBody.Required {
			bodies[name+" in capitals"] = strings.Replace(good, `"`+name+`"`, `"`+strings.ToUpper(name)+`"`, 1)
		}
	}
	if !o.RequestBody.Required { // these say nothing, and nothing needs to be said
		maps.DeleteFunc(bodies, func(name, _ string) bool {
			return slices.Contains([]string{"null", "parts of null", "parts of []"}, name)
		})
	}
	return bodies
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	if closeErr := w.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	return out.String()
}

// chunked is alice's call with a body whose length is not told.
func (b *testBundle) chunked(method, path, body string) response {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	setHeaders(req, append(b.as(b.token), "Content-Type", "application/json"))
	res := b.do(req)
	wantDocumented(b.t, method, path, res)
	return res
}

// Whatever comes as a body, nothing breaks, and an upload is begun by JSON alone.
func FuzzBegin(f *testing.F) {
	for _, body := range []string{
		declaring(picture), declaringFilm(""), with("sha256", `"`+strings.Repeat("a", 64)+`"`), with("metadata", `{"a":"1"}`),
		with("method", `"post"`), with("filename", `"\u202e"`), with("size", "1e3"), with("size", "9223372036854775808"),
		"", "{}", "null", "[]", `{"size":7,"size":7}`, "{\"filename\":\"\xff\"}", strings.Repeat("[", 20_000),
	} {
		f.Add([]byte(body))
	}
	b := newTestBundle(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		b := b.of(t)
		before := b.count()
		res := b.call("POST", "/v1/uploads", string(body), b.as(b.token)...)
		want := 0
		switch {
		case res.status == http.StatusCreated:
			want = 1
			if !json.Valid(body) {
				t.Errorf("%q began an upload", body)
			}
		case res.status < 400 || res.status >= 500:
			t.Errorf("%q: %d %s", body, res.status, res.body)
		}
		if got := b.count() - before; got != want {
			t.Errorf("%q: %d, and %d uploads", body, res.status, got)
		}
	})
}
