package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// statementCounter is a pgx tracer that counts statements.
type statementCounter struct {
	reads, writes atomic.Int64
}

// statementCounts are the statements of one process.
type statementCounts struct {
	Reads  int64 `json:"reads"`
	Writes int64 `json:"writes"`
}

// TraceQueryStart implements pgx.QueryTracer.
func (c *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	switch {
	case strings.Contains(data.SQL, "INSERT INTO") || strings.Contains(data.SQL, "UPDATE uploads"):
		c.writes.Add(1)
	case strings.Contains(data.SQL, "SELECT"):
		c.reads.Add(1)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (c *statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func readStatements(path string) (counts statementCounts, err error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return counts, err
	}
	return counts, json.Unmarshal(body, &counts)
}
