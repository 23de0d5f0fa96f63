package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sluice-media/sluice/sagas"
)

const passPrefix = "pass_"

// passPattern has an id and a secret, which are made like those of API keys.
var passPattern = regexp.MustCompile(`^pass_([a-z2-7]{16})_([a-z2-7]{52})$`)

var (
	errUnknownPass = &Error{Invalid, "the pass is not known"}
	errPassRevoked = &Error{Invalid, "the pass was revoked"}
	errPassExpired = &Error{Expired, "the pass has expired"}
)

// NewPass makes a pass for the owner that is good for most. The text is what pages hold; the record, with a SHA-256 of
// its 256 random bits, is what is kept.
func NewPass(o sagas.Owner, most sagas.Quota) (text string, record sagas.Pass) {
	id, secret := randomLetters(apiKeyID), randomLetters(apiKeySecret)
	hash := sha256.Sum256([]byte(secret))
	return passPrefix + id + "_" + secret, sagas.Pass{ID: id, Owner: o, Hash: hash[:], Most: most}
}

// IsPass reports whether a credential claims to be a pass.
func IsPass(credential string) bool { return strings.HasPrefix(credential, passPrefix) }

// passes authenticates passes. They are read each time: one that is revoked is not good any more.
type passes struct {
	store *sagas.Store
}

func (a passes) authenticate(ctx context.Context, credential string) (Principal, error) {
	parts := passPattern.FindStringSubmatch(credential)
	if parts == nil {
		return Principal{}, errUnknownPass
	}
	pass, err := a.store.Pass(ctx, parts[1])
	if err != nil && !errors.Is(err, sagas.ErrNoPass) {
		return Principal{}, fmt.Errorf("checking a pass: %w", err)
	}
	hash := sha256.Sum256([]byte(parts[2]))
	switch {
	case subtle.ConstantTimeCompare(pass.Hash, hash[:]) != 1:
		return Principal{}, errUnknownPass
	case pass.RevokedAt != nil:
		return Principal{}, errPassRevoked
	case !pass.ReadAt.Before(pass.ExpiresAt):
		return Principal{}, errPassExpired
	}
	return Principal{Owner: pass.Owner, Expires: pass.ExpiresAt, Pass: pass.ID}, nil
}
