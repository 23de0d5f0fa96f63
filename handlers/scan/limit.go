package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// patience is how long a daemon that takes a stream has stayed silent. One that refuses it says so at once.
const patience = time.Second

// TakesStream reports whether size bytes are within the daemon's StreamMaxLength. It announces that many and sends
// none: the daemon compares the length of a chunk with what it still takes before it reads the chunk.
func (c *Clamd) TakesStream(ctx context.Context, size int64) (bool, error) {
	if size < 1 || size > scannable {
		return false, fmt.Errorf("announcing a stream: %d is not between 1 and %d bytes", size, scannable)
	}
	conn, hangUp, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	defer hangUp()
	announcement := binary.BigEndian.AppendUint32([]byte("zINSTREAM\x00"), uint32(size))
	if _, err := conn.Write(announcement); err != nil {
		return false, unavailable(ctx, "announcing a stream", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return false, unavailable(ctx, "announcing a stream", err)
	}
	reply, err := receive(conn)
	switch {
	case reply == tooLong:
		return false, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return true, nil
	case err == nil:
		err = fmt.Errorf("it answered %.80q", reply)
	}
	return false, unavailable(ctx, "announcing a stream", err)
}

// tooLong is the reply to a stream of more than StreamMaxLength.
const tooLong = "INSTREAM size limit exceeded. ERROR"
