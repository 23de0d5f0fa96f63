package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-media/sluice/sagas"
)

// oldestPostgres is the first version that has all that the store uses, as server_version_num.
const oldestPostgres = 140000

func (d *Doctor) examineDatabase(ctx context.Context) []Finding {
	const check = "database"
	var version int
	var name string
	err := d.Pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')").Scan(&version, &name)
	if err != nil {
		return []Finding{broken(check, "check SLUICE_DATABASE_URL, and that PostgreSQL runs and lets this host in", err)}
	}
	findings := []Finding{ok(check, "PostgreSQL %s answers", name)}
	if version < oldestPostgres {
		findings[0] = fail(check, "upgrade to PostgreSQL 14 or newer", "PostgreSQL %s is too old", name)
	}
	return append(findings, d.checkMigrations(ctx), d.checkDatabaseClock(ctx))
}

func (d *Doctor) checkMigrations(ctx context.Context) Finding {
	const check = "migrations"
	err := sagas.CheckSchema(ctx, d.Pool)
	switch {
	case errors.Is(err, sagas.ErrOldSchema):
		return fail(check, "run `sluice migrate`", "the schema is not up to date")
	case err != nil:
		return broken(check, "let the database's user read the schema's version", err)
	}
	return ok(check, "all are applied")
}

func (d *Doctor) checkDatabaseClock(ctx context.Context) Finding {
	var shown time.Time
	before := time.Now()
	if err := d.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&shown); err != nil {
		return broken("clock of PostgreSQL", clockFix, err)
	}
	return checkClock("PostgreSQL", skew(shown, time.Microsecond, before, time.Now()))
}
