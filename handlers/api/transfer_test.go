package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

const partSize = 8 << 20 // bytes: of files of this size

// film takes three parts, of which the last is small.
var film = bytes.Repeat([]byte("not really a film. "), (2*partSize+1000)/19+1)[:2*partSize+1000]

func declaringFilm(more string) string {
	sum := sha256.Sum256(film)
	return fmt.Sprintf(`{"filename":"a.mp4","content_type":"video/mp4","size":%d,"sha256":"%x","method":"multipart"%s}`, len(film), sum, more)
}

// putPart sends a part of data as p permits it.
func (b *testBundle) putPart(p v1.SignedPart, data []byte) response {
	b.t.Helper()
	return b.put(v1.Permission{Method: http.MethodPut, URL: p.URL, Headers: p.Headers}, data[p.Offset:p.Offset+p.Size])
}

// sendParts sends the given parts of film, each as it was signed at first.
func (b *testBundle) sendParts(u v1.Begun, numbers ...int) {
	b.t.Helper()
	for _, number := range numbers {
		if res := b.putPart(u.Permission.Parts[number-1], film); res.status != http.StatusOK {
			b.t.Fatalf("part %d: %d %s", number, res.status, res.body)
		}
	}
}

func (b *testBundle) complete(id, body string) response {
	b.t.Helper()
	return b.call("POST", "/v1/uploads/"+id+"/complete", body, b.as(b.token)...)
}

func (b *testBundle) listParts(id string) v1.StoredParts {
	b.t.Helper()
	res := b.call("GET", "/v1/uploads/"+id+"/parts", "", b.as(b.token)...)
	if res.status != http.StatusOK {
		b.t.Fatalf("%d %s", res.status, res.body)
	}
	return decode[v1.StoredParts](b.t, res.body)
}

func (b *testBundle) object(key string) []byte {
	b.t.Helper()
	body, err := b.objects.Get(context.Background(), storage.Ref{Bucket: b.objects.Incoming, Key: key})
	if err != nil {
		b.t.Fatal(err)
	}
	defer body.Close() //nolint:errcheck // it is only read
	data, err := io.ReadAll(body)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func TestMultipart(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaringFilm(""))
	p := u.Permission
	if u.Method != "multipart" || p.Method != http.MethodPut || p.URL != "" || p.PartSize != partSize || p.PartCount != 3 || len(p.Parts) != 3 {
		t.Fatalf("began %+v", u)
	}
	if lives := time.Until(u.ExpiresAt); lives < 23*time.Hour || !p.ExpiresAt.Before(u.ExpiresAt) {
		t.Errorf("parts until %s of an upload until %s", p.ExpiresAt, u.ExpiresAt)
	}
	if got := b.listParts(u.ID); got.PartSize != partSize || got.PartCount != 3 || len(got.Parts) != 0 {
		t.Errorf("parts before any was sent: %+v", got)
	}
	b.sendParts(u, 3, 1)
	got := b.listParts(u.ID)
	if len(got.Parts) != 2 || got.Parts[0].Number != 1 || got.Parts[0].Size != partSize || got.Parts[1].Number != 3 || got.Parts[1].Size != 1000 {
		t.Errorf("parts after 3 and 1 were sent: %+v", got)
	}

	res := b.call("POST", "/v1/uploads/"+u.ID+"/parts", `{"parts":[{"number":2}]}`, b.as(b.token)...)
	more := decode[v1.SignedParts](t, res.body)
	if res.status != http.StatusOK || len(more.Parts) != 1 || more.Parts[0].Number != 2 || more.Parts[0].Offset != partSize || more.Parts[0].Size != partSize {
		t.Fatalf("%d %s", res.status, res.body)
	}
	if res := b.putPart(more.Parts[0], film); res.status != http.StatusOK {
		t.Fatalf("%d %s", res.status, res.body)
	}

	for range 2 {
		res := b.complete(u.ID, "")
		if res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
		if done := decode[v1.Upload](t, res.body); done.State != "uploaded" || done.Version != 2 || done.Method != "multipart" {
			t.Errorf("completed %+v", done)
		}
	}
	if !bytes.Equal(b.object("uploads/"+u.ID+".mp4"), film) {
		t.Error("the object is not the file")
	}
	if res := b.putPart(p.Parts[0], film); res.status != http.StatusNotFound {
		t.Errorf("a part after the end got %d %s", res.status, res.body)
	}
}

