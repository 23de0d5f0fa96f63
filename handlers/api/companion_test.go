package api

import (
	"bytes"
	"encoding/json"
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

// answer decodes what Uppy is told.
func answer[T any](t testing.TB, res response) T {
	t.Helper()
	if res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}
	return decode[T](t, res.body)
}

func wantMessage(t testing.TB, res response, status int) {
	t.Helper()
	var body struct {
		Message   string
		RequestID string `json:"requestId"`
	}
	if err := json.Unmarshal(res.body, &body); err != nil || body.Message == "" || body.RequestID == "" {
		t.Fatalf("%d %s is not an error as Companion's", res.status, res.body)
	}
	if res.status != status {
		t.Errorf("%d %s, want %d", res.status, res.body, status)
	}
	if got := res.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
}

// params is what s3/params answers.
type params struct {
	Method, URL string
	Fields      map[string]string
	Headers     map[string]string
	Expires     int
}

func (p params) permission() v1.Permission {
	return v1.Permission{Method: p.Method, URL: p.URL, Fields: p.Fields, Headers: p.Headers}
}

// begunParts is an upload in parts that Uppy has begun.
type begunParts struct{ Key, UploadID string }

func (u begunParts) path(rest string) string {
	return "/s3/multipart/" + url.PathEscape(u.UploadID) + rest + "?key=" + url.QueryEscape(u.Key)
}

func (u begunParts) id() string { return idOf(u.Key) }

func idOf(key string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(key, "uploads/"), ".")
	return id
}

func (b *testBundle) startUppy(metadata string) begunParts {
	b.t.Helper()
	body := `{"filename":"a.mp4","type":"video/mp4","metadata":` + metadata + `}`
	return answer[begunParts](b.t, b.call("POST", "/s3/multipart", body, b.as(b.token)...))
}

// sendUppy sends film in parts of its size and returns their list, the ETags as S3 spells them.
func (b *testBundle) sendUppy(u begunParts) (list []string) {
	b.t.Helper()
	for i, part := range slices.Collect(slices.Chunk(film, partSize)) {
		signed := answer[params](b.t, b.call("GET", u.path("/"+strconv.Itoa(i+1)), "", b.as(b.token)...))
		res := b.put(v1.Permission{Method: http.MethodPut, URL: signed.URL}, part)
		if res.status != http.StatusOK {
			b.t.Fatalf("part %d: %d %s", i+1, res.status, res.body)
		}
		list = append(list, fmt.Sprintf(`{"PartNumber":%d,"ETag":%q}`, i+1, res.header.Get("ETag")))
	}
	return list
}

func partsBody(list ...string) string { return `{"parts":[` + strings.Join(list, ",") + `]}` }

func TestUppyForm(t *testing.T) {
	const path = "/s3/params?filename=a.jpg&type=image%2Fjpeg"
	for name, c := range map[string]struct {
		more   string
		status int // of a file that is a byte too long
		size   int64
		notes  map[string]string
	}{
		"version 5":         {"&metadata[name]=a.jpg&metadata[type]=image/jpeg&metadata[album]=42", 201, 0, map[string]string{"album": "42"}},
		"version 6":         {"&metadata[relativePath]=null&metadata[name]=a.jpg", 201, 0, map[string]string{}},
		"no metadata":       {"", 201, 0, map[string]string{}},
		"the size is known": {"&metadata[size]=" + strconv.Itoa(len(picture)), 400, int64(len(picture)), map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			p := answer[params](t, b.call("GET", path+c.more, "", b.as(b.token)...))
			if p.Method != http.MethodPost || !strings.HasSuffix(p.URL, "/") || p.Fields["success_action_status"] != "201" || p.Expires < 800 || p.Expires > 900 {
				t.Fatalf("answered %+v", p)
			}
			u := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+idOf(p.Fields["key"]), "", b.as(b.token)...).body)
			if u.Filename != "a.jpg" || u.ContentType != "image/jpeg" || u.Size != c.size || u.State != "initiated" || fmt.Sprint(u.Metadata) != fmt.Sprint(c.notes) {
				t.Errorf("began %+v", u)
			}
			if res := b.post(p.permission(), append(slices.Clone(picture), 0)); res.status != c.status {
				t.Errorf("a byte more: %d %s", res.status, res.body)
			}
			if res := b.post(p.permission(), picture); res.status != http.StatusCreated || res.header.Get("Location") == "" || res.header.Get("ETag") == "" {
				t.Fatalf("%d %v %s", res.status, res.header, res.body)
			}
			if res := b.call("POST", "/confirm-upload", `{"key":"`+p.Fields["key"]+`"}`, b.as(b.token)...); res.status != http.StatusOK {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
}

func TestUppyParts(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	u := b.startUppy(`{"relativePath":null,"name":"a.mp4","type":"video/mp4","take":3,"good":true,"tags":["a"]}`)
	begun := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", as...).body)
	if begun.Method != "multipart" || begun.Size != 0 || fmt.Sprint(begun.Metadata) != "map[good:true take:3]" {
		t.Errorf("began %+v", begun)
	}
	if res := b.call("GET", u.path(""), "", as...); res.status != http.StatusOK || string(bytes.TrimSpace(res.body)) != "[]" {
		t.Errorf("parts before any was sent: %d %s", res.status, res.body)
	}
	batch := answer[struct {
		PresignedURLs map[string]string `json:"presignedUrls"`
		Expires       int
	}](t, b.call("GET", u.path("/batch")+"&partNumbers=7,3", "", as...))
	if len(batch.PresignedURLs) != 2 || !strings.Contains(batch.PresignedURLs["3"], "partNumber=3&") || batch.Expires < 3500 {
		t.Errorf("a batch is %+v", batch)
	}

	list := b.sendUppy(u)
	stored := answer[[]companionPart](t, b.call("GET", u.path(""), "", as...))
	if len(stored) != 3 || stored[2].PartNumber != 3 || stored[2].Size != 1000 || !strings.Contains(list[2], strconv.Quote(stored[2].ETag)) {
		t.Errorf("stored %+v of %s", stored, list)
	}
	list[1] = strings.ReplaceAll(list[1], `\"`, "")
	for range 2 {
		done := answer[map[string]string](t, b.call("POST", u.path("/complete"), partsBody(list...), as...))
		want := map[string]string{"location": mediaURL + "/" + u.Key, "key": u.Key, "bucket": b.objects.Incoming}
		if fmt.Sprint(done) != fmt.Sprint(want) {
			t.Errorf("completed %v, want %v", done, want)
		}
	}
	if !bytes.Equal(b.object(u.Key), film) {
		t.Error("the object is not the file")
	}
	if got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", as...).body); got.State != "uploaded" {
		t.Errorf("it is %+v", got)
	}
	// A file that is taken off Uppy's list after it was sent stays.
	wantMessage(t, b.call("DELETE", u.path(""), "", as...), http.StatusConflict)
	wantMessage(t, b.call("GET", u.path("/1"), "", as...), http.StatusConflict)
}

