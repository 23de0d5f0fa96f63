package storage_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

func TestSupports(t *testing.T) {
	for provider, forms := range map[storage.Provider]bool{
		storage.AWS: true, storage.R2: false, storage.B2: false, storage.GCS: false, storage.MinIO: true, storage.VersityGW: true,
	} {
		c := example(provider, endpoints[provider])
		for method, want := range map[sagas.Method]bool{sagas.MethodPut: true, sagas.MethodMultipart: true, sagas.MethodPost: forms, "telegraph": false} {
			if got := c.Supports(method); got != want {
				t.Errorf("%s: %s is %t", provider, method, got)
			}
		}
	}
}

func TestLacks(t *testing.T) {
	for provider, want := range map[storage.Provider][]storage.Lack{
		storage.AWS: nil, storage.MinIO: nil, storage.VersityGW: nil,
		storage.R2:  {storage.LackForms, storage.LackVersions},
		storage.B2:  {storage.LackForms, storage.LackSingleUse, storage.LackSHA256, storage.LackCopyIf},
		storage.GCS: {storage.LackForms, storage.LackSHA256},
	} {
		slices.Sort(want)
		if got := example(provider, endpoints[provider]).Lacks(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", provider, got, want)
		}
	}
}

func TestWhoseTheEndpointIs(t *testing.T) {
	for provider, endpoint := range endpoints {
		want := provider
		if provider == storage.MinIO || provider == storage.VersityGW { // which run anywhere
			want = ""
		}
		if used, owner := example(provider, endpoint).Provider(); used != provider || owner != want {
			t.Errorf("%s at %s: %s, and %s by its name", provider, endpoint, used, owner)
		}
	}
}

// A client shows by what it signs whose it is.
func TestTheProviderIsToldFromTheEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "examplebucket.s3.eu-central-1.amazonaws.com/ If-None-Match",
		"https://bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com": "examplebucket.bucket.vpce-1a2b.s3.eu-central-1.vpce.amazonaws.com/ If-None-Match",
		"https://0123456789abcdef.r2.cloudflarestorage.com":           "0123456789abcdef.r2.cloudflarestorage.com/examplebucket/ If-None-Match",
		"https://s3.eu-central-003.backblazeb2.com":                   "s3.eu-central-003.backblazeb2.com/examplebucket/ ",
		"https://storage.googleapis.com":                              "storage.googleapis.com/examplebucket/ X-Goog-If-Generation-Match",
		"https://notstorage.googleapis.com":                           "notstorage.googleapis.com/examplebucket/ If-None-Match",
		"http://localhost:9000":                                       "localhost:9000/examplebucket/ If-None-Match",
	} {
		t.Run(endpoint, func(t *testing.T) {
			p := permission("uploads/a")
			p.OnlyOnce = true
			req := sign(t, example("", endpoint), p)
			_, where, _ := strings.Cut(req.URL, "://")
			where, _, _ = strings.Cut(where, "uploads/a?")
			once := ""
			for name := range req.Headers {
				if name != "Content-Type" {
					once = name
				}
			}
			if got := where + " " + once; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestALifetimeIsWithinWhatS3Takes(t *testing.T) {
	c := example(storage.AWS, "")
	for _, lifetime := range []time.Duration{0, -time.Minute, time.Second - 1, 7*24*time.Hour + time.Second} {
		p := permission("uploads/a")
		p.Lifetime = lifetime
		if _, err := c.PresignPut(t.Context(), p); err == nil {
			t.Errorf("a PUT was signed for %s", lifetime)
		}
		if _, err := c.PresignPost(t.Context(), p); err == nil {
			t.Errorf("a POST was signed for %s", lifetime)
		}
	}
}

func TestAFormLivesNoLongerThanTheProviderTakesIt(t *testing.T) {
	for provider, want := range map[storage.Provider]time.Duration{storage.AWS: 2 * time.Hour, storage.VersityGW: time.Hour} {
		p := permission("uploads/a")
		p.Lifetime = 2 * time.Hour
		if got := signForm(t, example(provider, endpoints[provider]), p).Expires; !got.Equal(at.Add(want)) {
			t.Errorf("%s: signed at %s, it expires %s", provider, at, got)
		}
	}
}

// A request that was signed by credentials that expire works only as long as they do.
func TestPermissionsExpireWithTheCredentials(t *testing.T) {
	conf := exampleAWS("token")
	expiring := conf.Credentials
	conf.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		credentials, err := expiring.Retrieve(ctx)
		credentials.CanExpire, credentials.Expires = true, at.Add(30*time.Second)
		return credentials, err
	})
	c := storage.New(conf, storage.Config{IncomingBucket: "examplebucket", MediaBucket: "media"})
	c.SetClock(at)
	for lifetime, want := range map[time.Duration]time.Time{10 * time.Second: at.Add(10 * time.Second), time.Minute: at.Add(30 * time.Second)} {
		p := permission("uploads/a")
		p.Lifetime = lifetime
		if got := sign(t, c, p).Expires; !got.Equal(want) {
			t.Errorf("a PUT signed for %s expires %s, want %s", lifetime, got, want)
		}
		if got := signForm(t, c, p).Expires; !got.Equal(want) {
			t.Errorf("a POST signed for %s expires %s, want %s", lifetime, got, want)
		}
	}
}
