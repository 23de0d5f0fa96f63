package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jellydator/ttlcache/v3"

	"github.com/sluice-media/sluice/sagas"
)

const (
	apiKeyPrefix = "sluice_"
	apiKeyID     = 10 // bytes: 16 letters
	apiKeySecret = 32 // bytes: 52 letters

	// maxCached bounds what is remembered of keys, those that do not exist included.
	maxCached = 10_000
)

var (
	apiKeyPattern  = regexp.MustCompile(`^sluice_([a-z2-7]{16})_([a-z2-7]{52})$`)
	apiKeyEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)
)

var (
	errNotAKey    = &Error{Invalid, "the api key is malformed"}
	errUnknownAPI = &Error{Invalid, "the api key is not known"}
	errRevoked    = &Error{Invalid, "the api key was revoked"}
	errKeyExpired = &Error{Expired, "the api key has expired"}
)

// NewAPIKey makes a key for the owner. The text is what programs send; the record, with a SHA-256 of its 256
// random bits, is what is kept.
func NewAPIKey(o sagas.Owner, name string) (text string, record sagas.APIKey) {
	id, secret := randomLetters(apiKeyID), randomLetters(apiKeySecret)
	hash := sha256.Sum256([]byte(secret))
	return apiKeyPrefix + id + "_" + secret, sagas.APIKey{ID: id, Owner: o, Name: name, Hash: hash[:]}
}

func randomLetters(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random) // never fails: it ends the program instead
	return strings.ToLower(apiKeyEncoding.EncodeToString(random))
}

// isAPIKey reports whether a credential claims to be one.
func isAPIKey(credential string) bool { return strings.HasPrefix(credential, apiKeyPrefix) }

// apiKeys authenticates API keys. What the store says of one is believed for a short time.
type apiKeys struct {
	store *sagas.Store
	log   *slog.Logger
	known *ttlcache.Cache[string, sagas.APIKey] // by id; a key without a hash does not exist
}

func newAPIKeys(c Config, store *sagas.Store, log *slog.Logger) *apiKeys {
	return &apiKeys{store: store, log: log, known: ttlcache.New(
		ttlcache.WithTTL[string, sagas.APIKey](max(c.APIKeyCache, 1)), // 0 would be for ever
		ttlcache.WithCapacity[string, sagas.APIKey](maxCached),
		ttlcache.WithDisableTouchOnHit[string, sagas.APIKey](),
	)}
}

func (a *apiKeys) authenticate(ctx context.Context, credential string) (Principal, error) {
	parts := apiKeyPattern.FindStringSubmatch(credential)
	if parts == nil {
		return Principal{}, errNotAKey
	}
	id, hash := parts[1], sha256.Sum256([]byte(parts[2]))
	key, fresh, err := a.find(ctx, id)
	if err != nil {
		return Principal{}, err
	}
	switch {
	case subtle.ConstantTimeCompare(key.Hash, hash[:]) != 1:
		return Principal{}, errUnknownAPI
	case key.RevokedAt != nil:
		return Principal{}, errRevoked
	case !key.Good(time.Now()):
		return Principal{}, errKeyExpired
	}
	if fresh {
		if err := a.store.UseAPIKey(ctx, id); err != nil {
			a.log.WarnContext(ctx, "could not note the use of an api key", "api_key", id, "error", err)
		}
	}
	p := Principal{Owner: key.Owner}
	if key.ExpiresAt != nil {
		p.Expires = *key.ExpiresAt
	}
	return p, nil
}

// find returns what is known of a key, and whether that comes from the store right now.
func (a *apiKeys) find(ctx context.Context, id string) (key sagas.APIKey, fresh bool, err error) {
	if item := a.known.Get(id); item != nil {
		return item.Value(), false, nil
	}
	key, err = a.store.APIKey(ctx, id)
	if err != nil && !errors.Is(err, sagas.ErrNoAPIKey) {
		return sagas.APIKey{}, false, fmt.Errorf("checking an api key: %w", err)
	}
	a.known.Set(id, key, ttlcache.DefaultTTL)
	return key, true, nil
}
