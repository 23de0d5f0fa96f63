package auth

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/jellydator/ttlcache/v3"
)

// verified remembers JWTs that were found good, by their SHA-256, so that only the first request with one pays for the
// signature. What changes with time is asked each time: whether it has expired, and whether its key is still given out.
type verified struct {
	known *ttlcache.Cache[[sha256.Size]byte, verdict]
}

// verdict is on a JWT that is good.
type verdict struct {
	principal Principal
	holds     func(context.Context) bool // whether the key that it is signed with still is; nil: that is our own
}

func newVerified() *verified {
	return &verified{known: ttlcache.New(
		ttlcache.WithCapacity[[sha256.Size]byte, verdict](maxCached),
		ttlcache.WithDisableTouchOnHit[[sha256.Size]byte, verdict](),
	)}
}

// principal is whom the token speaks for, by what is remembered or by verify.
func (v *verified) principal(ctx context.Context, token string, verify func() (verdict, error)) (Principal, error) {
	sum := sha256.Sum256([]byte(token))
	if item := v.known.Get(sum); item != nil {
		good := item.Value()
		if time.Now().Before(good.principal.Expires) && (good.holds == nil || good.holds(ctx)) {
			return good.principal, nil
		}
		v.known.Delete(sum)
	}
	good, err := verify()
	if err != nil {
		return Principal{}, err
	}
	if left := time.Until(good.principal.Expires); left > 0 {
		v.known.Set(sum, good, left)
	}
	return good.principal, nil
}
