package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-media/sluice/handlers/api/auth"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

const anyPass = `{"files":20,"bytes":100000000}`

// issue asks for a pass of alice's.
func (b *testBundle) issue(body string) v1.IssuedPass {
	b.t.Helper()
	res := b.call("POST", "/v1/passes", body, b.as(b.token)...)
	if res.status != http.StatusCreated {
		b.t.Fatalf("POST /v1/passes: %d %s", res.status, res.body)
	}
	return decode[v1.IssuedPass](b.t, res.body)
}

// behind calls an operation as Uppy does that has the pass's endpoint.
func (b *testBundle) behind(p v1.IssuedPass, method, path, body string) response {
	b.t.Helper()
	return b.call(method, strings.TrimPrefix(p.Endpoint, b.url)+path, body)
}

// adopt lets an upload be one that was begun with a pass.
func (b *testBundle) adopt(id string) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.t.Context(), "UPDATE uploads SET pass = 'adopted' WHERE id = $1", id); err != nil {
		b.t.Fatal(err)
	}
}

func form(size int) string {
	return "/s3/params?filename=a.jpg&type=image/jpeg&metadata[size]=" + strconv.Itoa(size)
}

func TestAPassUploads(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(`{"files":3,"bytes":20000000,"seconds":600}`)
	if left := time.Until(pass.ExpiresAt); left < 9*time.Minute || left > 10*time.Minute || pass.Endpoint != b.url+passFolder+pass.Token {
		t.Errorf("issued %+v", pass)
	}
	p := answer[params](t, b.behind(pass, "GET", form(len(picture)), ""))
	if res := b.post(p.permission(), picture); res.status != http.StatusCreated {
		t.Fatalf("%d %s", res.status, res.body)
	}
	id := idOf(p.Fields["key"])
	if u := decode[v1.Upload](t, b.behind(pass, "GET", "/v1/uploads/"+id, "").body); u.ID != id || u.Size != int64(len(picture)) {
		t.Errorf("it is %+v", u)
	}
	if u := b.upload(id); u.ID != id {
		t.Errorf("to its owner it is %+v", u)
	}

	u := answer[begunParts](t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":`+strconv.Itoa(len(film))+`}}`))
	again := b.issue(anyPass) // as of a page that is loaded again
	var list []string
	for i, part := range slices.Collect(slices.Chunk(film, int(storage.MinPart))) {
		to := answer[params](t, b.behind(again, "GET", u.path("/"+strconv.Itoa(i+1)), ""))
		res := b.put(v1.Permission{Method: http.MethodPut, URL: to.URL}, part)
		if res.status != http.StatusOK {
			t.Fatalf("part %d: %d %s", i+1, res.status, res.body)
		}
		list = append(list, fmt.Sprintf(`{"PartNumber":%d,"ETag":%q}`, i+1, res.header.Get("ETag")))
	}
	answer[map[string]string](t, b.behind(again, "POST", u.path("/complete"), partsBody(list...)))

	shown := decode[v1.Pass](t, b.behind(pass, "GET", "/v1/pass", "").body)
	if shown.ID != pass.ID || shown.FilesBegun != 2 || shown.BytesBegun != int64(len(picture)+len(film)) || shown.Files != 3 || shown.Bytes != 20_000_000 {
		t.Errorf("used %+v", shown)
	}
}

// However many ask at once, a pass begins no more than it is for.
func TestAPassIsBounded(t *testing.T) {
	for name, body := range map[string]string{"files": `{"files":3,"bytes":1000000}`, "bytes": `{"files":100,"bytes":3500}`} {
		t.Run(name, func(t *testing.T) {
			b := newTestBundle(t)
			pass := b.issue(body)
			var begun, refused atomic.Int32
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					switch res := b.behind(pass, "GET", form(1000), ""); res.status {
					case http.StatusOK:
						begun.Add(1)
					case http.StatusForbidden:
						wantMessage(t, res, http.StatusForbidden)
						refused.Add(1)
					default:
						t.Errorf("%d %s", res.status, res.body)
					}
				})
			}
			wg.Wait()
			if begun.Load() != 3 || refused.Load() != 9 {
				t.Errorf("%d begun, %d refused", begun.Load(), refused.Load())
			}
			b.wantUploads(3)
			wantMessage(t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":1000}}`), http.StatusForbidden)
			wantMessage(t, b.behind(pass, "POST", "/s3/sign", `{"method":"PUT","key":"a.jpg","contentType":"image/jpeg","size":1000}`), http.StatusForbidden)
			b.wantUploads(3)
		})
	}
}

