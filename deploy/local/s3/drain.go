package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gofiber/fiber/v3"
)

// drainPause is how long a client may pause while the rest of its refused
// upload is read.
const drainPause = 10 * time.Second

// drainBody is a middleware that reads what a handler has left of the request
// body. Without it a client whose upload is refused early (a signature or a
// condition that does not hold) finds its connection reset instead of the
// answer: the gateway itself reads 256 KiB more at most, and a photograph is
// larger.
//
// Bodies without Content-Length are left alone, because the end of one that
// has been read cannot be told from a client that pauses.
func drainBody(ctx fiber.Ctx) error {
	err := ctx.Next()
	body := ctx.Request().BodyStream()
	if body == nil || ctx.Request().Header.ContentLength() <= 0 {
		return err
	}
	if drainErr := discardBody(ctx.RequestCtx().Conn(), body); drainErr != nil {
		ctx.Response().Header.SetConnectionClose()
	}
	return err
}

func discardBody(conn net.Conn, body io.Reader) error {
	_, err := io.Copy(io.Discard, pausingReader{body, conn})
	return errors.Join(err, conn.SetReadDeadline(time.Time{}))
}

// pausingReader reads what comes over conn and gives up after drainPause
// without any.
type pausingReader struct {
	io.Reader
	conn net.Conn
}

func (r pausingReader) Read(p []byte) (int, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(drainPause)); err != nil {
		return 0, fmt.Errorf("bound the pause of a client: %w", err)
	}
	return r.Reader.Read(p)
}
