package api

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/sagas"
)

// signed is where Uppy is to send a request.
type signed struct {
	URL, Key string
	Headers  map[string]string
}

func (b *testBundle) sign(body string) signed {
	b.t.Helper()
	return answer[signed](b.t, b.call("POST", "/s3/sign", body, b.as(b.token)...))
}

// goTo sends a request where it was signed to, without any other credential.
func (b *testBundle) goTo(method string, s signed, body string) response {
	b.t.Helper()
	path, ok := strings.CutPrefix(s.URL, b.url)
	if !ok {
		b.t.Fatalf("%s is not of this service", s.URL)
	}
	return b.call(method, path, body, "Content-Type", xmlType)
}

// spelled decodes an answer of S3's.
func spelled[T any](t testing.TB, res response) (v T) {
	t.Helper()
	if res.status != http.StatusOK || res.header.Get("Content-Type") != xmlType {
		t.Fatalf("%d %s %s", res.status, res.header.Get("Content-Type"), res.body)
	}
	if err := xml.Unmarshal(res.body, &v); err != nil {
		t.Fatalf("decoding %s: %v", res.body, err)
	}
	return v
}

// wantS3Error holds a refusal to what Uppy reads of it.
func wantS3Error(t testing.TB, res response, status int) s3Failure {
	t.Helper()
	var e s3Failure
	if err := xml.Unmarshal(res.body, &e); err != nil || e.Code == "" || e.Message == "" || e.RequestID == "" {
		t.Fatalf("%d %s is not an error as S3's (%v)", res.status, res.body, err)
	}
	if res.status != status {
		t.Errorf("%d %s, want %d", res.status, res.body, status)
	}
	if got := res.header.Get("Content-Type"); got != xmlType {
		t.Errorf("content type %q", got)
	}
	return e
}

// startSigned begins an upload of film in parts, as Uppy does.
func (b *testBundle) startSigned() (u begunParts, create signed) {
	b.t.Helper()
	create = b.sign(`{"method":"POST","key":"a b.mp4","contentType":"video/mp4","size":` + strconv.Itoa(len(film)) + `,"metadata":{"take":3,"tags":["a"]}}`)
	created := spelled[s3Created](b.t, b.goTo("POST", create, ""))
	if created.Key != create.Key || created.UploadID == "" || created.Bucket == "" {
		b.t.Fatalf("created %+v", created)
	}
	return begunParts{Key: created.Key, UploadID: created.UploadID}, create
}

func (u begunParts) request(method string, more string) string {
	return fmt.Sprintf(`{"method":%q,"key":%q,"uploadId":%q%s}`, method, u.Key, u.UploadID, more)
}

// sendSigned sends film and returns its parts as Uppy lists them.
func (b *testBundle) sendSigned(u begunParts) (list []string) {
	b.t.Helper()
	for i, part := range slices.Collect(slices.Chunk(film, partSize)) {
		to := b.sign(u.request("PUT", `,"partNumber":`+strconv.Itoa(i+1)))
		if strings.HasPrefix(to.URL, b.url) || to.Key != u.Key {
			b.t.Fatalf("part %d goes to %+v", i+1, to)
		}
		res := b.put(v1.Permission{Method: http.MethodPut, URL: to.URL}, part)
		if res.status != http.StatusOK {
			b.t.Fatalf("part %d: %d %s", i+1, res.status, res.body)
		}
		list = append(list, fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, unquoted(res.header.Get("ETag"))))
	}
	return list
}

func completion(list ...string) string {
	return "<CompleteMultipartUpload>" + strings.Join(list, "") + "</CompleteMultipartUpload>"
}

func (b *testBundle) upload(id string) v1.Upload {
	b.t.Helper()
	res := b.call("GET", "/v1/uploads/"+id, "", b.as(b.token)...)
	if res.status != http.StatusOK {
		b.t.Fatalf("%d %s", res.status, res.body)
	}
	return decode[v1.Upload](b.t, res.body)
}