// What is counted has to be said, and nothing larger can be sent.
func TestAPassHoldsUploadsToTheirSizes(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(anyPass)
	for _, c := range [][3]string{
		{"GET", "/s3/params?filename=a.jpg&type=image/jpeg", ""},
		{"POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4"}`},
		{"POST", "/s3/sign", `{"method":"PUT","key":"a.jpg","contentType":"image/jpeg"}`},
		{"POST", "/s3/sign", `{"method":"POST","key":"a.mp4","contentType":"video/mp4"}`},
	} {
		res := b.behind(pass, c[0], c[1], c[2])
		wantMessage(t, res, http.StatusUnprocessableEntity)
		if !strings.Contains(string(res.body), "size in bytes") {
			t.Errorf("it says %s", res.body)
		}
	}
	b.wantUploads(0)
	u := answer[begunParts](t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":5242881}}`))
	to := answer[params](t, b.behind(pass, "GET", u.path("/2"), ""))
	if res := b.put(v1.Permission{Method: http.MethodPut, URL: to.URL}, []byte("ab")); res.status != http.StatusForbidden {
		t.Errorf("a byte more in the last part: %d %s", res.status, res.body)
	}
	if res := b.put(v1.Permission{Method: http.MethodPut, URL: to.URL}, []byte("a")); res.status != http.StatusOK {
		t.Errorf("the last part: %d %s", res.status, res.body)
	}
	wantMessage(t, b.behind(pass, "GET", u.path("/3"), ""), http.StatusUnprocessableEntity)
	own := answer[begunParts](t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":20000000,"part_size":8000000}}`))
	if u := decode[v1.StoredParts](t, b.call("GET", "/v1/uploads/"+own.id()+"/parts", "", b.as(b.token)...).body); u.PartSize != 8_000_000 || u.PartCount != 3 {
		t.Errorf("with a size of its own: %+v", u)
	}
	for _, partSize := range []string{"0", "-1", "5242879", "5368709121", "x"} {
		wantMessage(t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":20000000,"part_size":"`+partSize+`"}}`), http.StatusUnprocessableEntity)
	}
}

func TestAPassSeesWhatWasBegunWithOne(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(anyPass)
	own, parts := b.begin(declaring(picture)), b.startUppy(`{}`)
	for _, path := range []string{"/v1/uploads/" + own.ID, "/v1/uploads/" + own.ID + "/events"} {
		wantProblem(t, b.behind(pass, "GET", path, ""), http.StatusNotFound, "not_found")
	}
	wantProblem(t, b.call("GET", passFolder+pass.Token+"/v1/uploads/"+own.ID, "", "If-None-Match", `"1"`), http.StatusNotFound, "not_found")
	wantProblem(t, b.behind(pass, "GET", "/v1/uploads/"+own.ID+"?wait=1s&after=1", ""), http.StatusNotFound, "not_found")
	wantMessage(t, b.behind(pass, "GET", parts.path(""), ""), http.StatusNotFound)
	wantMessage(t, b.behind(pass, "DELETE", parts.path(""), ""), http.StatusNotFound)
	wantMessage(t, b.behind(pass, "POST", "/s3/sign", parts.request("GET", "")), http.StatusNotFound)

	mine := answer[params](t, b.behind(pass, "GET", form(7), ""))
	foreign := func(tenant, subject string) v1.IssuedPass {
		return decode[v1.IssuedPass](t, b.call("POST", "/v1/passes", anyPass, b.as(token(t, tenant, subject))...).body)
	}
	for _, other := range []v1.IssuedPass{foreign("rival", "alice"), foreign("acme", "bob")} {
		wantProblem(t, b.behind(other, "GET", "/v1/uploads/"+idOf(mine.Fields["key"]), ""), http.StatusNotFound, "not_found")
	}
}

func TestPassesEnd(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(anyPass)
	if res := b.call("DELETE", "/v1/passes/"+pass.ID, "", b.as(b.token)...); res.status != http.StatusNoContent {
		t.Fatalf("%d %s", res.status, res.body)
	}
	wantMessage(t, b.behind(pass, "GET", form(7), ""), http.StatusUnauthorized)
	if p := wantProblem(t, b.behind(pass, "GET", "/v1/pass", ""), http.StatusUnauthorized, "token_invalid"); !strings.Contains(p.Detail, "revoked") {
		t.Errorf("it says %q", p.Detail)
	}
	wantProblem(t, b.call("DELETE", "/v1/passes/nothing", "", b.as(b.token)...), http.StatusNotFound, "not_found")

	short := b.issue(`{"files":1,"bytes":1,"seconds":1}`)
	b.eventually(func() bool { return b.behind(short, "GET", "/v1/pass", "").status == http.StatusUnauthorized })
	wantProblem(t, b.behind(short, "GET", "/v1/pass", ""), http.StatusUnauthorized, "token_expired")
	res := b.behind(short, "GET", form(7), "")
	wantMessage(t, res, http.StatusUnauthorized)
	if !strings.Contains(string(res.body), "the pass has expired") {
		t.Errorf("it says %s", res.body)
	}

	good := b.issue(anyPass).Token
	unknown, _ := auth.NewPass(sagas.Owner{Tenant: "acme", Subject: "alice"}, sagas.Quota{Files: 1, Bytes: 1})
	for name, bad := range map[string]string{
		"unknown": unknown, "cut off": good[:len(good)-1], "other secret": good[:len(good)-1] + string('a'+(good[len(good)-1]-'a'+1)%26),
		"upper case": strings.ToUpper(good), "a bearer token": b.token, "no more": "pass_", "escaped": "%70ass_", "with an end": good + "%0A",
	} {
		t.Run(name, func(t *testing.T) {
			wantMessage(t, b.of(t).call("GET", passFolder+bad+form(7), ""), http.StatusUnauthorized)
		})
	}
	b.wantUploads(0)
}

func TestPassesAreForWhatTheySay(t *testing.T) {
	b := newTestBundle(t)
	for _, body := range []string{
		`{"files":1}`, `{"bytes":1}`, `{"files":0,"bytes":1}`, `{"files":-1,"bytes":1}`, `{"files":10001,"bytes":1}`, `{"files":1,"bytes":0}`,
		`{"files":1,"bytes":1.5}`, `{"files":1,"bytes":1,"seconds":0}`, `{"files":1,"bytes":1,"seconds":3601}`, `{"files":1,"bytes":1,"subject":"bob"}`,
	} {
		wantProblem(t, b.call("POST", "/v1/passes", body, b.as(b.token)...), http.StatusUnprocessableEntity, "invalid_request")
	}
	pass := b.issue(anyPass)
	for _, path := range []string{"", "/", "/healthz", "/metrics", "/openapi.json", "/docs/", "/u/" + pass.Token + form(7), "/nowhere", "//v1/pass", "/%2e%2e/v1/pass", "/confirm-upload"} {
		if res := b.call("GET", passFolder+pass.Token+path, ""); res.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, res.status, res.body)
		}
	}
	wantProblem(t, b.behind(pass, "POST", "/v1/passes", anyPass), http.StatusForbidden, "token_scope")
	wantProblem(t, b.behind(pass, "GET", "/v1/uploads", ""), http.StatusForbidden, "token_scope")
	wantProblem(t, b.call("POST", "/v1/uploads", declaring(picture), b.as(pass.Token)...), http.StatusForbidden, "token_scope")
}

