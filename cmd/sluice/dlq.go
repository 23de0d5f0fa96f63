package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/deadletter"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/sagas"
)

type dlqCommand struct {
	List    dlqListCommand    `cmd:"" help:"Show how full the dead-letter queues are, and what lies there."`
	Show    dlqShowCommand    `cmd:"" help:"Show one dead letter and the upload that it is about."`
	Redrive dlqRedriveCommand `cmd:"" help:"Send dead letters back to their stage."`
	Discard dlqDiscardCommand `cmd:"" help:"Delete one dead letter."`
}

// letterBackends are what the commands about dead letters stand on.
type letterBackends struct {
	Database sagas.Config `embed:"" prefix:"database-"`
	SQS      sqs.Config   `embed:"" prefix:"sqs-"`
}

// Validate reports every mistake at once.
func (b letterBackends) Validate() error {
	return errors.Join(b.Database.Validate(), b.SQS.Validate())
}

// letterOffice is letterBackends in use.
type letterOffice struct {
	letters *deadletter.Queues
	store   *sagas.Store
	close   func()
}

func (b letterBackends) open(ctx context.Context) (*letterOffice, error) {
	aws, err := loadAWS(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := sagas.Connect(ctx, b.Database)
	if err != nil {
		return nil, err
	}
	client := sqs.NewClient(aws, b.SQS)
	return &letterOffice{
		letters: deadletter.New(client, sqs.NewQueues(client, b.SQS.Prefix)),
		store:   sagas.NewStore(pool, worker()),
		close:   pool.Close,
	}, nil
}

// checkStage reports a stage that there is not.
func checkStage(name string) error {
	if !slices.Contains(pipeline.Stages(), name) {
		return fmt.Errorf("stage: %q is not one of %s", name, strings.Join(pipeline.Stages(), ", "))
	}
	return nil
}

type dlqListCommand struct {
	Peek     int            `default:"10" help:"Most messages to show of each queue."`
	JSON     bool           `help:"Print one JSON object."`
	Backends letterBackends `embed:""`
}

// Validate reports every mistake at once. kong asks it before the backends, whose mistakes it would report alone.
func (c *dlqListCommand) Validate() error {
	err := c.Backends.Validate()
	if c.Peek < 0 {
		err = errors.Join(fmt.Errorf("peek: %d is negative", c.Peek), err)
	}
	return err
}

// Run shows all queues. It fails when one could not be looked into, after it has shown the others.
func (c *dlqListCommand) Run(ctx context.Context, k *kong.Context) error {
	office, err := c.Backends.open(ctx)
	if err != nil {
		return err
	}
	defer office.close()
	var boxes []letterBox
	var errs []error
	for _, stage := range pipeline.Stages() {
		box, err := office.look(ctx, stage, c.Peek)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		boxes = append(boxes, box)
	}
	if c.JSON {
		err = json.NewEncoder(k.Stdout).Encode(map[string]any{"queues": boxes})
	} else {
		err = printBoxes(k.Stdout, boxes)
	}
	return errors.Join(append(errs, err)...)
}

// look counts and, when there is anything, peeks.
func (o *letterOffice) look(ctx context.Context, stage string, most int) (letterBox, error) {
	depth, err := o.letters.Depth(ctx, stage)
	if err != nil {
		return letterBox{}, err
	}
	box := letterBox{Stage: stage, Depth: depth, Messages: []letter{}}
	if depth.Visible == 0 {
		return box, nil
	}
	messages, err := o.letters.Peek(ctx, stage, most)
	for _, m := range messages {
		box.Messages = append(box.Messages, o.read(ctx, m))
	}
	return box, err
}

type dlqShowCommand struct {
	ID       string         `arg:"" name:"id" help:"The message's id, as list shows it."`
	JSON     bool           `help:"Print one JSON object."`
	Backends letterBackends `embed:""`
}

// Run looks for the message in every dead-letter queue at once.
func (c *dlqShowCommand) Run(ctx context.Context, k *kong.Context) error {
	office, err := c.Backends.open(ctx)
	if err != nil {
		return err
	}
	defer office.close()
	stages := pipeline.Stages()
	messages := make([]*deadletter.Message, len(stages))
	var group errgroup.Group
	for i, stage := range stages {
		group.Go(func() error {
			m, err := office.letters.Find(ctx, stage, c.ID)
			if errors.Is(err, deadletter.ErrNoMessage) {
				return nil
			}
			messages[i] = &m
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, m := range messages {
		if m == nil {
			continue
		}
		found := office.read(ctx, *m)
		if c.JSON {
			return json.NewEncoder(k.Stdout).Encode(found)
		}
		return found.print(k.Stdout)
	}
	return fmt.Errorf("%w of any stage: %q", deadletter.ErrNoMessage, c.ID)
}

type dlqRedriveCommand struct {
	Stage        string         `arg:"" predictor:"stage" help:"The stage whose dead letters are sent back."`
	Message      string         `env:"-" placeholder:"ID" help:"Send back this message only."`
	MaxPerSecond int32          `help:"Most messages to move in a second, up to 500; 0 as fast as SQS likes."`
	JSON         bool           `help:"Print one JSON object."`
	Backends     letterBackends `embed:""`
}

// Validate reports every mistake at once. kong asks it before the parts, whose mistakes it would report one by one.
func (c *dlqRedriveCommand) Validate() error {
	errs := []error{checkStage(c.Stage), c.Backends.Validate()}
	if c.MaxPerSecond < 0 || c.MaxPerSecond > 500 {
		errs = append(errs, fmt.Errorf("max-per-second: %d is not between 0 and 500", c.MaxPerSecond))
	}
	return errors.Join(errs...)
}

// Run moves the messages and shows how far it has come.
func (c *dlqRedriveCommand) Run(ctx context.Context, k *kong.Context) error {
	office, err := c.Backends.open(ctx)
	if err != nil {
		return err
	}
	defer office.close()
	moved := int64(1)
	if c.Message != "" {
		err = office.letters.RedriveMessage(ctx, c.Stage, c.Message)
	} else {
		shown := newDisplay(k.Stderr, false)
		var last deadletter.Progress
		last, err = office.letters.Redrive(ctx, c.Stage, c.MaxPerSecond, func(p deadletter.Progress) {
			shown.line("%s: moved %d of about %d", c.Stage, p.Moved, p.ToMove)
		})
		moved = last.Moved
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.Stdout).Encode(map[string]any{"stage": c.Stage, "moved": moved})
	}
	_, err = fmt.Fprintf(k.Stdout, "%s: %d sent back\n", c.Stage, moved)
	return err
}

type dlqDiscardCommand struct {
	Stage    string         `arg:"" predictor:"stage" help:"The stage whose dead letter is deleted."`
	Message  string         `required:"" env:"-" placeholder:"ID" help:"The message's id, as list shows it."`
	Yes      bool           `short:"y" env:"-" help:"Do not ask."`
	JSON     bool           `help:"Print one JSON object."`
	Backends letterBackends `embed:""`
}

// Validate reports every mistake at once. kong asks it before the parts, whose mistakes it would report one by one.
func (c *dlqDiscardCommand) Validate() error {
	return errors.Join(checkStage(c.Stage), c.Backends.Validate())
}

// Run shows the message, asks and deletes it.
func (c *dlqDiscardCommand) Run(ctx context.Context, k *kong.Context) error {
	office, err := c.Backends.open(ctx)
	if err != nil {
		return err
	}
	defer office.close()
	if !c.Yes {
		m, err := office.letters.Find(ctx, c.Stage, c.Message)
		if err != nil {
			return err
		}
		if err := office.read(ctx, m).print(k.Stderr); err != nil {
			return err
		}
		agreed, err := ask(os.Stdin, k.Stderr, "Delete it for good?")
		if err != nil {
			return err
		}
		if !agreed {
			return errors.New("nothing was deleted")
		}
	}
	if err := office.letters.Discard(ctx, c.Stage, c.Message); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.Stdout).Encode(map[string]any{"stage": c.Stage, "discarded": c.Message})
	}
	_, err = fmt.Fprintf(k.Stdout, "%s: %s deleted\n", c.Stage, c.Message)
	return err
}

// ask puts a question whose answer is no unless it begins with a y. Where nobody answers it is no.
func ask(in io.Reader, out io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprintf(out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y"), nil
}
