package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// provision creates Role and its database unless they exist. The role may create databases of its own,
// which tests make use of.
func (c *cluster) provision(ctx context.Context) (err error) {
	connection, err := pgx.Connect(ctx, c.url(superuser, superuser))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close(ctx)) }()

	role := pgx.Identifier{Role}.Sanitize()
	var roleExists, databaseExists bool
	err = connection.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		EXISTS (SELECT FROM pg_database WHERE datname = $1)`, Role).Scan(&roleExists, &databaseExists)
	if err != nil {
		return fmt.Errorf("look for role and database: %w", err)
	}
	if !roleExists {
		// A utility statement takes no parameters: the server quotes the password for us.
		var statement string
		err = connection.QueryRow(ctx, `SELECT format('CREATE ROLE %I LOGIN CREATEDB PASSWORD %L', $1::text, $2::text)`,
			Role, c.Password).Scan(&statement)
		if err == nil {
			_, err = connection.Exec(ctx, statement)
		}
		if err != nil {
			return fmt.Errorf("create role %s: %w", Role, err)
		}
	}
	if !databaseExists {
		if _, err := connection.Exec(ctx, "CREATE DATABASE "+role+" OWNER "+role); err != nil {
			return fmt.Errorf("create database %s: %w", Role, err)
		}
	}
	return nil
}