// Only what was planned can be sent: the length of each part is signed.
func TestAPartIsForItsBytes(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaringFilm(""))
	first := u.Permission.Parts[0]
	for name, size := range map[string]int64{"shorter": partSize - 1, "longer": partSize + 1, "empty": 0} {
		p := first
		p.Size = size
		if res := b.putPart(p, film); res.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
	p := first
	p.URL = strings.Replace(p.URL, "partNumber=1", "partNumber=4", 1)
	if res := b.putPart(p, film); res.status != http.StatusForbidden {
		t.Errorf("another number: %d %s", res.status, res.body)
	}
	if got := b.listParts(u.ID); len(got.Parts) != 0 {
		t.Errorf("parts have arrived: %+v", got)
	}
}

func TestPartsWithChecksums(t *testing.T) {
	b := newTestBundle(t)
	u := b.begin(declaringFilm(`,"part_sha256":true`))
	if len(u.Permission.Parts) != 0 || u.Permission.PartCount != 3 {
		t.Fatalf("began %+v", u.Permission)
	}
	sums := make([]string, 3)
	var wanted []string
	for i, part := range slices.Collect(slices.Chunk(film, partSize)) {
		sums[i] = fmt.Sprintf("%x", sha256.Sum256(part))
		wanted = append(wanted, fmt.Sprintf(`{"number":%d,"sha256":%q}`, i+1, sums[i]))
	}
	res := b.call("POST", "/v1/uploads/"+u.ID+"/parts", `{"parts":[`+strings.Join(wanted, ",")+`]}`, b.as(b.token)...)
	signed := decode[v1.SignedParts](t, res.body).Parts
	if res.status != http.StatusOK || len(signed) != 3 {
		t.Fatalf("%d %s", res.status, res.body)
	}
	if res := b.putPart(signed[0], bytes.ToUpper(film)); res.status != http.StatusBadRequest {
		t.Errorf("other bytes: %d %s", res.status, res.body)
	}
	for _, p := range signed {
		if res := b.putPart(p, film); res.status != http.StatusOK {
			t.Fatalf("%d %s", res.status, res.body)
		}
	}
	for i, p := range b.listParts(u.ID).Parts {
		if p.SHA256 != sums[i] {
			t.Errorf("part %d has %s, want %s", p.Number, p.SHA256, sums[i])
		}
	}
	if res := b.complete(u.ID, ""); res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestPost(t *testing.T) {
	b := newTestBundle(t)
	for name, c := range map[string]struct {
		data   []byte
		change func(map[string]string)
		want   int
	}{
		"as declared": {picture, func(map[string]string) {}, http.StatusCreated},
		"longer":      {append([]byte("x"), picture...), func(map[string]string) {}, http.StatusBadRequest},
		"shorter":     {picture[1:], func(map[string]string) {}, http.StatusBadRequest},
		"other bytes": {bytes.ToUpper(picture), func(map[string]string) {}, http.StatusBadRequest},
		"other type":  {picture, func(f map[string]string) { f["Content-Type"] = "text/html" }, http.StatusForbidden},
		"other key":   {picture, func(f map[string]string) { f["key"] += "x" }, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			u := b.begin(strings.Replace(declaring(picture), "{", `{"method":"post",`, 1))
			if u.Method != string(sagas.MethodPost) || u.Permission.Method != http.MethodPost || !strings.HasSuffix(u.Permission.URL, "/") {
				t.Fatalf("began %+v", u)
			}
			c.change(u.Permission.Fields)
			res := b.post(u.Permission, c.data)
			if res.status != c.want {
				t.Fatalf("%d %s, want %d", res.status, res.body, c.want)
			}
			done := b.complete(u.ID, "")
			if c.want == http.StatusCreated {
				if got := decode[v1.Upload](t, done.body); got.State != "uploaded" {
					t.Errorf("completed %+v", got)
				}
				return
			}
			wantProblem(t, done, http.StatusConflict, "not_uploaded")
		})
	}
}