// Pages of the allowed origins get through to what is behind a pass, the others do not.
func TestPassesFromOtherOrigins(t *testing.T) {
	b := newTestBundle(t, func(c *Config, _ *Deps) { c.AllowedOrigins = []string{"https://app.example.com"} })
	pass := b.issue(anyPass)
	path := passFolder + pass.Token + "/s3/multipart"
	for origin, allowed := range map[string]string{"https://app.example.com": "https://app.example.com", "https://evil.example.com": ""} {
		for _, method := range []string{"POST", "DELETE"} {
			res := b.call("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type")
			if got := res.header.Get("Access-Control-Allow-Origin"); got != allowed || res.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("preflight of %s from %s: %d %v", method, origin, res.status, res.header)
			}
		}
		res := b.call("GET", passFolder+pass.Token+form(7), "", "Origin", origin, "Sec-Fetch-Site", "cross-site")
		if got := res.header.Get("Access-Control-Allow-Origin"); got != allowed || res.status != http.StatusOK || res.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("from %s: %d %v", origin, res.status, res.header)
		}
	}
}

func TestPassesLeaveNoTrace(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(anyPass)
	var said strings.Builder
	for _, token := range []string{pass.Token, pass.Token + "x", pass.Token[:len(pass.Token)-1]} {
		for _, path := range []string{form(7), "/s3/params", "/v1/pass", "/v1/uploads/x", "/nowhere", "/s3/multipart/a%2Fb/1?key=c", "//s3/params", "", "/"} {
			for _, method := range []string{"GET", "POST", "OPTIONS", "BREW"} {
				res := b.call(method, passFolder+token+path, "{")
				said.Write(res.body)
				fmt.Fprint(&said, res.header)
			}
		}
	}
	secret := strings.Split(pass.Token, "_")[2][:20]
	for where, text := range map[string]string{
		"the log": b.log.String(), "the metrics": string(b.call("GET", "/metrics", "").body), "an answer": said.String(), "the database": b.everything(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("a pass is in %s", where)
		}
	}
	if !strings.Contains(b.log.String(), `"path":"/s3/params"`) {
		t.Error("what was called is not in the log")
	}
}

// An upload's name in storage may need escaping, and comes through as it is.
func TestPassesKeepEscapedPaths(t *testing.T) {
	b := newTestBundle(t)
	pass := b.issue(anyPass)
	u := answer[begunParts](t, b.behind(pass, "POST", "/s3/multipart", `{"filename":"a.mp4","type":"video/mp4","metadata":{"size":7}}`))
	const odd = "a/b%c+d"
	if _, err := b.pool.Exec(t.Context(), "UPDATE uploads SET multipart_id = $1", odd); err != nil {
		t.Fatal(err)
	}
	res := b.behind(pass, "GET", "/s3/multipart/"+url.PathEscape(odd)+"/1?key="+url.QueryEscape(u.Key), "")
	if to := answer[params](t, res); !strings.Contains(to.URL, url.QueryEscape(odd)) {
		t.Errorf("it is %s", to.URL)
	}
}