func TestSignRequestOfAWholeFile(t *testing.T) {
	b := newTestBundle(t)
	to := b.sign(`{"method":"PUT","key":"x","filename":"a.jpg","contentType":"image/jpeg","size":` + strconv.Itoa(len(picture)) + `,"metadata":{"album":"42"}}`)
	if _, ok := to.Headers["Content-Length"]; ok || to.Headers["Content-Type"] != "image/jpeg" {
		t.Errorf("headers %v", to.Headers)
	}
	u := b.upload(idOf(to.Key))
	if u.Filename != "a.jpg" || u.ContentType != "image/jpeg" || u.Size != int64(len(picture)) || u.Method != string(sagas.MethodPut) || fmt.Sprint(u.Metadata) != "map[album:42]" {
		t.Errorf("began %+v", u)
	}
	put := v1.Permission{Method: http.MethodPut, URL: to.URL, Headers: to.Headers}
	if res := b.put(put, append(slices.Clone(picture), 0)); res.status != http.StatusForbidden {
		t.Errorf("a byte more: %d %s", res.status, res.body)
	}
	for range 2 { // as when the first answer was lost
		if res := b.put(put, picture); res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
	}
	if res := b.call("POST", "/v1/uploads/"+u.ID+"/complete", "", b.as(b.token)...); res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}

	sizeless := b.sign(`{"method":"PUT","key":"b.png","contentType":"image/png"}`)
	if u := b.upload(idOf(sizeless.Key)); u.Filename != "b.png" || u.Size != 0 {
		t.Errorf("began %+v", u)
	}
}

func TestSignRequestOfParts(t *testing.T) {
	b := newTestBundle(t)
	u, create := b.startSigned()
	if again := spelled[s3Created](t, b.goTo("POST", create, "")); again.UploadID != u.UploadID || b.count() != 1 {
		t.Errorf("asked again it is %+v, of %d uploads", again, b.count())
	}
	if begun := b.upload(u.id()); begun.Filename != "a b.mp4" || begun.Size != int64(len(film)) || fmt.Sprint(begun.Metadata) != "map[take:3]" {
		t.Errorf("began %+v", begun)
	}
	list := b.sign(u.request("GET", ""))
	if none := spelled[s3Parts](t, b.goTo("GET", list, "")); len(none.Parts) != 0 || none.IsTruncated {
		t.Errorf("before any was sent: %+v", none)
	}
	sent := b.sendSigned(u)
	if got := spelled[s3Parts](t, b.goTo("GET", list, "")); len(got.Parts) != 3 || got.Parts[2].PartNumber != 3 || got.Parts[2].Size != 1000 ||
		!strings.Contains(sent[2], unquoted(got.Parts[2].ETag)) {
		t.Errorf("stored %+v of %s", got, sent)
	}

	done := b.sign(u.request("POST", ""))
	for range 2 {
		got := spelled[s3Completed](t, b.goTo("POST", done, completion(sent...)))
		if got.Key != u.Key || got.Location != mediaURL+"/"+u.Key || got.Bucket == "" || got.ETag == "" {
			t.Errorf("completed %+v", got)
		}
	}
	if got := b.upload(u.id()); got.State != string(sagas.Uploaded) {
		t.Errorf("it is %+v", got)
	}
	wantMessage(t, b.call("POST", "/s3/sign", u.request("PUT", `,"partNumber":1`), b.as(b.token)...), http.StatusConflict)
	if e := wantS3Error(t, b.goTo("GET", list, ""), http.StatusConflict); e.Code != uploadSettled.code {
		t.Errorf("listing afterwards: %+v", e)
	}
	wantS3Error(t, b.goTo("DELETE", b.sign(u.request("DELETE", "")), ""), http.StatusConflict)
}