func TestUppyListsWhatItHasSent(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	u := b.startUppy(`{"size":` + strconv.Itoa(len(film)) + `}`)
	if begun := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", as...).body); begun.Size != int64(len(film)) || len(begun.Metadata) != 0 {
		t.Errorf("began %+v", begun)
	}
	list := b.sendUppy(u)
	other := strings.Replace(list[1], `"ETag":"\"`, `"ETag":"\"0`, 1)
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"none":           {partsBody(), http.StatusUnprocessableEntity},
		"no list":        {`{}`, http.StatusUnprocessableEntity},
		"no body":        {``, http.StatusBadRequest},
		"no JSON":        {`{`, http.StatusBadRequest},
		"too few":        {partsBody(list[:2]...), http.StatusConflict},
		"one too many":   {partsBody(append(slices.Clone(list), `{"PartNumber":4,"ETag":"a"}`)...), http.StatusConflict},
		"a gap":          {partsBody(list[0], list[2]), http.StatusUnprocessableEntity},
		"wrong order":    {partsBody(list[1], list[0], list[2]), http.StatusUnprocessableEntity},
		"twice":          {partsBody(list[0], list[0], list[1]), http.StatusUnprocessableEntity},
		"another ETag":   {partsBody(list[0], other, list[2]), http.StatusConflict},
		"number 0":       {partsBody(`{"PartNumber":0,"ETag":"a"}`), http.StatusUnprocessableEntity},
		"a text":         {partsBody(`{"PartNumber":"1","ETag":"a"}`), http.StatusUnprocessableEntity},
		"an empty ETag":  {partsBody(`{"PartNumber":1,"ETag":""}`), http.StatusUnprocessableEntity},
		"a foreign type": {`[]`, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			wantMessage(t, b.call("POST", u.path("/complete"), c.body, as...), c.status)
		})
	}
	if got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", as...).body); got.State != "initiated" {
		t.Fatalf("it is %+v", got)
	}
	answer[map[string]string](t, b.call("POST", u.path("/complete"), partsBody(list...), as...))
}

func TestUppyAborts(t *testing.T) {
	b := newTestBundle(t)
	u := b.startUppy(`{}`)
	for range 2 {
		if res := b.call("DELETE", u.path(""), "", b.as(b.token)...); res.status != http.StatusOK || string(bytes.TrimSpace(res.body)) != "{}" {
			t.Fatalf("%d %s", res.status, res.body)
		}
	}
	if got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", b.as(b.token)...).body); got.State != "aborted" {
		t.Errorf("it is %+v", got)
	}
	wantMessage(t, b.call("POST", u.path("/complete"), partsBody(`{"PartNumber":1,"ETag":"a"}`), b.as(b.token)...), http.StatusConflict)
}

