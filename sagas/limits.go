package sagas

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Limits are what one tenant may do, as far as that is not the deployment's default: a nil field is. Of the first
// three, 0 is no limit.
type Limits struct {
	Tenant            string
	RequestsPerSecond *float64
	FilesInFlight     *int64
	BytesInFlight     *int64
	MaxSize           *int64   // bytes
	AllowedTypes      []string // nil: the default
	UpdatedAt         time.Time
}

const (
	limitColumns = `tenant, requests_per_second, files_in_flight, bytes_in_flight, max_size, allowed_types, updated_at`

	readLimitsSQL = `SELECT ` + limitColumns + ` FROM tenant_limits WHERE tenant = @tenant`

	setLimitsSQL = `
INSERT INTO tenant_limits AS set (tenant, requests_per_second, files_in_flight, bytes_in_flight, max_size, allowed_types)
VALUES (@tenant, @requests, @files, @bytes, @size, @types)
ON CONFLICT (tenant) DO UPDATE SET
	requests_per_second = coalesce(excluded.requests_per_second, set.requests_per_second),
	files_in_flight     = coalesce(excluded.files_in_flight, set.files_in_flight),
	bytes_in_flight     = coalesce(excluded.bytes_in_flight, set.bytes_in_flight),
	max_size            = coalesce(excluded.max_size, set.max_size),
	allowed_types       = coalesce(excluded.allowed_types, set.allowed_types),
	updated_at          = now()
RETURNING ` + limitColumns

	clearLimitsSQL = `DELETE FROM tenant_limits WHERE tenant = @tenant`
)

// Limits returns the tenant's; a tenant without any has the defaults.
func (s *Store) Limits(ctx context.Context, tenant string) (Limits, error) {
	return s.limits(ctx, readLimitsSQL, pgx.NamedArgs{"tenant": tenant})
}

// SetLimits sets the fields of l that are not nil, and leaves the others as they are. It returns all of them.
func (s *Store) SetLimits(ctx context.Context, l Limits) (Limits, error) {
	return s.limits(ctx, setLimitsSQL, pgx.NamedArgs{
		"tenant": l.Tenant, "requests": l.RequestsPerSecond, "files": l.FilesInFlight, "bytes": l.BytesInFlight,
		"size": l.MaxSize, "types": l.AllowedTypes,
	})
}

// ClearLimits gives the tenant the defaults again.
func (s *Store) ClearLimits(ctx context.Context, tenant string) error {
	if _, err := s.execute(ctx, clearLimitsSQL, pgx.NamedArgs{"tenant": tenant}); err != nil {
		return fmt.Errorf("clearing the limits of tenant %s: %w", tenant, err)
	}
	return nil
}

func (s *Store) limits(ctx context.Context, sql string, args pgx.NamedArgs) (Limits, error) {
	found, err := all(ctx, s.pool, sql, args, func(row pgx.CollectableRow) (l Limits, err error) {
		err = row.Scan(&l.Tenant, &l.RequestsPerSecond, &l.FilesInFlight, &l.BytesInFlight, &l.MaxSize, &l.AllowedTypes, &l.UpdatedAt)
		return l, err
	})
	if err != nil {
		return Limits{}, fmt.Errorf("reading the limits of tenant %s: %w", args["tenant"], err)
	}
	if len(found) == 0 {
		return Limits{}, nil
	}
	return found[0], nil
}
