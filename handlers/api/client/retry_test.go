package client

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

// What a server says of its next try is for the client, not for whom the error is shown to.
func TestErrorOfTheLastTry(t *testing.T) {
	refused := &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "Try again.", retryAfter: time.Second}
	_, err := retry(t.Context(), 1, func() (int, error) { return 0, refused })
	if !errors.Is(err, refused) || err.Error() != refused.Error() {
		t.Errorf("%v", err)
	}
}
