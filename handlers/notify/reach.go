package notify

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// A receiver that fails this often in a row is left alone for a while, and for longer each time.
const (
	failuresInARow = 3
	firstRest      = time.Second
	longestRest    = time.Minute
)

// dialTimeout bounds the look whether anybody listens.
const dialTimeout = 5 * time.Second

// reach remembers whether the receiver can be reached. Only deliveries tell: any request besides them would be one that
// the receiver does not know, so all that is tried on its own is a connection on which nothing is sent.
type reach struct {
	mu       sync.Mutex
	failures int // in a row
	last     error
	rest     backoff.BackOff
	until    time.Time
}

func newReach() *reach {
	rest := backoff.NewExponentialBackOff()
	rest.InitialInterval, rest.MaxInterval, rest.Multiplier = firstRest, longestRest, 2
	return &reach{rest: rest}
}

// answered notes that the receiver has taken up a delivery, whatever it said of it.
func (r *reach) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures, r.until = 0, time.Time{}
	r.rest.Reset()
}

// failed notes a delivery, or a connection, that came to nothing through no fault of what was delivered. Those that
// fail together, because they were under way, make one rest.
func (r *reach) failed(now time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	r.last = err
	if r.failures >= failuresInARow && !now.Before(r.until) {
		r.until = now.Add(r.rest.NextBackOff())
	}
}

// resting returns why nothing should be delivered now. doubtful says that the rest is over, and that nobody knows.
func (r *reach) resting(now time.Time) (doubtful bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures < failuresInARow {
		return false, nil
	}
	if now.Before(r.until) {
		return false, fmt.Errorf("the webhook receiver failed %d times in a row: %w", r.failures, r.last)
	}
	return true, nil
}

// isOutage reports whether a status says that the receiver is in trouble, and not what it thinks of the delivery.
func isOutage(status int) bool { return status/100 == 5 || status == http.StatusTooManyRequests }

// Ready returns an error while the receiver cannot be reached: messages that are taken then wear out for nothing. After
// a rest it sees whether anybody listens there; if so, deliveries are tried again and tell the rest.
func (s *Stage) Ready(ctx context.Context) error {
	doubtful, err := s.reach.resting(s.now())
	if !doubtful {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := s.knock(ctx); err != nil {
		err = fmt.Errorf("reaching the webhook receiver: %w", err)
		s.reach.failed(s.now(), err)
		return err
	}
	return nil
}

// knock connects to where deliveries go, which may be a proxy, and says nothing.
func (s *Stage) knock(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.URL, http.NoBody)
	if err != nil {
		return withoutURL(err)
	}
	to := req.URL
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		to = proxy
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(to))
	if err != nil {
		return err
	}
	return conn.Close()
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = u.Scheme // a name for the port, too
	}
	return net.JoinHostPort(u.Hostname(), port)
}
