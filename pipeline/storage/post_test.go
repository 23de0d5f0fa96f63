package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
)

func signForm(t *testing.T, c *storage.Client, p storage.PutPermission) storage.PresignedPost {
	t.Helper()
	post, err := c.PresignPost(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return post
}

// submit sends the form as a browser would and returns the status of the answer.
func submit(t *testing.T, p storage.PresignedPost, body string) int {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		if err := w.WriteField(name, p.Fields[name]); err != nil {
			t.Fatal(err)
		}
	}
	file, err := w.CreateFormFile("file", "a name of the client's")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return send(t, storage.PresignedRequest{Method: http.MethodPost, URL: p.URL}, form.String(), map[string]string{"Content-Type": w.FormDataContentType()})
}

func TestAFormUploads(t *testing.T) {
	c := storagetest.New(t)
	sum := sha256.Sum256([]byte("hello"))
	for name, p := range map[string]storage.PutPermission{
		"everything":     {Size: 5, SHA256: sum[:]},
		"only the type":  {},
		"an awkward key": {Key: "uploads/a b+ü&=.jpg", Size: 5},
	} {
		t.Run(name, func(t *testing.T) {
			p.Type, p.Lifetime = "image/jpeg", time.Minute
			if p.Key == "" {
				p.Key = "uploads/" + name
			}
			post := signForm(t, c, p)
			if !strings.HasSuffix(post.URL, "/"+c.Incoming+"/") {
				t.Errorf("the form goes to %s", post.URL)
			}
			if got := submit(t, post, "hello"); got != http.StatusCreated {
				t.Fatalf("S3 answered %d", got)
			}
			o, err := c.Head(t.Context(), storage.Ref{Bucket: c.Incoming, Key: p.Key})
			if err != nil || o.Type != p.Type || o.Size != 5 || !bytes.Equal(o.SHA256, p.SHA256) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestS3HoldsTheFormToItsPolicy(t *testing.T) {
	c := storagetest.New(t)
	sum, other := sha256.Sum256([]byte("hello")), sha256.Sum256([]byte("jello"))
	for name, tc := range map[string]struct {
		body  string
		open  bool   // no SHA-256 is signed
		field string // that is changed
		value string // to this; empty: left out
		want  int
	}{
		"longer":              {body: "hello!", open: true, want: 400},
		"shorter":             {body: "hell", open: true, want: 400},
		"empty":               {body: "", open: true, want: 400},
		"other bytes":         {body: "jello", want: 400},
		"other sum":           {body: "jello", field: "x-amz-checksum-sha256", value: base64.StdEncoding.EncodeToString(other[:]), want: 403},
		"without the sum":     {body: "jello", field: "x-amz-checksum-sha256", want: 403},
		"other type":          {body: "hello", field: "Content-Type", value: "text/html", want: 403},
		"without a type":      {body: "hello", field: "Content-Type", want: 403},
		"other key":           {body: "hello", field: "key", value: "uploads/another", want: 403},
		"another field":       {body: "hello", field: "x-amz-meta-x", value: "y", want: 403},
		"other status":        {body: "hello", field: "success_action_status", value: "200", want: 403},
		"tampered policy":     {body: "hello", field: "policy", value: base64.StdEncoding.EncodeToString([]byte(`{"expiration":"2099-01-01T00:00:00Z","conditions":[]}`)), want: 403},
		"without a signature": {body: "hello", field: "x-amz-signature", want: 400},
		"other signature":     {body: "hello", field: "x-amz-signature", value: strings.Repeat("0", 64), want: 403},
	} {
		t.Run(name, func(t *testing.T) {
			key := "uploads/" + strings.ReplaceAll(name, " ", "-")
			p := storage.PutPermission{Key: key, Type: "image/jpeg", Size: 5, SHA256: sum[:], Lifetime: time.Minute}
			if tc.open {
				p.SHA256 = nil
			}
			post := signForm(t, c, p)
			if tc.field != "" {
				if post.Fields[tc.field] = tc.value; tc.value == "" {
					delete(post.Fields, tc.field)
				}
			}
			if got := submit(t, post, tc.body); got != tc.want {
				t.Errorf("S3 answered %d, want %d", got, tc.want)
			}
			if first, err := c.FirstKey(t.Context(), c.Incoming); err != nil || first != "" {
				t.Errorf("%q was written, %v", first, err)
			}
		})
	}
}

// A form can be sent again, whatever is done about it: what came first has to be pinned.
func TestAFormCannotBeLimitedToOneUse(t *testing.T) {
	c := storagetest.New(t)
	p := permission("uploads/twice")
	p.OnlyOnce = true
	if _, err := c.PresignPost(t.Context(), p); err == nil {
		t.Error("it was signed")
	}
	p.OnlyOnce = false
	post := signForm(t, c, p)
	var pinned []storage.Ref
	for _, body := range []string{"first", "again"} {
		if got := submit(t, post, body); got != http.StatusCreated {
			t.Fatalf("S3 answered %d", got)
		}
		o, err := c.Head(t.Context(), storage.Ref{Bucket: c.Incoming, Key: p.Key})
		if err != nil {
			t.Fatal(err)
		}
		pinned = append(pinned, o.Ref)
	}
	if got, err := get(t, c, pinned[0]); got != "first" || err != nil {
		t.Errorf("the first version is %q, %v", got, err)
	}
}

func TestAnExpiredFormIsRefused(t *testing.T) {
	c := storagetest.New(t)
	p := permission("uploads/late")
	p.Lifetime = time.Second
	post := signForm(t, c, p)
	for deadline := post.Expires.Add(3 * time.Second); ; {
		if got := submit(t, post, "x"); got == http.StatusForbidden {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("still accepted three seconds after it expired")
		}
	}
}

func TestAProviderWithoutForms(t *testing.T) {
	conf := storagetest.Config(t)
	conf.Provider = storage.R2
	c := storage.New(storagetest.AWS(t), conf)
	if _, err := c.PresignPost(t.Context(), permission("uploads/a")); !errors.Is(err, storage.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}
