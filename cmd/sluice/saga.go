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
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// operatorStage names the operator in the history. It has no queue.
const operatorStage = "operator"

// abortTries is how often an abort is tried of an upload that moves on meanwhile; there are fewer moves on the line.
const abortTries = 8

type sagaCommand struct {
	Show  sagaShowCommand  `cmd:"" help:"Show all that is known of an upload, whoever owns it."`
	Retry sagaRetryCommand `cmd:"" help:"Send the message again that an upload waits for."`
	Abort sagaAbortCommand `cmd:"" help:"Abort an upload that has no outcome yet."`
}

type sagaShowCommand struct {
	ID       uuid.UUID    `arg:"" name:"id" help:"The upload's id."`
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
	u, err := store.Load(ctx, c.ID)
	if err != nil {
		return err
	}
	history, err := store.History(ctx, c.ID)
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
	ID       uuid.UUID `arg:"" name:"id" help:"The upload's id."`
	JSON     bool      `help:"Print one JSON object."`
	Backends backends  `embed:""`
}

// Run sends the message, or looks for the object of an upload that has not arrived: there is no message for that.
func (c *sagaRetryCommand) Run(ctx context.Context, k *kong.Context, log *slog.Logger) (err error) {
	b, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	u, err := b.store.Load(ctx, c.ID)
	if err != nil {
		return err
	}
	stage := pipeline.WaitsFor(u)
	switch stage {
	case "":
		return fmt.Errorf("the upload is %s and everyone was told: there is nothing to retry", u.State)
	case pipeline.Intake:
		u, err = b.runner.Process(ctx, intake.New(b.objects), u, 1)
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
	ID       uuid.UUID `arg:"" name:"id" help:"The upload's id."`
	JSON     bool      `help:"Print one JSON object."`
	Backends backends  `embed:""`
}

// Run ends the upload and has its outcome delivered. Its objects stay where they are.
func (c *sagaAbortCommand) Run(ctx context.Context, k *kong.Context, log *slog.Logger) (err error) {
	b, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	u, err := abort(ctx, b.store, c.ID)
	if err != nil {
		return err
	}
	stage := pipeline.WaitsFor(u)
	if err := b.runner.Send(ctx, stage, u); err != nil {
		return fmt.Errorf("the upload is aborted, but who waits for it will be told by a later sweep only: %w", err)
	}
	return moved{ID: u.ID, State: u.State, SentTo: stage}.print(k.Stdout, c.JSON)
}

// abort moves the upload to aborted from wherever it stands on the line.
func abort(ctx context.Context, store *sagas.Store, id uuid.UUID) (sagas.Upload, error) {
	for try := 1; ; try++ {
		u, err := store.Load(ctx, id)
		if err != nil {
			return u, err
		}
		if u.State.Terminal() { // aborted too: moving that to itself would count as its delivery
			return u, fmt.Errorf("the upload is %s already: only one without an outcome can be aborted", u.State)
		}
		u, err = store.Advance(ctx, sagas.Change{
			ID: id, Stage: operatorStage, From: u.State, To: sagas.Aborted, StartedAt: u.ReadAt,
			Reason: sagas.Reason{Code: sagas.OperatorAborted, Detail: "aborted by an operator"},
		})
		if !errors.Is(err, sagas.ErrMoved) || try == abortTries {
			return u, err
		}
	}
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