// post sends data as a form.
func (b *testBundle) post(p v1.Permission, data []byte) response {
	b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range p.Fields {
		if err := form.WriteField(name, value); err != nil {
			b.t.Fatal(err)
		}
	}
	file, err := form.CreateFormFile("file", "a.jpg")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		b.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest(p.Method, p.URL, &body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	return b.do(req)
}

func TestTheMethodSuitsTheSize(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.MultipartThreshold = 1000 })
	for _, c := range []struct {
		asked string
		size  int64
		want  string
		parts int // in the answer
		of    int
	}{
		{"", 1000, "put", 0, 0},
		{"", 1001, "multipart", 1, 1},
		{"multipart", 1, "multipart", 1, 1},
		{"multipart", 8<<20 + 1, "multipart", 2, 2},
		{"put", 1001, "put", 0, 0},
		{"put", storage.MaxPut, "put", 0, 0},
		{"post", storage.MaxPut, "post", 0, 0},
		{"", storage.MaxPut + 1, "multipart", maxSignedParts, 641},
		{"", storage.MaxObject, "multipart", maxSignedParts, 9987},
	} {
		u := b.begin(fmt.Sprintf(`{"filename":"a.mp4","content_type":"video/mp4","size":%d,"method":%q}`, c.size, c.asked))
		p := u.Permission
		if u.Method != c.want || len(p.Parts) != c.parts || p.PartCount != c.of {
			t.Errorf("%d bytes, asked for %q: %s with %d of %d parts", c.size, c.asked, u.Method, len(p.Parts), p.PartCount)
		}
		next := int64(0)
		for i, part := range p.Parts {
			if part.Number != i+1 || part.Offset != next {
				t.Errorf("part %d is %+v", i+1, part)
			}
			next += part.Size
		}
		if c.parts == c.of && c.of > 0 && next != c.size {
			t.Errorf("the parts of %d bytes have %d", c.size, next)
		}
	}
	before := b.count()
	for _, method := range []string{"put", "post"} {
		body := fmt.Sprintf(`{"filename":"a.mp4","content_type":"video/mp4","size":%d,"method":%q}`, storage.MaxPut+1, method)
		wantProblem(t, b.call("POST", "/v1/uploads", body, b.as(b.token)...), http.StatusUnprocessableEntity, "method_not_supported")
	}
	if b.count() != before {
		t.Error("an upload was begun that cannot be sent")
	}
}

