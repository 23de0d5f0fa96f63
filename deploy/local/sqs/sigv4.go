package sqs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	signingService   = "sqs"
	amzDateLayout    = "20060102T150405Z"
	// maxClockSkew is how far a request's date may be from the server's clock.
	maxClockSkew = 15 * time.Minute
)

// verifier checks the Signature Version 4 of requests. It signs what came in
// again, with the SDK's own signer over exactly the headers that the client
// signed, and compares.
type verifier struct {
	region  string
	secrets map[string]string // access key → secret key
	signer  *v4.Signer
}

func newVerifier(region string, secrets map[string]string) *verifier {
	return &verifier{region: region, secrets: secrets, signer: v4.NewSigner()}
}

// authorization is a parsed Authorization header of Signature Version 4.
type authorization struct {
	accessKey, date, region, service, terminator string
	signedHeaders                                []string
	signature                                    string
}

// verify returns nil when the request, whose body has been read, was signed
// with one of the verifier's keys at about now; otherwise an *Error.
func (v *verifier) verify(r *http.Request, body []byte, now time.Time) error {
	header := r.Header.Get("Authorization")
	if header == "" {
		return errorf(codeMissingAuthenticationToken, "the request has no Authorization header")
	}
	auth, err := parseAuthorization(header)
	if err != nil {
		return errorf(codeIncompleteSignature, "%v", err)
	}
	secret, known := v.secrets[auth.accessKey]
	if !known || r.Header.Get("X-Amz-Security-Token") != "" {
		return errorf(codeInvalidClientTokenID, "the security token included in the request is invalid")
	}
	signedAt, err := time.Parse(amzDateLayout, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return errorf(codeIncompleteSignature, "the X-Amz-Date header must have the form %s", amzDateLayout)
	}
	if skew := now.Sub(signedAt); skew > maxClockSkew || skew < -maxClockSkew {
		return errorf(codeSignatureDoesNotMatch, "signature expired: %s is more than %s from the server's time %s",
			signedAt.Format(amzDateLayout), maxClockSkew, now.UTC().Format(amzDateLayout))
	}
	if err := v.checkScope(auth, signedAt); err != nil {
		return err
	}
	if err := checkSignedHeaders(r.Header, auth.signedHeaders); err != nil {
		return err
	}
	want, err := v.sign(r, body, auth, secret, signedAt)
	if err != nil {
		return fmt.Errorf("sign the request again: %w", err)
	}
	if !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return errorf(codeSignatureDoesNotMatch, "the request signature does not match; check the secret access key and the signing method")
	}
	return nil
}

func (v *verifier) checkScope(auth authorization, signedAt time.Time) error {
	switch {
	case auth.date != signedAt.Format("20060102"):
		return errorf(codeSignatureDoesNotMatch, "the credential's date %q is not that of X-Amz-Date", auth.date)
	case auth.region != v.region:
		return errorf(codeSignatureDoesNotMatch, "the credential should be scoped to region %q, not %q", v.region, auth.region)
	case auth.service != signingService:
		return errorf(codeSignatureDoesNotMatch, "the credential should be scoped to service %q, not %q", signingService, auth.service)
	case auth.terminator != "aws4_request":
		return errorf(codeSignatureDoesNotMatch, "the credential should end in aws4_request")
	}
	return nil
}

// checkSignedHeaders demands a signature over the host and over every x-amz-
// header that the request has, of which X-Amz-Target names the action.
func checkSignedHeaders(header http.Header, signed []string) error {
	required := []string{"host", "x-amz-date"}
	for name := range header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			required = append(required, lower)
		}
	}
	for _, name := range required {
		if !slices.Contains(signed, name) {
			return errorf(codeSignatureDoesNotMatch, "the header %s must be signed", name)
		}
	}
	return nil
}

// sign computes the signature, in hex, that the request should carry.
func (v *verifier) sign(r *http.Request, body []byte, auth authorization, secret string, at time.Time) (string, error) {
	signed := &http.Request{
		Method: r.Method,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:   r.Host,
		Header: make(http.Header, len(auth.signedHeaders)),
	}
	for _, name := range auth.signedHeaders {
		switch name {
		case "host":
		case "content-length":
			signed.ContentLength = r.ContentLength
		default:
			signed.Header[http.CanonicalHeaderKey(name)] = slices.Clone(r.Header.Values(name))
		}
	}
	hash := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: auth.accessKey, SecretAccessKey: secret}
	err := v.signer.SignHTTP(context.WithoutCancel(r.Context()), keys, signed, hex.EncodeToString(hash[:]), signingService, v.region, at)
	if err != nil {
		return "", err
	}
	again, err := parseAuthorization(signed.Header.Get("Authorization"))
	if err != nil {
		return "", err
	}
	return again.signature, nil
}

func parseAuthorization(header string) (authorization, error) {
	var auth authorization
	rest, ok := strings.CutPrefix(header, signingAlgorithm+" ")
	if !ok {
		return auth, fmt.Errorf("the authorization must use %s", signingAlgorithm)
	}
	fields := make(map[string]string, 3)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return auth, fmt.Errorf("the authorization header requires a %s parameter", name)
		}
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 {
		return auth, errors.New("the credential must be ACCESS_KEY/DATE/REGION/SERVICE/aws4_request")
	}
	auth.accessKey, auth.date, auth.region, auth.service, auth.terminator = scope[0], scope[1], scope[2], scope[3], scope[4]
	auth.signedHeaders = strings.Split(fields["SignedHeaders"], ";")
	auth.signature = fields["Signature"]
	return auth, nil
}
