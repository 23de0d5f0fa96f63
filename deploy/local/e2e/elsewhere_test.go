package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// pass is what an application's server gets for its pages.
type pass struct{ ID, Token, Endpoint string }

func issue(t *testing.T, files int, seconds int) (p pass) {
	t.Helper()
	code, err := tryCall(t, http.MethodPost, "/v1/passes", map[string]any{"files": files, "bytes": 1 << 30, "seconds": seconds}, &p)
	if err != nil || code != http.StatusCreated {
		t.Fatalf("POST /v1/passes: %d, %v", code, err)
	}
	return p
}

// From another origin, without a session and a header, by nothing but a pass in the path.
func TestUppyUploadsFromAnotherOrigin(t *testing.T) {
	script := uppyScript(t, "6")
	for name, start := range map[string]func(pass) string{
		"companionEndpoint": func(p pass) string { return `startBehind(` + quoted(p.Endpoint) + `, {shouldUseMultipart: true})` },
		"signRequest": func(p pass) string {
			return `start({...signing(` + quoted(p.Endpoint) + `), shouldUseMultipart: true})`
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := issue(t, 1, 600)
			b := openElsewhere(t, script)
			value[any](b, start(p))
			b.pick(file(t, "film.mp4", film(t, 11<<20)))
			b.until(`uppy.getFiles().length === 1`)
			value[any](b, `void uppy.upload()`)
			u := b.outcome()
			if u.State != "ready" || u.Filename != "film.mp4" {
				t.Errorf("it is %+v", u)
			}
			if parts := len(b.sent(http.MethodPut, stack.value["SLUICE_S3_ENDPOINT"])); parts != 3 {
				t.Errorf("it came in %d parts", parts)
			}
			follow := `new Promise(done => {
				const events = new EventSource(` + quoted(p.Endpoint+"/v1/uploads/"+u.ID+"/events") + `);
				events.addEventListener('upload', ({data}) => { events.close(); done(JSON.parse(data).state); });
			})`
			if state := value[string](b, follow); state != "ready" {
				t.Errorf("the page is told that it is %s", state)
			}
		})
	}
}

// Whoever may not upload is told why.
func TestUppySaysWhyOneMayNotUpload(t *testing.T) {
	good, spent, expired, revoked := issue(t, 9, 600), issue(t, 1, 600), issue(t, 9, 1), issue(t, 9, 600)
	if code, err := tryCall(t, http.MethodDelete, "/v1/passes/"+revoked.ID, nil, nil); err != nil || code != http.StatusNoContent {
		t.Fatalf("%d, %v", code, err)
	}
	if code, _, err := fetch(t.Context(), spent.Endpoint+"/s3/params?filename=a.jpg&type=image/jpeg&metadata[size]=1"); err != nil || code != http.StatusOK {
		t.Fatalf("%d, %v", code, err)
	}
	foreign := beginForeign(t)
	waiting, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		code, _, err := fetch(waiting, expired.Endpoint+"/v1/pass")
		if err != nil {
			t.Fatal(err)
		}
		if code == http.StatusUnauthorized {
			break
		}
		time.Sleep(pollEvery)
	}

	wrong := good.Endpoint[:len(good.Endpoint)-2] + "77"
	bearer := func(token string) string { return `, {Authorization: 'Bearer ` + token + `'}` }
	signing := func(endpoint, headers string) string { return `start(signing(` + quoted(endpoint) + headers + `), ` }
	behind := func(p string) string { return `startBehind(` + quoted(p) + `, {}, ` }
	api := stack.value["SLUICE_URL"]
	b := openElsewhere(t, uppyScript(t, "6"))
	for _, c := range []struct{ name, start, before, says, explains string }{
		{"a wrong pass", behind(wrong), "", "Unauthorized", "the pass is not known"},
		{"an expired pass", behind(expired.Endpoint), "", "Unauthorized", "the pass has expired"},
		{"a revoked pass", behind(revoked.Endpoint), "", "Unauthorized", "the pass was revoked"},
		{"a spent pass", signing(spent.Endpoint, ""), "", "This pass has no room for another upload.", ""},
		{"a wrong pass to sign by", signing(wrong, ""), "", "the pass is not known", ""},
		{"an expired pass to sign by", signing(expired.Endpoint, ""), "", "the pass has expired", ""},
		{"a wrong token", signing(api, bearer("wrong")), "", "the token is malformed", ""},
		{"no token", signing(api, ""), "", "Send a bearer token.", ""},
		{"another tenant's upload", signing(good.Endpoint, ""), `uppy.setFileState(uppy.getFiles()[0].id, {s3Multipart: ` + foreign + `})`, "There is no such upload.", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			value[any](b, `window.failure = window.explanation = undefined`)
			value[any](b, c.start+quoted(c.name)+`)`)
			value[any](b, `void uppy.addFile({name: 'a.jpg', type: 'image/jpeg', data: new Blob(['x'])})`)
			if c.before != "" {
				value[any](b, c.before)
			}
			value[any](b, `void uppy.upload()`)
			b.until(`window.failure`)
			if said := value[string](b, `window.failure`); !strings.Contains(said, c.says) {
				t.Errorf("it says %q", said)
			}
			if c.explains != "" {
				b.until(`window.explanation`)
				if said := value[string](b, `window.explanation`); said != c.explains {
					t.Errorf("it explains %q", said)
				}
			}
		})
	}
}

// beginForeign begins an upload in parts of another tenant's, as Uppy remembers it.
func beginForeign(t *testing.T) string {
	t.Helper()
	key := strings.TrimSpace(string(sluice(t, 0, "apikey", "create", "--tenant", "rival", "--subject", "eve")))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, stack.value["SLUICE_URL"]+"/s3/multipart", bytes.NewBufferString(`{"filename":"a.mp4","type":"video/mp4"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	var begun map[string]string
	if code := do(t, http.DefaultClient, req, &begun); code != http.StatusOK {
		t.Fatalf("%d %v", code, begun)
	}
	state, err := json.Marshal(begun)
	if err != nil {
		t.Fatal(err)
	}
	return string(state)
}
