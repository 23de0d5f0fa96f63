package sqs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signature says how a test signs a request.
type signature struct {
	accessKey, secretKey string
	region, service      string
	at                   time.Time
}

func goodSignature() signature {
	return signature{testAccessKey, testSecretKey, testRegion, signingService, time.Now()}
}

// signedRequest makes a signed request for an action.
func signedRequest(tb testing.TB, url, action, body string, by signature) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", targetPrefix+action)
	sign(tb, r, body, by)
	return r
}

func sign(tb testing.TB, r *http.Request, body string, by signature) {
	tb.Helper()
	hash := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: by.accessKey, SecretAccessKey: by.secretKey}
	if err := v4.NewSigner().SignHTTP(tb.Context(), keys, r, hex.EncodeToString(hash[:]), by.service, by.region, by.at); err != nil {
		tb.Fatal(err)
	}
}

// TestSignatures changes a good request in one way at a time. Whatever is not
// what the holder of a key signed must be refused with 403.
func TestSignatures(t *testing.T) {
	const body = `{"QueueNamePrefix":"a"}`
	by := func(change func(*signature)) func(*http.Request) {
		return func(r *http.Request) {
			other := goodSignature()
			change(&other)
			r.Header.Del("Authorization")
			sign(t, r, body, other)
		}
	}
	setHeader := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	inAuthorization := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			header := r.Header.Get("Authorization")
			if !strings.Contains(header, from) {
				t.Errorf("%q is not in %q", from, header)
			}
			r.Header.Set("Authorization", strings.Replace(header, from, to, 1))
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   string // error code, or "" for success
	}{
		"as signed":             {func(*http.Request) {}, ""},
		"14 minutes old":        {by(func(s *signature) { s.at = s.at.Add(-14 * time.Minute) }), ""},
		"14 minutes early":      {by(func(s *signature) { s.at = s.at.Add(14 * time.Minute) }), ""},
		"with a proxy's header": {setHeader("X-Forwarded-For", "192.0.2.1"), ""},
		"anonymous":             {func(r *http.Request) { r.Header.Del("Authorization") }, codeMissingAuthenticationToken},
		"presigned":             {func(r *http.Request) { presign(t, r, body) }, codeMissingAuthenticationToken},
		"another algorithm":     {inAuthorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), codeIncompleteSignature},
		"basic":                 {setHeader("Authorization", "Basic eDp5"), codeIncompleteSignature},
		"without signature":     {inAuthorization("Signature=", "Sgnature="), codeIncompleteSignature},
		"without credential":    {inAuthorization("Credential=", "Crdential="), codeIncompleteSignature},
		"without signed list":   {inAuthorization("SignedHeaders=", "SgnedHeaders="), codeIncompleteSignature},
		"a short scope":         {inAuthorization("/aws4_request", ""), codeIncompleteSignature},
		"without date":          {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, codeIncompleteSignature},
		"a date of no form":     {setHeader("X-Amz-Date", "yesterday"), codeIncompleteSignature},
		"an unknown key":        {by(func(s *signature) { s.accessKey = "AKIDOTHER" }), codeInvalidClientTokenID},
		"a session token":       {setHeader("X-Amz-Security-Token", "token"), codeInvalidClientTokenID},
		"another secret":        {by(func(s *signature) { s.secretKey += "x" }), codeSignatureDoesNotMatch},
		"16 minutes old":        {by(func(s *signature) { s.at = s.at.Add(-16 * time.Minute) }), codeSignatureDoesNotMatch},
		"16 minutes early":      {by(func(s *signature) { s.at = s.at.Add(16 * time.Minute) }), codeSignatureDoesNotMatch},
		"another region":        {by(func(s *signature) { s.region = "us-west-2" }), codeSignatureDoesNotMatch},
		"another service":       {by(func(s *signature) { s.service = "s3" }), codeSignatureDoesNotMatch},
		"another scope date":    {inAuthorization("/20", "/19"), codeSignatureDoesNotMatch},
		"another terminator":    {inAuthorization("aws4_request", "aws5_request"), codeSignatureDoesNotMatch},
		"another time":          {setHeader("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format(amzDateLayout)), codeSignatureDoesNotMatch},
		"another body":          {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "a", "b", 1))) }, codeSignatureDoesNotMatch},
		"another action":        {setHeader("X-Amz-Target", targetPrefix+"PurgeQueue"), codeSignatureDoesNotMatch},
		"another type":          {setHeader("Content-Type", "application/json"), codeSignatureDoesNotMatch},
		"another host":          {func(r *http.Request) { r.Host = "sqs.example.com" }, codeSignatureDoesNotMatch},
		"another path":          {func(r *http.Request) { r.URL.Path = "/other" }, codeSignatureDoesNotMatch},
		"another query":         {func(r *http.Request) { r.URL.RawQuery = "x=y" }, codeSignatureDoesNotMatch},
		"another method":        {func(r *http.Request) { r.Method = http.MethodPut }, codeSignatureDoesNotMatch},
		"an unsigned header":    {setHeader("X-Amz-Other", "x"), codeSignatureDoesNotMatch},
		"an unsigned action":    {inAuthorization(";x-amz-target", ""), codeSignatureDoesNotMatch},
		"an unsigned host":      {inAuthorization("host;", ""), codeSignatureDoesNotMatch},
		"a cut signature":       {func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:200]) }, codeSignatureDoesNotMatch},
		"an upper-case digest":  {func(r *http.Request) { upperSignature(r) }, codeSignatureDoesNotMatch},
	} {
		t.Run(name, func(t *testing.T) {
			q := newTestQueue(t, nil)
			r := signedRequest(t, q.http.URL, "ListQueues", body, goodSignature())
			c.change(r)
			response, err := q.http.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if c.want == "" {
				if response.StatusCode != http.StatusOK {
					t.Errorf("status %s", response.Status)
				}
				return
			}
			wantRefusal(t, response, http.StatusForbidden, c.want)
		})
	}
}

