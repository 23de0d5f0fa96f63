package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

// causes has for each code a request that ends in it. What call gets is held to the document, its code included.
var causes = map[string]func(*testBundle) response{
	"invalid_request": func(b *testBundle) response { return b.asAlice("POST", "/v1/uploads", with("size", "-1")) },
	"type_not_allowed": func(b *testBundle) response {
		return b.asAlice("POST", "/v1/uploads", with("content_type", `"text/html"`))
	},
	"method_not_supported": func(b *testBundle) response { return b.asAlice("POST", "/v1/uploads", with("method", `"tus"`)) },
	"too_large": func(b *testBundle) response {
		return b.asAlice("POST", "/v1/uploads", with("size", "9007199254740991"))
	},
	"body_too_large": func(b *testBundle) response {
		return b.asAlice("POST", "/v1/uploads", with("size", "7")+strings.Repeat(" ", maxBody))
	},
	"unsupported_media_type": func(b *testBundle) response {
		return b.asAlice("POST", "/v1/uploads", with("size", "7"), "Content-Type", "text/plain")
	},
	"request_timeout": (*testBundle).slowly,

	"token_missing": func(b *testBundle) response { return b.call("GET", "/v1/uploads", "") },
	"token_invalid": func(b *testBundle) response { return b.call("GET", "/v1/uploads", "", b.as("x")...) },
	"token_expired": func(b *testBundle) response {
		return b.call("GET", "/v1/uploads", "", b.as(b.signed(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}))...)
	},
	"token_not_yet_valid": func(b *testBundle) response {
		return b.call("GET", "/v1/uploads", "", b.as(b.signed(jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}))...)
	},
	"token_scope": func(b *testBundle) response {
		return b.call("GET", "/v1/uploads", "", b.as(b.begin(declaring(picture)).Token)...)
	},
	"cross_origin": func(b *testBundle) response {
		return b.call("POST", "/v1/uploads", declaring(picture), "Cookie", sessionCookie+"="+b.token, "Origin", "https://evil.example.com")
	},

	"pass_spent": func(b *testBundle) response {
		pass := b.issue(`{"files":1,"bytes":1}`)
		return b.call("POST", "/s3/multipart", `{"filename":"a.jpg","type":"image/jpeg","metadata":{"size":7}}`, b.as(pass.Token)...)
	},

	"not_found":          func(b *testBundle) response { return b.asAlice("GET", "/v1/uploads/"+uuid.NewString(), "") },
	"method_not_allowed": func(b *testBundle) response { return b.asAlice("PUT", "/v1/uploads", "") },
	"rate_limited": func(b *testBundle) response {
		one := 0.001
		b.setLimits(sagas.Limits{Tenant: "slow", RequestsPerSecond: &one})
		slow := b.as(token(b.t, "slow", "alice"))
		b.call("GET", "/v1/uploads", "", slow...)
		return b.call("GET", "/v1/uploads", "", slow...)
	},
	"too_many_in_flight": func(b *testBundle) response {
		one := int64(1)
		b.setLimits(sagas.Limits{Tenant: "busy", FilesInFlight: &one})
		busy := b.as(token(b.t, "busy", "alice"))
		b.call("POST", "/v1/uploads", declaring(picture), busy...)
		return b.call("POST", "/v1/uploads", declaring(picture), busy...)
	},
	"idempotency_key_invalid": func(b *testBundle) response {
		return b.call("POST", "/v1/uploads", declaring(picture), b.withKey("a b")...)
	},
	"idempotency_key_in_flight": func(b *testBundle) response {
		claim := sagas.KeyClaim{
			ID: uuid.New(), Owner: sagas.Owner{Tenant: "acme", Subject: "alice"}, Key: "busy",
			Fingerprint: b.fingerprint("POST", "/v1/uploads", declaring(picture)),
		}
		if _, err := b.store.ClaimKey(context.Background(), claim, time.Hour); err != nil {
			b.t.Fatal(err)
		}
		return b.call("POST", "/v1/uploads", declaring(picture), b.withKey("busy")...)
	},
	"idempotency_key_reused": func(b *testBundle) response {
		b.call("POST", "/v1/uploads", declaring(picture), b.withKey("used")...)
		return b.call("POST", "/v1/uploads", declaringFilm(""), b.withKey("used")...)
	},

	"not_uploaded": func(b *testBundle) response { return b.complete(b.begin(declaring(picture)).ID, "") },
	"upload_settled": func(b *testBundle) response {
		u := b.begin(declaringFilm(""))
		b.asAlice("DELETE", "/v1/uploads/"+u.ID, "")
		return b.asAlice("GET", "/v1/uploads/"+u.ID+"/parts", "")
	},
	"not_multipart": func(b *testBundle) response {
		return b.asAlice("GET", "/v1/uploads/"+b.begin(declaring(picture)).ID+"/parts", "")
	},
	"part_order": func(b *testBundle) response {
		return b.complete(b.begin(declaringFilm("")).ID, `{"parts":[{"number":2,"etag":"a"},{"number":1,"etag":"b"}]}`)
	},
	"parts_missing": func(b *testBundle) response { return b.complete(b.begin(declaringFilm("")).ID, "") },
	"part_size_mismatch": func(b *testBundle) response {
		u := b.begin(declaringFilm(""))
		b.sendParts(u, 1, 2, 3)
		b.exec("UPDATE uploads SET declared_size = declared_size + 1 WHERE id = $1", u.ID) // for S3 lets no other in
		return b.complete(u.ID, "")
	},
	"part_etag_mismatch": func(b *testBundle) response {
		u := b.begin(declaringFilm(""))
		b.sendParts(u, 1, 2, 3)
		return b.complete(u.ID, `{"parts":[{"number":1,"etag":"a"},{"number":2,"etag":"b"},{"number":3,"etag":"c"}]}`)
	},

	"internal": func(b *testBundle) response {
		b.serve(func(_ *Config, d *Deps) {
			d.Confirm = func(context.Context, sagas.Upload) (sagas.Upload, error) {
				return sagas.Upload{}, errors.New("a mistake")
			}
		})
		return b.complete(b.begin(declaring(picture)).ID, "")
	},
	"unavailable": func(b *testBundle) response {
		b.serve(func(_ *Config, d *Deps) {
			pool, err := sagas.Connect(context.Background(), sagas.Config{
				URL: "postgres://sluice@127.0.0.1:1/sluice", MaxConns: 1, ConnectTimeout: time.Second,
			})
			if err != nil {
				b.t.Fatal(err)
			}
			b.t.Cleanup(pool.Close)
			d.Store = sagas.NewStore(pool, "test")
		})
		return b.asAlice("GET", "/v1/uploads", "")
	},
}

