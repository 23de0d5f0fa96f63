// Package sagas is the ground floor of Sluice: the record of one upload, the states it moves through and the
// Postgres store that keeps both.
//
// An upload moves along one line, and may leave it at any step:
//
//	initiated ─▶ uploaded ─▶ verified ─▶ clean ─▶ processed ─▶ ready ─▶ deleted
//	    │            │           │         │          │
//	    │            │           │         │          └──▶ failed
//	    │            │           │         └─────────────▶ rejected, failed
//	    │            │           └───────────────────────▶ rejected, infected, unscannable, failed
//	    │            └───────────────────────────────────▶ rejected, failed
//	    └────────────────────────────────────────────────▶ expired
//
// Every state up to processed can also be aborted by the client, and every terminal state can become deleted.
// The table in state.go is the only list of what is allowed; the database repeats the names in a CHECK.
//
// A move is one compare-and-set on the state that also appends its row to upload_transitions, in one statement.
// All times are the database's.
//
// A statement that lost against another transaction, or whose connection broke, is tried again a few times; what a
// lost reply leaves open, Begin and Advance find out. Behind a pooler in transaction mode set Config.ExecMode to
// cache_describe or exec, and Config.DirectURL for Migrate.
//
// Who waits for an upload watches it through Changes. Each move is announced on the channel sluice_uploads after it was
// committed, a few at a time; Changes listens on one connection of its own, to Config.DirectURL.
//
// The store needs PostgreSQL 14 or newer and the right to create tables in its schema for
// Migrate.
package sagas