func TestSignRequestAborts(t *testing.T) {
	b := newTestBundle(t)
	u, create := b.startSigned()
	abort := b.sign(u.request("DELETE", ""))
	for range 2 {
		if res := b.goTo("DELETE", abort, ""); res.status != http.StatusNoContent || len(res.body) != 0 {
			t.Fatalf("%d %s", res.status, res.body)
		}
	}
	if got := b.upload(u.id()); got.State != string(sagas.Aborted) {
		t.Errorf("it is %+v", got)
	}
	wantS3Error(t, b.goTo("POST", create, ""), http.StatusConflict)
}

func TestSignRequestBadInput(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	for body, status := range map[string]int{
		`{"key":"a.jpg","contentType":"image/jpeg"}`:                                                               422,
		`{"method":"PUT","contentType":"image/jpeg"}`:                                                              422,
		`{"method":"HEAD","key":"a.jpg","contentType":"image/jpeg"}`:                                               422,
		`{"method":"PUT","key":"","contentType":"image/jpeg"}`:                                                     422,
		`{"method":"PUT","key":"a\u0000.jpg","contentType":"image/jpeg"}`:                                          422,
		`{"method":"PUT","key":"../a.jpg","contentType":"image/jpeg"}`:                                             422,
		`{"method":"PUT","key":"a.jpg"}`:                                                                           422,
		`{"method":"PUT","key":"a.gif","contentType":"image/gif"}`:                                                 422,
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":-1}`:                                      422,
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":0}`:                                       422,
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":1.5}`:                                     422,
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":9007199254740991}`:                        413,
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":6000000000}`:                              422, // more than a single PUT takes
		`{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","partNumber":1}`:                                 422,
		`{"method":"GET","key":"a.jpg"}`:                                                                           422,
		`{"method":"DELETE","key":"a.jpg"}`:                                                                        422,
		`{"method":"POST","key":"a.mp4"}`:                                                                          422,
		`{"method":"POST","key":"a.mp4","contentType":"video/mp4","metadata":{"no name":"1"}}`:                     422,
		`{"method":"POST","key":"a.mp4","contentType":"video/mp4","filename":"` + strings.Repeat("a", 1025) + `"}`: 422,
	} {
		wantMessage(t, b.call("POST", "/s3/sign", body, as...), status)
	}
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads were begun by bad requests", n)
	}
	u, _ := b.startSigned()
	for _, more := range []string{`,"partNumber":0`, `,"partNumber":10001`, `,"partNumber":"1"`, ``} {
		wantMessage(t, b.call("POST", "/s3/sign", u.request("PUT", more), as...), http.StatusUnprocessableEntity)
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		wantMessage(t, b.call("POST", "/s3/sign", u.request(method, `,"partNumber":1`), as...), http.StatusUnprocessableEntity)
	}
	for _, names := range []begunParts{{u.Key, "none"}, {"uploads/none.mp4", u.UploadID}} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			wantMessage(t, b.call("POST", "/s3/sign", names.request(method, ""), as...), http.StatusNotFound)
		}
	}
}

// Only what adds up is joined, whatever the client lists.
func TestSignRequestCompletesWhatIsWhole(t *testing.T) {
	b := newTestBundle(t)
	u, _ := b.startSigned()
	sent := b.sendSigned(u)
	done := b.sign(u.request("POST", ""))
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"nothing":        {"", http.StatusBadRequest},
		"JSON":           {`{"parts":[]}`, http.StatusBadRequest},
		"another answer": {"<ListPartsResult></ListPartsResult>", http.StatusBadRequest},
		"half":           {completion(sent...)[:40], http.StatusBadRequest},
		"two":            {completion(sent...) + completion(sent...), http.StatusBadRequest},
		"an entity":      {`<!DOCTYPE a [<!ENTITY b "1">]>` + completion("<Part><PartNumber>&b;</PartNumber><ETag>a</ETag></Part>"), http.StatusBadRequest},
		"a text":         {completion("<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>"), http.StatusBadRequest},
		"deep":           {strings.Repeat("<a>", 100_000), http.StatusBadRequest},
		"too long":       {completion(sent...) + strings.Repeat(" ", maxPartList), http.StatusRequestEntityTooLarge},
		"none":           {completion(), http.StatusUnprocessableEntity},
		"too many":       {completion(strings.Repeat("<Part></Part>", 10_001)), http.StatusUnprocessableEntity},
		"too few":        {completion(sent[:2]...), http.StatusConflict},
		"a gap":          {completion(sent[0], sent[2]), http.StatusUnprocessableEntity},
		"wrong order":    {completion(sent[1], sent[0], sent[2]), http.StatusUnprocessableEntity},
		"no ETag":        {completion("<Part><PartNumber>1</PartNumber></Part>", sent[1], sent[2]), http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			wantS3Error(t, b.of(t).goTo("POST", done, c.body), c.status)
		})
	}
	if got := b.upload(u.id()); got.State != string(sagas.Initiated) {
		t.Fatalf("it is %+v", got)
	}
	spelled[s3Completed](t, b.goTo("POST", done, completion(sent...)))
}

