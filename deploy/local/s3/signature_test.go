package s3

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// emptyHash is the SHA-256 of an empty body, in hexadecimal.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// A server that accepts a bad signature makes every security test above it
// pass falsely, so this comes first.
func TestBadRequestsAreForbidden(t *testing.T) {
	b := newTestBundle(t)
	b.put(t, incoming, "uploads/a.txt", "secret")
	object := b.server.Endpoint() + "/" + incoming + "/uploads/a.txt"
	presigned := presignGet(t, b, rootKey, rootSecret, time.Now())
	now := time.Now()

	wantStatus(t, send(t, http.MethodGet, presigned, nil, nil), http.StatusOK)
	wantStatus(t, getSigned(t, object, rootSecret, now, nil), http.StatusOK)

	forbidden := map[string]func() answer{
		"anonymous": func() answer { return send(t, http.MethodGet, object, nil, nil) },
		"anonymous write": func() answer {
			return send(t, http.MethodPut, b.server.Endpoint()+"/"+incoming+"/uploads/b", nil, []byte("x"))
		},
		"anonymous list":    func() answer { return send(t, http.MethodGet, b.server.Endpoint()+"/"+incoming, nil, nil) },
		"anonymous service": func() answer { return send(t, http.MethodGet, b.server.Endpoint()+"/", nil, nil) },
		"presigned signature tampered": func() answer {
			return send(t, http.MethodGet, tamperQuery(t, presigned, "X-Amz-Signature", flipLast), nil, nil)
		},
		"presigned expiry tampered": func() answer {
			return send(t, http.MethodGet, tamperQuery(t, presigned, "X-Amz-Expires", func(string) string { return "86400" }), nil, nil)
		},
		"presigned for another key": func() answer {
			return send(t, http.MethodGet, strings.Replace(presigned, "a.txt", "b.txt", 1), nil, nil)
		},
		"presigned for another method": func() answer { return send(t, http.MethodPut, presigned, nil, nil) },
		"presigned with a parameter added": func() answer {
			return send(t, http.MethodGet, presigned+"&response-content-type=text%2Fhtml", nil, nil)
		},
		"presigned and expired": func() answer {
			return send(t, http.MethodGet, presignGet(t, b, rootKey, rootSecret, now.Add(-time.Hour)), nil, nil)
		},
		"presigned with another secret": func() answer {
			return send(t, http.MethodGet, presignGet(t, b, rootKey, "wrong", now), nil, nil)
		},
		"presigned by nobody known": func() answer {
			return send(t, http.MethodGet, presignGet(t, b, "UNKNOWN", rootSecret, now), nil, nil)
		},
		"header with another secret": func() answer {
			return getSigned(t, object, "wrong", now, nil)
		},
		"header from an hour ago": func() answer {
			return getSigned(t, object, rootSecret, now.Add(-time.Hour), nil)
		},
		"header for another path": func() answer {
			return getSigned(t, object, rootSecret, now, func(r *http.Request) { r.URL.Path += "x" })
		},
		"header for another date": func() answer {
			return getSigned(t, object, rootSecret, now, func(r *http.Request) {
				r.Header.Set("X-Amz-Date", now.Add(time.Second).UTC().Format("20060102T150405Z"))
			})
		},
	}
	for name, request := range forbidden {
		t.Run(name, func(t *testing.T) {
			wantStatus(t, request(), http.StatusForbidden)
		})
	}
}

func presignGet(t *testing.T, b *testBundle, accessKey, secretKey string, at time.Time) string {
	t.Helper()
	client := NewClient(b.server.Endpoint(), testRegion, accessKey, secretKey)
	request, err := awss3.NewPresignClient(client).PresignGetObject(t.Context(),
		&awss3.GetObjectInput{Bucket: aws.String(incoming), Key: aws.String("uploads/a.txt")},
		awss3.WithPresignExpires(time.Minute),
		func(o *awss3.PresignOptions) { o.Presigner = presignerAt{v4.NewSigner(disableEscaping), at} })
	if err != nil {
		t.Fatal(err)
	}
	return request.URL
}

func disableEscaping(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }

// getSigned sends a GET signed in its header; change runs after signing.
func getSigned(t *testing.T, url, secretKey string, at time.Time, change func(*http.Request)) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Amz-Content-Sha256", emptyHash)
	err = v4.NewSigner(disableEscaping).SignHTTP(t.Context(), aws.Credentials{AccessKeyID: rootKey, SecretAccessKey: secretKey},
		request, emptyHash, "s3", testRegion, at)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	return do(t, request)
}

func tamperQuery(t *testing.T, signed, parameter string, change func(string) string) string {
	t.Helper()
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(parameter, change(query.Get(parameter)))
	u.RawQuery = query.Encode()
	return u.String()
}

func flipLast(hex string) string {
	last := "0"
	if strings.HasSuffix(hex, "0") {
		last = "1"
	}
	return hex[:len(hex)-1] + last
}
