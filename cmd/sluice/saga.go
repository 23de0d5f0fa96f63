package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// operatorStage names the operator in the history. It has no queue.
const operatorStage = "operator"

type sagaCommand struct {
	Show  sagaShowCommand  `cmd:"" help:"Show all that is known of an upload, whoever owns it."`
	Retry sagaRetryCommand `cmd:"" help:"Send the message again that an upload waits for."`
	Abort sagaAbortCommand `cmd:"" help:"Abort an upload that has no outcome yet."`
}

type sagaShowCommand struct {
	ID       uploadID     `arg:"" name:"id" help:"The upload's id."`
	JSON     bool         `help:"Print one JSON object."`
	Database sagas.Config `embed:"" prefix:"database-"`
}

// Run shows the record and its history.
func (c *sagaShowCommand) Run(ctx context.Context, k *kong.Context) error {
	pool, err := sagas.Connect(ctx, c.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := sagas.NewStore(pool, worker())
	u, err := store.Load(ctx, c.ID.UUID)
	if err != nil {
		return err
	}
	history, err := store.History(ctx, c.ID.UUID)
	if err != nil {
		return err
	}
	record := newSagaRecord(u, history)
	if c.JSON {
		return json.NewEncoder(k.Stdout).Encode(record)
	}
	return record.print(k.Stdout)
}

type sagaRetryCommand struct {
	ID       uploadID `arg:"" name:"id" help:"The upload's id."`
	JSON     bool     `help:"Print one JSON object."`
	Backends backends `embed:""`
}

// Run sends the message, or looks for the object of an upload that has not arrived: there is no message for that.
func (c *sagaRetryCommand) Run(ctx context.Context, k *kong.Context, log *slog.Logger) (err error) {
	b, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	u, err := b.store.Load(ctx, c.ID.UUID)
	if err != nil {
		return err
	}
	stage := pipeline.WaitsFor(u)
	switch stage {
	case "":
		return fmt.Errorf("the upload is %s and everyone was told: there is nothing to retry", u.State)
	case pipeline.Intake:
		u, err = b.runner.Process(ctx, intake.New(c.Backends.Incoming, b.objects), u, 1)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("nothing has been uploaded to %s/%s; the client may until %s", u.Bucket, u.Key, u.ExpiresAt.Format(time.RFC3339))
		}
		stage = pipeline.WaitsFor(u)
	default:
		err = b.runner.Send(ctx, stage, u)
	}
	if err != nil {
		return err
	}
	return moved{ID: u.ID, State: u.State, SentTo: stage}.print(k.Stdout, c.JSON)
}

type sagaAbortCommand struct {
	ID       uploadID `arg:"" name:"id" help:"The upload's id."`
	JSON     bool     `help:"Print one JSON object."`
	Backends backends `embed:""`
}

// Run ends the upload. Its objects are removed and its outcome is delivered as for any other.
func (c *sagaAbortCommand) Run(ctx context.Context, k *kong.Context, log *slog.Logger) (err error) {
	b, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	u, err := b.store.Load(ctx, c.ID.UUID)
	if err != nil {
		return err
	}
	u, err = b.runner.Abort(ctx, u, pipeline.Cancellation{
		By: operatorStage, Published: publish.Copies{Objects: b.objects},
		Aborted: sagas.Reason{Code: sagas.OperatorAborted, Detail: "aborted by an operator"},
	})
	if errors.Is(err, pipeline.ErrSettled) {
		return fmt.Errorf("the upload is %s already: only one without an outcome can be aborted", u.State)
	}
	if err != nil && u.State == sagas.Aborted {
		return fmt.Errorf("the upload is aborted, but what is left of it will be removed and who waits for it told by a later sweep only: %w", err)
	}
	if err != nil {
		return err
	}
	return moved{ID: u.ID, State: u.State, SentTo: pipeline.Settle}.print(k.Stdout, c.JSON)
}

// moved is what retry and abort have done.
type moved struct {
	ID     uuid.UUID   `json:"id"`
	State  sagas.State `json:"state"`
	SentTo string      `json:"sent_to"`
}

func (m moved) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(m)
	}
	_, err := fmt.Fprintf(w, "%s is %s; sent to %s\n", m.ID, m.State, m.SentTo)
	return err
}
