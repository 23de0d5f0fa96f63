package sagas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoAPIKey reports an API key that does not exist.
var ErrNoAPIKey = errors.New("no such api key")

// APIKey is what the database knows of a key that a program calls the API with. The key itself is not in it.
type APIKey struct {
	ID         string
	Owner      Owner  // whom it speaks for
	Name       string // what it is for, to people
	Hash       []byte // SHA-256 of its secret
	CreatedAt  time.Time
	LastUsedAt *time.Time // to a minute or so; nil: never
	ExpiresAt  *time.Time // nil: never
	RevokedAt  *time.Time // nil: not revoked
}

// Good reports whether the key can be used at the given time.
func (k APIKey) Good(at time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || at.Before(*k.ExpiresAt))
}

const (
	apiKeyColumns = `id, tenant, owner, name, hash, created_at, last_used_at, expires_at, revoked_at` //nolint:gosec // names, not secrets

	addAPIKeySQL = `
INSERT INTO api_keys (id, tenant, owner, name, hash, expires_at)
VALUES (@id, @tenant, @owner, @name, @hash, now() + @lifetime::interval)
RETURNING ` + apiKeyColumns

	readAPIKeySQL   = `SELECT ` + apiKeyColumns + ` FROM api_keys WHERE id = @id`
	listAPIKeysSQL  = `SELECT ` + apiKeyColumns + ` FROM api_keys WHERE @tenant = '' OR tenant = @tenant ORDER BY tenant, owner, created_at, id`
	useAPIKeySQL    = `UPDATE api_keys SET last_used_at = now() WHERE id = @id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')` //nolint:gosec // as above
	revokeAPIKeySQL = `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id RETURNING ` + apiKeyColumns
)

// AddAPIKey writes a key with the id, owner, name and hash of k. It expires after lifetime; 0 is never.
func (s *Store) AddAPIKey(ctx context.Context, k APIKey, lifetime time.Duration) (APIKey, error) {
	args := pgx.NamedArgs{
		"id": k.ID, "tenant": k.Owner.Tenant, "owner": k.Owner.Subject, "name": k.Name, "hash": k.Hash,
		"lifetime": nullable(lifetime),
	}
	added, err := s.apiKey(ctx, addAPIKeySQL, args)
	if err != nil {
		return APIKey{}, fmt.Errorf("adding an api key: %w", err)
	}
	return added, nil
}

// APIKey returns the key with this id, good or not, or ErrNoAPIKey.
func (s *Store) APIKey(ctx context.Context, id string) (APIKey, error) {
	return s.apiKey(ctx, readAPIKeySQL, pgx.NamedArgs{"id": id})
}

// APIKeys lists the keys of a tenant, or of all when tenant is empty.
func (s *Store) APIKeys(ctx context.Context, tenant string) ([]APIKey, error) {
	keys, err := all(ctx, s.pool, listAPIKeysSQL, pgx.NamedArgs{"tenant": tenant}, scanAPIKey)
	if err != nil {
		return nil, fmt.Errorf("listing api keys: %w", err)
	}
	return keys, nil
}

// UseAPIKey notes that the key was used, at most once a minute.
func (s *Store) UseAPIKey(ctx context.Context, id string) error {
	if _, err := s.execute(ctx, useAPIKeySQL, pgx.NamedArgs{"id": id}); err != nil {
		return fmt.Errorf("noting the use of api key %s: %w", id, err)
	}
	return nil
}

// RevokeAPIKey ends a key, or returns ErrNoAPIKey. One that is revoked already stays as it is.
func (s *Store) RevokeAPIKey(ctx context.Context, id string) (APIKey, error) {
	return s.apiKey(ctx, revokeAPIKeySQL, pgx.NamedArgs{"id": id})
}

func (s *Store) apiKey(ctx context.Context, sql string, args pgx.NamedArgs) (APIKey, error) {
	found, err := all(ctx, s.pool, sql, args, scanAPIKey)
	if err != nil {
		return APIKey{}, fmt.Errorf("reading an api key: %w", err)
	}
	if len(found) == 0 {
		return APIKey{}, ErrNoAPIKey
	}
	return found[0], nil
}

func scanAPIKey(row pgx.CollectableRow) (k APIKey, err error) {
	err = row.Scan(&k.ID, &k.Owner.Tenant, &k.Owner.Subject, &k.Name, &k.Hash,
		&k.CreatedAt, &k.LastUsedAt, &k.ExpiresAt, &k.RevokedAt)
	return k, err
}
