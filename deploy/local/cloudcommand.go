package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/sluice-media/sluice/deploy/local/cloud"
)

type cloudCommand struct {
	S3Addr    string `name:"s3-addr" help:"Address of the S3 server, host:port." default:"127.0.0.1:8082"`
	SQSAddr   string `help:"Address of the SQS server, host:port." default:"127.0.0.1:8083"`
	Data      string `help:"Folder of objects and messages; they stay over restarts." default:".sluice-cloud" type:"path"`
	Region    string `help:"Region that clients sign for." default:"us-east-1" env:"AWS_REGION"`
	AccessKey string `help:"Access key of the root account." env:"AWS_ACCESS_KEY_ID"`
	SecretKey string `help:"Secret key of the root account." env:"AWS_SECRET_ACCESS_KEY"`
}

// Run serves until ctx ends.
func (c *cloudCommand) Run(ctx context.Context, console console) (err error) {
	if c.AccessKey == "" || c.SecretKey == "" {
		return errors.New("the root account needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	running, err := cloud.Start(ctx, cloud.Config{
		DataDir:   dir,
		S3Addr:    c.S3Addr,
		SQSAddr:   c.SQSAddr,
		Region:    c.Region,
		AccessKey: c.AccessKey,
		SecretKey: c.SecretKey,
		Logger:    slog.New(slog.NewTextHandler(console.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		err = errors.Join(err, running.Close(stopping))
	}()
	if _, err := fmt.Fprintf(console.stdout, "ready: S3 at http://%s, SQS at http://%s\n", running.S3Addr(), running.SQSAddr()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