func TestUppyBadInput(t *testing.T) {
	b := newTestBundle(t)
	as := b.as(b.token)
	for query, status := range map[string]int{
		"": 422, "filename=a.jpg": 422, "type=image/jpeg": 422, "filename=&type=image/jpeg": 422,
		"filename=a%00.jpg&type=image/jpeg": 422, "filename=a.gif&type=image/gif": 422, "filename=%FF&type=image/jpeg": 422,
		"filename=" + strings.Repeat("a", 1025) + "&type=image/jpeg":              422,
		"filename=a.jpg&type=image/jpeg&metadata[size]=-1":                        422,
		"filename=a.jpg&type=image/jpeg&metadata[size]=0":                         422,
		"filename=a.jpg&type=image/jpeg&metadata[size]=1.5":                       422,
		"filename=a.jpg&type=image/jpeg&metadata[size]=9223372036854775808":       422,
		"filename=a.jpg&type=image/jpeg&metadata[size]=9223372036854775807":       413,
		"filename=a.jpg&type=image/jpeg&metadata[no%20name]=1":                    422,
		"filename=a.jpg&type=image/jpeg&metadata[a]=" + strings.Repeat("b", 1025): 422,
	} {
		wantMessage(t, b.call("GET", "/s3/params?"+query, "", as...), status)
	}
	for _, body := range []string{`{}`, `{"filename":"a.mp4"}`, `{"type":"video/mp4"}`, `{"filename":"a","type":"text/plain"}`, `{"filename":7,"type":"video/mp4"}`, `[]`, `null`, `{"filename":"a","type":"video/mp4","metadata":7}`} {
		if res := b.call("POST", "/s3/multipart", body, as...); res.status < 400 || res.status > 422 {
			t.Errorf("%s: %d %s", body, res.status, res.body)
		} else {
			wantMessage(t, res, res.status)
		}
	}
	if n := b.count(); n != 0 {
		t.Errorf("%d uploads were begun by bad requests", n)
	}
	u := b.startUppy(`{}`)
	for _, rest := range []string{"/0", "/10001", "/x", "/1.5"} {
		wantMessage(t, b.call("GET", u.path(rest), "", as...), http.StatusUnprocessableEntity)
	}
	for _, numbers := range []string{"", "0", "a", "1,", "1,1", "10001", strings.Repeat("1,", 100) + "1"} {
		wantMessage(t, b.call("GET", u.path("/batch")+"&partNumbers="+numbers, "", as...), http.StatusUnprocessableEntity)
	}
	wantMessage(t, b.call("GET", "/s3/multipart/"+u.UploadID+"/1", "", as...), http.StatusUnprocessableEntity)
}

// Both names of an upload must be right, and it must be the caller's.
func TestUppyUploadsOfOthersDoNotExist(t *testing.T) {
	b := newTestBundle(t)
	u, second := b.startUppy(`{}`), b.startUppy(`{}`)
	single := answer[params](t, b.call("GET", "/s3/params?filename=a.jpg&type=image/jpeg", "", b.as(b.token)...))
	for name, c := range map[string]struct {
		token string
		u     begunParts
	}{
		"another tenant's":          {token(t, "umbrella", "alice"), u},
		"another subject's":         {token(t, "acme", "bob"), u},
		"another upload's id":       {b.token, begunParts{u.Key, second.UploadID}},
		"no upload's id":            {b.token, begunParts{u.Key, "none"}},
		"no upload's key":           {b.token, begunParts{"uploads/none.mp4", u.UploadID}},
		"a key that cannot be":      {b.token, begunParts{"a\x00b", u.UploadID}},
		"an upload without parts":   {b.token, begunParts{single.Fields["key"], u.UploadID}},
		"another tenant's, batched": {token(t, "umbrella", "alice"), u},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range [][3]string{
				{"GET", c.u.path(""), ""}, {"GET", c.u.path("/1"), ""}, {"GET", c.u.path("/batch") + "&partNumbers=1", ""},
				{"POST", c.u.path("/complete"), partsBody(`{"PartNumber":1,"ETag":"a"}`)}, {"DELETE", c.u.path(""), ""},
			} {
				wantMessage(t, b.call(call[0], call[1], call[2], b.as(c.token)...), http.StatusNotFound)
			}
		})
	}
	for _, path := range []string{u.path(""), u.path("/1"), "/s3/params?filename=a.jpg&type=image/jpeg"} {
		wantMessage(t, b.call("GET", path, ""), http.StatusUnauthorized)
	}
	if got := decode[v1.Upload](t, b.call("GET", "/v1/uploads/"+u.id(), "", b.as(b.token)...).body); got.State != string(sagas.Initiated) {
		t.Errorf("it is %+v", got)
	}
}

// A link on another page must not begin uploads in the name of whoever follows it.
func TestUppyFormsAreForTheOwnPage(t *testing.T) {
	b := newTestBundle(t)
	const path = "/s3/params?filename=a.jpg&type=image/jpeg"
	session := sessionCookie + "=" + b.token
	for site, status := range map[string]int{"same-origin": 200, "none": 200, "same-site": 403, "cross-site": 403} {
		res := b.call("GET", path, "", "Cookie", session, "Sec-Fetch-Site", site)
		if res.status != status {
			t.Errorf("from %s: %d %s", site, res.status, res.body)
		}
	}
	wantMessage(t, b.call("GET", path, "", "Cookie", session, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	if res := b.call("GET", path, "", append(b.as(b.token), "Sec-Fetch-Site", "cross-site")...); res.status != http.StatusOK {
		t.Errorf("with a token: %d %s", res.status, res.body)
	}
}