func (b *testBundle) asAlice(method, path, body string, headers ...string) response {
	b.t.Helper()
	return b.call(method, path, body, append(b.as(b.token), headers...)...)
}

func (b *testBundle) signed(claims jwt.MapClaims) string {
	b.t.Helper()
	return sign(b.t, jwt.SigningMethodHS256, []byte(secret), claims)
}

// slowly sends half of a body to a server that does not wait for the other half.
func (b *testBundle) slowly() response {
	b.t.Helper()
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout = 200 * time.Millisecond
	server.Start()
	b.t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", b.token); err != nil {
		b.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // the connection goes, too
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	got := response{res.StatusCode, res.Header, body}
	wantDocumented(b.t, "POST", "/v1/uploads", got)
	return got
}

// unheard is the code that nobody is there to get.
const unheard = "client_closed_request"

// Every code of the table in errors.go is one that the document has and that a client can meet.
func TestEveryCodeIsDocumentedAndReached(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	var documented strings.Builder
	for name := range c.examples {
		documented.WriteString(name + "\n")
	}
	b := newTestBundle(t)
	seen := map[string]bool{}
	for _, found := range regexp.MustCompile(`kind\{(?:http\.\w+|\d+), "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		code := found[1]
		if seen[code] || code == unheard {
			continue
		}
		seen[code] = true
		t.Run(code, func(t *testing.T) {
			if !strings.Contains(documented.String(), "."+code+"\n") {
				t.Error("it is not in the document")
			}
			cause, ok := causes[code]
			if !ok {
				t.Fatal("no request is known that ends in it")
			}
			res := cause(b.of(t))
			if code == passSpent.code { // only Uppy gets it, which is told no codes
				wantMessage(t, res, passSpent.status)
				return
			}
			wantProblem(t, res, res.status, code)
		})
	}
	if len(seen) != len(causes) {
		t.Errorf("%d codes in the table, %d are known here", len(seen), len(causes))
	}
}
