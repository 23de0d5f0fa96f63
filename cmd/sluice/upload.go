package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"
)

type uploadCmd struct {
	Files []string `arg:"" optional:"" name:"file" help:"Files, folders and patterns such as 'photos/**/*.jpg'; - reads a list of them from standard input."`

	Null      bool   `short:"0" env:"-" help:"What - reads ends in NUL characters, not in line breaks."`
	FromStdin bool   `env:"-" help:"Upload what standard input holds, as one file. It is kept on disk until it is sent."`
	Filename  string `env:"-" help:"The name of that file."`

	ContentType string            `name:"type" aliases:"content-type" help:"Media type to declare, instead of what the content looks like or, where it tells nothing, the name says."`
	Metadata    map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUE" help:"Note to keep with every file; may be repeated."`
	SHA256      bool              `name:"sha256" default:"true" negatable:"" help:"Read every file once before it is sent, so that nothing but its very bytes can become ready."`

	Parallel int           `short:"j" default:"4" help:"Files in flight at once."`
	Parts    int           `default:"4" help:"Parts of one file in flight at once."`
	NoWait   bool          `env:"-" help:"End when the files have arrived, not when they are ready."`
	Timeout  time.Duration `default:"30m" help:"How long to wait for the outcome of a file that was sent."`
	Resume   bool          `default:"true" negatable:"" help:"Go on with uploads that an earlier call did not bring to their end."`
	StateDir string        `type:"path" help:"Folder for what is needed for that: a small file for each upload. Unset, it is sluice/uploads in XDG_STATE_HOME or ~/.local/state."`
	JSON     bool          `help:"Print one JSON object a line and file: what GET /v1/uploads/{id} answers, and the path; with error, why it was not sent or its outcome is not known. The progress goes to standard error."`

	Remote remote `embed:""`
}

// Help implements kong.HelpProvider.
func (uploadCmd) Help() string {
	return `Each file goes straight to object storage, a large one in parts. In folders all files are taken, except those whose names begin with a dot. Interrupted or killed, the same command goes on where it stopped: parts that have arrived are not sent again.

The exit status is 0 when all files are ready (with --no-wait: have arrived), 1 when one is not, 2 when the command is wrong, 130 when it was interrupted.`
}

var errInterrupted = errors.New("interrupted; the same command goes on where this one stopped")

// Run uploads all files and reports each.
func (c *uploadCmd) Run(ctx context.Context, k *kong.Context) error {
	if err := c.check(); err != nil {
		return &configError{err}
	}
	api, base, err := c.Remote.connect(c.Parallel * c.Parts)
	if err != nil {
		return err
	}
	notes, err := c.notes(base)
	if err != nil {
		return err
	}
	paths := files{args: c.Files, null: c.Null, stdin: os.Stdin}
	if c.FromStdin {
		path, remove, err := spool(ctx, os.Stdin, c.Filename)
		if err != nil {
			return err
		}
		defer remove()
		paths, notes = files{args: []string{path}}, nil
	}
	mixed := c.JSON && isTerminal(k.Stdout) // bars and answers on the same screen would overwrite each other
	u := uploader{
		api: api, options: c, notes: notes,
		display: newDisplay(k.Stderr, isTerminal(k.Stderr) && !mixed),
	}
	report := &report{out: k.Stdout, json: c.JSON, enough: enough(c.NoWait)}
	if isTerminal(k.Stdout) {
		report.out = u.display.out
	}
	err = u.all(ctx, paths, report)
	u.display.close()
	if ctx.Err() != nil {
		return errors.Join(err, errInterrupted)
	}
	return errors.Join(err, notes.forget(), report.finish())
}

func (c *uploadCmd) check() error {
	switch {
	case c.Parallel < 1 || c.Parts < 1 || c.Timeout <= 0:
		return errors.New("parallel, parts and timeout must be positive")
	case c.FromStdin && (c.Filename == "" || len(c.Files) > 0):
		return errors.New("from-stdin needs the file's name by --filename, and takes no other files")
	case !c.FromStdin && c.Filename != "":
		return errors.New("filename is for --from-stdin")
	case !c.FromStdin && len(c.Files) == 0:
		return errors.New("no file is given")
	}
	return nil
}

func (c *uploadCmd) notes(base string) (*notes, error) {
	if !c.Resume {
		return nil, nil
	}
	return openNotes(c.StateDir, fmt.Sprint(base, c.ContentType, c.Metadata))
}

// all uploads the files as they are found. Its error is one of printing.
func (u *uploader) all(ctx context.Context, paths files, report *report) error {
	if u.display.bars != nil && paths.countable() {
		counting, stop := context.WithCancel(ctx)
		defer stop()
		u.display.counted = true
		go u.display.expect(counting, paths)
	}
	var group errgroup.Group
	group.SetLimit(u.options.Parallel)
	number := 0
	for path, err := range paths.all() {
		if ctx.Err() != nil {
			break
		}
		i := number
		number++
		group.Go(func() error {
			if err != nil {
				return report.add(i, path, nil, err)
			}
			result, err := u.upload(ctx, path)
			return report.add(i, path, result, err)
		})
	}
	return group.Wait()
}

// spool keeps what r holds in a file of that name, until it is removed.
func spool(ctx context.Context, r io.Reader, name string) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-upload-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // the system's own cleaning is left
	path, err = copyTo(dir, name, &interruptible{ctx, r})
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("keeping standard input: %w", err)
	}
	return path, remove, nil
}