func presign(tb testing.TB, r *http.Request, body string) {
	tb.Helper()
	r.Header.Del("Authorization")
	hash := sha256.Sum256([]byte(body))
	keys := aws.Credentials{AccessKeyID: testAccessKey, SecretAccessKey: testSecretKey}
	url, _, err := v4.NewSigner().PresignHTTP(tb.Context(), keys, r, hex.EncodeToString(hash[:]), signingService, testRegion, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	presigned, err := r.URL.Parse(url)
	if err != nil {
		tb.Fatal(err)
	}
	r.URL = presigned
}

func upperSignature(r *http.Request) {
	head, digest, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(digest))
}

// wantRefusal checks every form in which an answer tells its error.
func wantRefusal(tb testing.TB, response *http.Response, status int, code string) {
	tb.Helper()
	var body struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		tb.Fatal(err)
	}
	if response.StatusCode != status || body.Type != "com.amazonaws.sqs#"+code || body.Message == "" {
		tb.Errorf("status %s with %+v, want %d with %s", response.Status, body, status, code)
	}
	if got, want := response.Header.Get("X-Amzn-Query-Error"), (&Error{Code: code}).queryError(); got != want {
		tb.Errorf("X-Amzn-Query-Error %q, want %q", got, want)
	}
	if got := response.Header.Get("Content-Type"); got != contentType {
		tb.Errorf("Content-Type %q", got)
	}
	if response.Header.Get("X-Amzn-Requestid") == "" {
		tb.Error("the answer has no request id")
	}
}

// TestProtocol checks what no SDK would send.
func TestProtocol(t *testing.T) {
	server := openServer(t, t.TempDir())
	for name, c := range map[string]struct {
		method, action, body string
		status               int
		want                 string
	}{
		"an unknown action":   {http.MethodPost, "Nonsense", `{}`, http.StatusBadRequest, codeInvalidAction},
		"no action":           {http.MethodPost, "", `{}`, http.StatusBadRequest, codeInvalidAction},
		"a GET":               {http.MethodGet, "ListQueues", `{}`, http.StatusBadRequest, codeInvalidAction},
		"an empty body":       {http.MethodPost, "ListQueues", ``, http.StatusBadRequest, codeSerialization},
		"no JSON":             {http.MethodPost, "ListQueues", `Action=ListQueues`, http.StatusBadRequest, codeSerialization},
		"JSON and more":       {http.MethodPost, "ListQueues", `{}{}`, http.StatusBadRequest, codeSerialization},
		"an array":            {http.MethodPost, "ListQueues", `[]`, http.StatusBadRequest, codeSerialization},
		"a wrong type":        {http.MethodPost, "ListQueues", `{"MaxResults":"1"}`, http.StatusBadRequest, codeSerialization},
		"a fraction":          {http.MethodPost, "ListQueues", `{"MaxResults":1.5}`, http.StatusBadRequest, codeSerialization},
		"no UTF-8":            {http.MethodPost, "ListQueues", "{\"QueueNamePrefix\":\"\xff\"}", http.StatusBadRequest, codeSerialization},
		"too much":            {http.MethodPost, "ListQueues", strings.Repeat(" ", maxRequestBytes) + `{}`, http.StatusRequestEntityTooLarge, codeRequestEntityTooLarge},
		"no queue name":       {http.MethodPost, "CreateQueue", `{}`, http.StatusBadRequest, codeMissingParameter},
		"no queue URL":        {http.MethodPost, "SendMessage", `{"MessageBody":"x"}`, http.StatusBadRequest, codeMissingParameter},
		"no receipt handle":   {http.MethodPost, "DeleteMessage", `{"QueueUrl":"http://x/123456789012/q"}`, http.StatusBadRequest, codeMissingParameter},
		"no timeout":          {http.MethodPost, "ChangeMessageVisibility", `{"QueueUrl":"http://x/123456789012/q","ReceiptHandle":"` + receipt{queue: 1}.handle() + `"}`, http.StatusBadRequest, codeMissingParameter},
		"attributes as lists": {http.MethodPost, "SendMessage", `{"QueueUrl":"http://x/123456789012/q","MessageBody":"x","MessageAttributes":{"a":{"DataType":"String","StringListValues":["x"]}}}`, http.StatusBadRequest, codeUnsupportedOperation},
	} {
		t.Run(name, func(t *testing.T) {
			if err := server.CreateQueue(t.Context(), "q", nil); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), c.method, "http://sqs.test/", bytes.NewReader([]byte(c.body)))
			r.Header.Set("X-Amz-Target", targetPrefix+c.action)
			sign(t, r, c.body, goodSignature())
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, r)
			response := recorder.Result()
			defer func() { _ = response.Body.Close() }()
			wantRefusal(t, response, c.status, c.want)
		})
	}
}