// R2 has no POST policies.
func TestAMethodThatTheProviderLacks(t *testing.T) {
	b := newTestBundle(t, func(_ *Config, d *Deps) {
		d.Objects = storage.New(anonymous(), storage.Config{
			Endpoint: "https://x.r2.cloudflarestorage.com", Provider: storage.R2, IncomingBucket: "i", MediaBucket: "m",
		})
	})
	p := wantProblem(t, b.call("POST", "/v1/uploads", with("method", `"post"`), b.as(b.token)...), http.StatusUnprocessableEntity, "method_not_supported")
	if !strings.Contains(p.Detail, "by post") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestPartsOfOtherUploads(t *testing.T) {
	b := newTestBundle(t)
	put := b.begin(declaring(picture))
	parts := func(id, body string) {
		t.Helper()
		for _, res := range []response{
			b.call("POST", "/v1/uploads/"+id+"/parts", `{"parts":[{"number":1}]}`, b.as(b.token)...),
			b.call("GET", "/v1/uploads/"+id+"/parts", "", b.as(b.token)...),
		} {
			wantProblem(t, res, http.StatusConflict, body)
		}
	}
	parts(put.ID, "not_multipart")
	wantProblem(t, b.complete(put.ID, `{"parts":[{"number":1,"etag":"x"}]}`), http.StatusConflict, "not_multipart")

	for _, state := range []sagas.State{sagas.Uploaded, sagas.Expired, sagas.Aborted} {
		u := b.begin(declaringFilm(""))
		b.advance(u.ID, sagas.Initiated, state, sagas.Facts{}, sagas.Reason{})
		parts(u.ID, "upload_settled")
		if state != sagas.Uploaded {
			wantProblem(t, b.complete(u.ID, ""), http.StatusConflict, "upload_settled")
		}
	}
	late := b.begin(declaringFilm(""))
	if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET expires_at = now() WHERE id = $1", late.ID); err != nil {
		t.Fatal(err)
	}
	parts(late.ID, "upload_settled")

	unborn := b.begin(declaringFilm(""))
	if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET multipart_id = NULL WHERE id = $1", unborn.ID); err != nil {
		t.Fatal(err)
	}
	parts(unborn.ID, "upload_settled")
	wantProblem(t, b.complete(unborn.ID, ""), http.StatusConflict, "not_uploaded")
}

func TestBadListsOfWantedParts(t *testing.T) {
	b := newTestBundle(t)
	plain, summed := b.begin(declaringFilm("")), b.begin(declaringFilm(`,"part_sha256":true`))
	hundred := strings.Repeat(`{"number":1},`, 100)
	sum := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		id, body string
		status   int
		location string
	}{
		"nothing":           {plain.ID, ``, 400, ""},
		"no list":           {plain.ID, `{}`, 422, "body"},
		"null":              {plain.ID, `{"parts":null}`, 422, "body.parts"},
		"empty list":        {plain.ID, `{"parts":[]}`, 422, "body.parts"},
		"more than 100":     {plain.ID, `{"parts":[` + hundred + `{"number":2}]}`, 422, "body.parts"},
		"number 0":          {plain.ID, `{"parts":[{"number":0}]}`, 422, "body.parts[0].number"},
		"number 10001":      {plain.ID, `{"parts":[{"number":10001}]}`, 422, "body.parts[0].number"},
		"beyond the plan":   {plain.ID, `{"parts":[{"number":1},{"number":4}]}`, 422, "body.parts[1].number"},
		"negative":          {plain.ID, `{"parts":[{"number":-1}]}`, 422, "body.parts[0].number"},
		"and a half":        {plain.ID, `{"parts":[{"number":1.5}]}`, 422, "body.parts[0].number"},
		"twice":             {plain.ID, `{"parts":[{"number":1},{"number":1}]}`, 422, "body.parts[1].number"},
		"no number":         {plain.ID, `{"parts":[{}]}`, 422, "body.parts[0]"},
		"unknown member":    {plain.ID, `{"parts":[{"number":1,"size":7}]}`, 422, "body.parts[0].size"},
		"sha256 not wanted": {plain.ID, `{"parts":[{"number":1,"sha256":"` + sum + `"}]}`, 422, "body.parts[0].sha256"},
		"sha256 missing":    {summed.ID, `{"parts":[{"number":1}]}`, 422, "body.parts[0].sha256"},
		"sha256 not hex":    {summed.ID, `{"parts":[{"number":1,"sha256":"abc"}]}`, 422, "body.parts[0].sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, b.call("POST", "/v1/uploads/"+c.id+"/parts", c.body, b.as(b.token)...), c.status, "invalid_request")
			if c.location != "" && !slices.ContainsFunc(p.Errors, func(f v1.Fault) bool { return f.Location == c.location }) {
				t.Errorf("no fault at %s: %+v", c.location, p.Errors)
			}
		})
	}
}
