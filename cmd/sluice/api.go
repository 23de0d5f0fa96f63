package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"

	"github.com/sluice-media/sluice/handlers/api"
	"github.com/sluice-media/sluice/handlers/intake"
	"github.com/sluice-media/sluice/handlers/ops"
	"github.com/sluice-media/sluice/handlers/publish"
	"github.com/sluice-media/sluice/handlers/web"
	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/sagas"
)

// apiStage names the API in the history, as the store does when an upload begins. It has no queue.
const apiStage = "api"

type apiCommand struct {
	API      api.Config `embed:""`
	Web      web.Config `embed:"" prefix:"web-"`
	Backends backends   `embed:""`
}

// Validate reports every mistake at once. kong asks it before the parts, whose mistakes it would report one by one.
func (c *apiCommand) Validate() error {
	return errors.Join(c.API.Validate(), c.Backends.Validate())
}

// Run serves until ctx is done.
func (c *apiCommand) Run(ctx context.Context, log *slog.Logger) (err error) {
	defer runtime.KeepAlive(ballast())
	backends, err := c.Backends.connect(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.close(ctx)) }()

	storage, err := backends.objects.UploadURL()
	if err != nil {
		return err
	}
	site, err := web.New(c.Web, web.Elsewhere{Storage: storage, Media: c.API.MediaURL})
	if err != nil {
		return err
	}
	changes, err := sagas.NewChanges(c.Backends.Database, backends.pool, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() { changes.Run(ctx) })
	defer told.Wait()
	defer stop()

	objects := backends.objects.Within(c.API.StorageTimeout)
	arrived := intake.New(c.Backends.Incoming, objects)
	handler, err := api.New(ctx, c.API, api.Deps{
		Store:   backends.store,
		Objects: objects,
		Changes: changes,
		Confirm: func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			return backends.runner.Process(ctx, arrived, u, 1)
		},
		Cancel: func(ctx context.Context, u sagas.Upload) (sagas.Upload, error) {
			return backends.runner.Cancel(ctx, u, pipeline.Cancellation{
				By: apiStage, Published: publish.Copies{Objects: objects},
				Aborted: sagas.Reason{Code: sagas.ClientAborted, Detail: "aborted by the client"},
				Deleted: sagas.Reason{Code: sagas.ClientDeleted, Detail: "deleted by the client"},
			})
		},
		Mount:   site.Mount,
		Checks:  backends.checks(),
		Metrics: backends.registry,
		Log:     log,
	})
	if err != nil {
		return err
	}
	return ops.Serve(ctx, c.API.Listen, handler, log)
}
