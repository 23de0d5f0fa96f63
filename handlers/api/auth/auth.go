// Package auth tells whom a credential speaks for. There are four sorts, told apart by how they begin:
//
//   - a JWT, signed with a shared secret (HS256) or with a key of a JWK set that an identity provider publishes;
//   - an API key, sluice_<id>_<secret>, of which the database keeps a SHA-256 only;
//   - a capability, cap_…, which the API itself hands out for one upload, for clients that cannot send headers;
//   - a pass, pass_<id>_<secret>, for a page: good for a short time, so many files and so many bytes. The database keeps
//     a SHA-256 of it and counts.
//
// A credential that is not good is an *Error, which says why without quoting it. Any other error means that it
// could not be checked; ErrUnavailable is one.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/sagas"
)

// Principal is who is calling.
type Principal struct {
	sagas.Owner
	Expires time.Time // when the credential ends; zero: never
	Upload  uuid.UUID // of a capability: the only upload that it is good for

	// Operation is the only one that an errand is good for, by its id in the OpenAPI document.
	Operation string

	Pass string // id of the pass that it is, if it is one
}

// Code says what is wrong with a credential.
type Code string

// The codes.
const (
	Invalid Code = "invalid"
	Expired Code = "expired"
	Early   Code = "early" // not valid yet
)

// Error is a credential that is not good.
type Error struct {
	Code   Code
	Reason string // for people; it quotes nothing of the credential
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// ErrUnavailable reports that the keys of the identity provider could not be fetched yet.
var ErrUnavailable = errors.New("the identity provider's keys are not known yet")

// Authenticator checks credentials. It is safe for concurrent use.
type Authenticator struct {
	tokens       *tokens
	capabilities *capabilities
	keys         *apiKeys
	passes       passes
	verified     *verified
}

// New returns an authenticator. When there is a JWK set it is fetched now and again until ctx ends; a set that
// cannot be fetched is logged, and does not keep the process from starting.
func New(ctx context.Context, c Config, store *sagas.Store, log *slog.Logger) (*Authenticator, error) {
	tokens, err := newTokens(ctx, c, log)
	if err != nil {
		return nil, err
	}
	capabilities, err := newCapabilities(c)
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		tokens: tokens, capabilities: capabilities, keys: newAPIKeys(c, store, log), passes: passes{store}, verified: newVerified(),
	}, nil
}

// Authenticate returns whom the credential speaks for.
func (a *Authenticator) Authenticate(ctx context.Context, credential string) (Principal, error) {
	switch {
	case IsPass(credential):
		return a.passes.authenticate(ctx, credential)
	case isAPIKey(credential):
		return a.keys.authenticate(ctx, credential)
	}
	return a.verified.principal(ctx, credential, func() (verdict, error) {
		if IsCapability(credential) {
			return a.capabilities.verify(credential)
		}
		return a.tokens.verify(ctx, credential)
	})
}

// Capability returns a token for one upload of the owner's. It is good for the configured time, and in any case
// until the moment given.
func (a *Authenticator) Capability(o sagas.Owner, upload uuid.UUID, until time.Time) (token string, expires time.Time, err error) {
	return a.capabilities.issue(o, upload, until)
}

// Errand returns a capability for a single operation, by its id, on one upload of the owner's.
func (a *Authenticator) Errand(o sagas.Owner, upload uuid.UUID, operation string, lifetime time.Duration) (token string, err error) {
	return a.capabilities.sign(o, upload, operation, time.Now().Add(lifetime))
}

const maxSubject = 255 // bytes

var tenantPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

var (
	errSubject = &Error{Invalid, "the subject is missing, too long or not printable"}
	errTenant  = &Error{Invalid, "the tenant must be 1 to 64 letters, digits, dashes and underscores"}
)

// CheckOwner returns an *Error when the names are not fit for a principal.
func CheckOwner(o sagas.Owner) error {
	if err := CheckTenant(o.Tenant); err != nil {
		return err
	}
	if o.Subject == "" || len(o.Subject) > maxSubject || !utf8.ValidString(o.Subject) || strings.ContainsFunc(o.Subject, unicode.IsControl) {
		return errSubject
	}
	return nil
}

// CheckTenant returns an *Error when the name is not fit for a tenant.
func CheckTenant(name string) error {
	if !tenantPattern.MatchString(name) {
		return errTenant
	}
	return nil
}
