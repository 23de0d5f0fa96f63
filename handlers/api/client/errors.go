package client

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// StorageRefused is the code of an Error that comes from object storage and not from the API.
const StorageRefused = "storage_refused"

// Error is a refusal: the request arrived and was not granted.
type Error struct {
	Status int    // HTTP status
	Code   string // the problem's code, or StorageRefused
	Detail string
	Faults []v1.Fault // what is wrong with the request, when that is why

	retryAfter time.Duration // 0: whenever
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d %s)", e.Explanation(), e.Status, e.Code) }

// Explanation is what people need to know, faults included.
func (e *Error) Explanation() string {
	parts := []string{e.Detail}
	for _, f := range e.Faults {
		parts = append(parts, f.Location+": "+f.Message)
	}
	return strings.Join(parts, " ")
}

// connectionError is a request that may not have arrived.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

// temporary reports a failure after which the same request may succeed.
func temporary(err error) bool {
	if errors.As(err, new(*connectionError)) {
		return true
	}
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	case http.StatusConflict:
		return e.Code == inFlight || e.Code == StorageRefused // another request for the same thing is at work
	case http.StatusBadRequest:
		return e.Code == StorageRefused && strings.HasPrefix(e.Detail, slowRequest)
	}
	return e.Status >= 500
}

const (
	inFlight    = "idempotency_key_in_flight"
	slowRequest = "RequestTimeout:" // S3 has waited too long for the next bytes
)

func apiError(res *http.Response, body []byte) *Error {
	var p v1.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return &Error{Status: res.StatusCode, Code: "unexpected_answer", Detail: "not an answer of the upload API: " + res.Status}
	}
	return &Error{Status: res.StatusCode, Code: p.Code, Detail: p.Detail, Faults: p.Errors, retryAfter: retryAfter(res)}
}

// retryAfter reads the number of seconds that a server wants to be left alone.
func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// storageError reads S3's form of an error.
func storageError(res *http.Response, body []byte) *Error {
	var e struct{ Code, Message string }
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" {
		return &Error{Status: res.StatusCode, Code: StorageRefused, Detail: res.Status}
	}
	return &Error{Status: res.StatusCode, Code: StorageRefused, Detail: e.Code + ": " + e.Message}
}
