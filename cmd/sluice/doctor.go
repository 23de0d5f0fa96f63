package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/sluice-media/sluice/handlers/doctor"
	"github.com/sluice-media/sluice/handlers/scan"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

type doctorCommand struct {
	JSON     bool          `help:"Print one JSON object."`
	Doctor   doctor.Config `embed:""`
	Backends backends      `embed:""`
	Scan     scan.Config   `embed:""`
}

// Help implements kong.HelpProvider.
func (doctorCommand) Help() string {
	return "Each check prints one line: ok, warn or FAIL, what is wrong, and the fix. A tiny file is uploaded, followed and removed; " +
		"no stage works on it and nobody is notified. The exit status is 1 when a check fails, 2 when the command is wrong."
}

// Validate reports every mistake at once. kong asks it before the parts, whose mistakes it would report one by one.
func (c *doctorCommand) Validate() error {
	return errors.Join(c.Doctor.Validate(), c.Backends.Validate(), c.Scan.Validate())
}

// Run examines everything that the API and the workers stand on.
func (c *doctorCommand) Run(ctx context.Context, k *kong.Context) error {
	aws, err := loadAWS(ctx)
	if err != nil {
		return err
	}
	pool, err := sagas.Connect(ctx, c.Backends.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	expected := c.Doctor
	expected.MaxReceives = c.Backends.Pipeline.MaxReceives()
	expected.ScanMaxSize = c.Scan.MaxSize
	expected.TestSignatures = c.Backends.ClamdTestSignatures
	client := sqs.NewClient(aws, c.Backends.SQS)
	report := doctor.New(expected, doctor.Deps{
		Credentials: aws.Credentials,
		Objects:     storage.New(aws, c.Backends.S3), //nolint:contextcheck // finding out where a bucket is needs no network
		SQS:         client,
		Queues:      sqs.NewQueues(client, c.Backends.SQS.Prefix),
		Pool:        pool,
		Store:       sagas.NewStore(pool, worker()),
		Clamd:       scan.NewClamd(c.Scan.ClamdAddress),
	}).Examine(ctx)
	if err := printReport(k.Stdout, report, c.JSON); err != nil {
		return err
	}
	if failures := report.Failures(); failures > 0 {
		return fmt.Errorf("%d of %d checks fail", failures, len(report.Findings))
	}
	return nil
}

// statusWords make what fails stand out.
var statusWords = map[doctor.Status]string{doctor.OK: "ok", doctor.Warn: "warn", doctor.Fail: "FAIL"}

func printReport(w io.Writer, r doctor.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		line := f.Detail
		if f.Fix != "" {
			line += "; fix: " + f.Fix
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", statusWords[f.Status], f.Check, line); err != nil {
			return err
		}
	}
	return table.Flush()
}
