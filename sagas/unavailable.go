package sagas

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// unavailableClasses begin the SQLSTATEs of a server that cannot answer now: connection exceptions, insufficient
// resources and operator intervention (PostgreSQL manual, appendix A). 57P leaves out 57014, a cancelled query.
var unavailableClasses = []string{"08", "53", "57P"}

// IsUnavailable reports whether an error of the store means that the database could not be reached, went away or
// has no room: the same call may succeed later. A caller that gave up itself is not that.
func IsUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		for _, class := range unavailableClasses {
			if strings.HasPrefix(refused.Code, class) {
				return true
			}
		}
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if errors.Is(err, errNoAnswer) {
		return true
	}
	_, broken := errors.AsType[*net.OpError](err)
	return broken || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed)
}
