package sqs

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// bufferLimit is the largest request body, in bytes, that a BufferingTransport copies: twice the largest SQS batch,
// which leaves room for JSON's escapes.
const bufferLimit = 2 * maxBatchBytes

// BufferingTransport hands request bodies of up to 512 KiB to Base as memory that it owns.
//
// The SDK (smithy-go v1.28.8) closes a request's body as soon as the response has begun. Against a fast server that
// can be before net/http's writer has looked whether the body has more than its declared length; the closed body
// answers that look with an error, and the connection is dropped with the response still on it. The messages of a
// ReceiveMessage are then lost until their visibility timeout. A copy cannot be closed under the writer. It also has
// a GetBody, with which net/http may repeat a request that met a connection which the server had just closed.
type BufferingTransport struct {
	Base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *BufferingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil || request.Body == http.NoBody || request.ContentLength <= 0 || request.ContentLength > bufferLimit {
		return t.Base.RoundTrip(request)
	}
	body := make([]byte, request.ContentLength)
	_, err := io.ReadFull(request.Body, body)
	if closeErr := request.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("buffer the request body: %w", err)
	}
	buffered := request.WithContext(request.Context()) // a copy, as far as it is changed here
	buffered.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	buffered.Body = io.NopCloser(bytes.NewReader(body))
	return t.Base.RoundTrip(buffered)
}