// What is signed for this service is good for one operation on one upload, and only as long as a request to storage.
func TestAnErrandIsGoodForOneThing(t *testing.T) {
	b := newTestBundle(t)
	u, create := b.startSigned()
	other, _ := b.startSigned()
	errand, err := url.Parse(create.URL)
	if err != nil {
		t.Fatal(err)
	}
	token := errand.Query().Get(tokenParameter)
	for _, o := range operations(t) {
		if !strings.Contains(o.path, "{id}") || o.ID == s3Create.id || !accepts(o.Security, capabilityScheme) {
			continue
		}
		path, body := o.request(t, subject{id: u.id(), key: u.Key, uploadID: u.UploadID})
		wantRefused(t, o, b.answers(o, path, body, b.as(token)...), http.StatusForbidden)
		wantRefused(t, o, b.answers(o, path+"?token="+token, body), http.StatusForbidden)
	}
	wantS3Error(t, b.call("POST", s3Create.path(other.id())+"?token="+token, ""), http.StatusNotFound)
	wantS3Error(t, b.call("POST", s3Create.path(u.id())+"?token="+token+"x", ""), http.StatusUnauthorized)
	wantMessage(t, b.call("POST", "/s3/sign", u.request("GET", ""), b.as(token)...), http.StatusForbidden)
	if strings.Contains(b.log.String(), strings.Split(token, ".")[2]) {
		t.Error("a token is in the log")
	}
}

// Where the client reached the service, it comes again.
func TestErrandsLeadBack(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.TrustForwardedProto = true })
	ask := func(headers ...string) string {
		return answer[signed](t, b.call("POST", "/s3/sign", `{"method":"POST","key":"a.mp4","contentType":"video/mp4"}`, append(b.as(b.token), headers...)...)).URL
	}
	if got := ask("X-Forwarded-Proto", "https"); !strings.HasPrefix(got, strings.Replace(b.url, "http://", "https://", 1)+"/s3/uploads/") {
		t.Errorf("behind a proxy: %s", got)
	}
	b.serve(func(c *Config, _ *Deps) { c.PublicURL = "https://uploads.example.com/base/" })
	if got := ask(); !strings.HasPrefix(got, "https://uploads.example.com/base/s3/uploads/") {
		t.Errorf("with a public URL: %s", got)
	}
}

func FuzzCompletion(f *testing.F) {
	for _, seed := range []string{"", "<a/>", completion(), completion("<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"), "<?xml version=\"1.0\"?>" + completion("<Part/>")} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := decodeCompletion(body)
		if err != nil {
			return
		}
		var spelt bytes.Buffer
		for _, p := range parts {
			fmt.Fprintf(&spelt, "<Part><PartNumber>%d</PartNumber><ETag>", p.PartNumber)
			if err := xml.EscapeText(&spelt, []byte(p.ETag)); err != nil {
				t.Fatal(err)
			}
			spelt.WriteString("</ETag></Part>")
		}
		again, err := decodeCompletion([]byte(completion(spelt.String())))
		if err != nil || !slices.Equal(again, parts) {
			t.Errorf("%q is %+v, and again %+v (%v)", body, parts, again, err)
		}
	})
}
