package storage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	terminator      = "aws4_request" // of a scope
	momentFormat    = "20060102T150405Z"
)

// presign returns the URL of a PUT of the key that is good from the moment on with exactly these headers. It is to the
// byte what the SDK's signer makes of the same request, at a fraction of its cost, which is most of what a permission to
// upload costs. No header's value may have two spaces in a row.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
func (t target) presign(c aws.Credentials, k *signingKey, moment, key string, query, headers []field) string {
	headers = append(headers, field{"host", t.host})
	sortByName(headers)
	names := joinedNames(headers)
	query = append(query,
		field{"X-Amz-Algorithm", algorithm}, field{"X-Amz-Credential", c.AccessKeyID + "/" + k.scope},
		field{"X-Amz-Date", moment}, field{"X-Amz-SignedHeaders", names})
	if c.SessionToken != "" {
		query = append(query, field{"X-Amz-Security-Token", c.SessionToken})
	}
	sortByName(query)

	signed := make([]byte, 0, typicalLength)
	signed = append(append(append(signed, t.url...), '/'), httpbinding.EscapePath(key, false)...)
	object := signed[len(t.url):]
	signed = append(signed, '?')
	asked := len(signed)
	signed = appendQuery(signed, query)

	request := make([]byte, 0, typicalLength)
	request = append(append(append(request, http.MethodPut+"\n"...), t.path...), object...)
	request = append(append(append(request, '\n'), signed[asked:]...), '\n')
	request = append(appendHeaders(request, headers), '\n')
	request = append(append(request, names...), "\n"+unsignedPayload...)
	sum := sha256.Sum256(request)

	text := append(append(append(append(request[:0], algorithm+"\n"...), moment...), '\n'), k.scope...)
	text = hex.AppendEncode(append(text, '\n'), sum[:])
	return string(hex.AppendEncode(append(signed, "&X-Amz-Signature="...), k.mac(text)))
}

// typicalLength is enough for most of what is signed, in bytes.
const typicalLength = 1024

// joinedNames is what X-Amz-SignedHeaders says of sorted headers.
func joinedNames(headers []field) string {
	var names [roomy]string
	list := names[:0]
	for _, h := range headers {
		list = append(list, h.name)
	}
	return strings.Join(list, ";")
}

// appendHeaders appends the canonical lines of sorted headers.
func appendHeaders(b []byte, headers []field) []byte {
	for _, h := range headers {
		b = append(append(append(b, h.name...), ':'), strings.TrimSpace(h.value)...)
		b = append(b, '\n')
	}
	return b
}

// appendQuery appends the canonical query of sorted parameters, whose names need no escapes.
func appendQuery(b []byte, query []field) []byte {
	for i, parameter := range query {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, parameter.name...), '='), strings.ReplaceAll(url.QueryEscape(parameter.value), "+", "%20")...)
	}
	return b
}

func sortByName(fields []field) {
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
}

// dayOf is the day of a moment, both as they are signed.
func dayOf(moment string) string { return moment[:len("20060102")] }

// signingKey signs for a day in a region.
type signingKey struct {
	secret, day, region string
	scope               string // of what it signs
	key                 []byte
	hashes              sync.Pool // of hash.Hash, keyed
}

// key returns the signing key, which is derived once a day and for each new secret.
func (s *signer) key(c aws.Credentials, day, region string) *signingKey {
	if k := s.last.Load(); k != nil && k.secret == c.SecretAccessKey && k.day == day && k.region == region {
		return k
	}
	k := &signingKey{
		secret: c.SecretAccessKey, day: day, region: region, scope: day + "/" + region + "/" + service + "/" + terminator,
		key: []byte("AWS4" + c.SecretAccessKey),
	}
	for _, step := range []string{day, region, service, terminator} {
		k.key = mac(hmac.New(sha256.New, k.key), []byte(step))
	}
	s.last.Store(k)
	return k
}

// sign returns the signature of the text.
func (k *signingKey) sign(text string) string { return hex.EncodeToString(k.mac([]byte(text))) }

// mac reuses hashes: half of the cost of a short text's is that of the key.
func (k *signingKey) mac(text []byte) []byte {
	h, keyed := k.hashes.Get().(hash.Hash)
	if !keyed {
		h = hmac.New(sha256.New, k.key)
	}
	defer k.hashes.Put(h)
	return mac(h, text)
}

func mac(keyed hash.Hash, text []byte) []byte {
	keyed.Reset()
	keyed.Write(text)
	return keyed.Sum(nil)
}
