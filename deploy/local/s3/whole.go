package s3

import (
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3api/middlewares"
)

// whole returns body, which fails when it ends before length bytes have come: the connection broke. The gateway takes
// that for the end of the body, and S3 does not. Bodies that carry their own checksum find it out themselves, and so do
// forms.
func whole(ctx context.Context, body io.Reader, length *int64) io.Reader {
	request, ok := ctx.(*fasthttp.RequestCtx)
	_, checked := body.(middlewares.ChecksumReader)
	if !ok || !request.IsPut() || checked || aws.ToInt64(length) == 0 {
		return body
	}
	return &wholeReader{body, *length}
}

// errBrokenOff is not io.ErrUnexpectedEOF, which the gateway takes for io.EOF.
var errBrokenOff = errors.New("the body broke off")

type wholeReader struct {
	io.Reader
	missing int64 // bytes
}

// Read implements io.Reader.
func (r *wholeReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.missing -= int64(n)
	if r.missing > 0 && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		err = errBrokenOff
	}
	return n, err
}
