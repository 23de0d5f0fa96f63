package storage_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sluice-media/sluice/pipeline/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

// at is when the golden files were signed.
var at = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// endpoints are one of each provider.
var endpoints = map[storage.Provider]string{
	storage.AWS:       "",
	storage.R2:        "https://0123456789abcdef.r2.cloudflarestorage.com",
	storage.B2:        "https://s3.eu-central-003.backblazeb2.com",
	storage.GCS:       "https://storage.googleapis.com",
	storage.MinIO:     "http://minio:9000",
	storage.VersityGW: "http://127.0.0.1:7070",
}

// example returns a client of a provider that nobody can reach, with the credentials of the examples in AWS's
// documentation.
func example(p storage.Provider, endpoint string) *storage.Client {
	c := storage.New(exampleAWS(""), storage.Config{Provider: p, Endpoint: endpoint, IncomingBucket: "examplebucket", MediaBucket: "media"})
	c.SetClock(at)
	return c
}

func exampleAWS(sessionToken string) aws.Config {
	return aws.Config{
		Region: "eu-central-1",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SessionToken: sessionToken,
			}, nil
		}),
	}
}

// permissions are one of each kind.
func permissions() (puts, posts map[string]storage.PutPermission, parts map[string]storage.PartPermission) {
	sum := sha256.Sum256([]byte("hello"))
	key := "uploads/019abc/a b+ü.jpg"
	typed := storage.PutPermission{Key: key, Type: "image/jpeg", Lifetime: 15 * time.Minute}
	sized, once := typed, typed
	sized.Size, sized.SHA256 = 5, sum[:]
	once.OnlyOnce = true
	everything := sized
	everything.OnlyOnce = true
	part := storage.PartPermission{Key: key, UploadID: "2~up/load+id=", Number: 7, Size: 8 << 20, Lifetime: time.Hour}
	summed, open := part, part
	summed.SHA256, open.Size = sum[:], 0
	puts = map[string]storage.PutPermission{"type only": typed, "size and SHA-256": sized, "only once": once, "everything": everything}
	posts = map[string]storage.PutPermission{"type only": typed, "size and SHA-256": sized}
	parts = map[string]storage.PartPermission{"size": part, "size and SHA-256": summed, "nothing": open}
	return puts, posts, parts
}

// The files under testdata/presigned are what clients are held to, to the last signed header: a change in one is a
// change in what protects an upload.
func TestGolden(t *testing.T) {
	for provider, endpoint := range endpoints {
		t.Run(string(provider), func(t *testing.T) {
			got := describe(t, example(provider, endpoint))
			file := filepath.Join("testdata", "presigned", string(provider)+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is no longer what is signed:\n%s", file, got)
			}
		})
	}
}

// describe shows all that the client signs.
func describe(t *testing.T, c *storage.Client) string {
	t.Helper()
	var text strings.Builder
	puts, posts, parts := permissions()
	for _, name := range slices.Sorted(maps.Keys(puts)) {
		req, err := c.PresignPut(t.Context(), puts[name])
		describeRequest(t, &text, "PUT, "+name, req, err)
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		req, err := c.PresignPart(t.Context(), parts[name])
		describeRequest(t, &text, "part, "+name, req, err)
	}
	for _, name := range slices.Sorted(maps.Keys(posts)) {
		post, err := c.PresignPost(t.Context(), posts[name])
		describePost(t, &text, "POST, "+name, post, err)
	}
	return text.String()
}

func describeRequest(t *testing.T, text *strings.Builder, title string, req storage.PresignedRequest, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	where, rawQuery, _ := strings.Cut(req.URL, "?")
	fmt.Fprintf(text, "# %s\n%s %s\nexpires %s\n", title, req.Method, where, req.Expires.Format(time.RFC3339))
	for parameter := range strings.SplitSeq(rawQuery, "&") {
		plain, err := url.QueryUnescape(parameter)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(text, "query %s\n", plain)
	}
	for _, name := range slices.Sorted(maps.Keys(req.Headers)) {
		fmt.Fprintf(text, "header %s: %s\n", name, req.Headers[name])
	}
	text.WriteString("\n")
}

func describePost(t *testing.T, text *strings.Builder, title string, post storage.PresignedPost, err error) {
	t.Helper()
	if err != nil {
		fmt.Fprintf(text, "# %s\n%v\n\n", title, err)
		return
	}
	fmt.Fprintf(text, "# %s\nPOST %s\nexpires %s\n", title, post.URL, post.Expires.Format(time.RFC3339))
	for _, name := range slices.Sorted(maps.Keys(post.Fields)) {
		if name != "policy" {
			fmt.Fprintf(text, "field %s: %s\n", name, post.Fields[name])
		}
	}
	document, err := base64.StdEncoding.DecodeString(post.Fields["policy"])
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Expiration string
		Conditions []json.RawMessage
	}
	if err := json.Unmarshal(document, &policy); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(text, "policy until %s\n", policy.Expiration)
	for _, condition := range policy.Conditions {
		fmt.Fprintf(text, "condition %s\n", condition)
	}
	text.WriteString("\n")
}
