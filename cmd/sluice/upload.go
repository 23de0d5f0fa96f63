package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"
)

type uploadCmd struct {
	Files []argument `arg:"" optional:"" name:"file" help:"Files, folders and patterns such as 'photos/**/*.jpg'; - reads a list of them from standard input."`

	Null      bool   `short:"0" env:"-" help:"What - reads ends in NUL characters, not in line breaks."`
	FromStdin bool   `env:"-" help:"Upload what standard input holds, as one file. It is kept on disk until it is sent."`
	Filename  string `env:"-" placeholder:"NAME" help:"The name of that file."`

	ContentType string            `name:"type" aliases:"content-type" placeholder:"TYPE" help:"Media type to declare, such as image/jpeg, instead of what the content looks like or, where it tells nothing, the name says."`
	Method      string            `enum:"auto,put,post,multipart" default:"auto" help:"How to send: put, post (as an HTML form does), multipart (in parts), or auto, which leaves it to the service: put, or multipart for a large file."`
	Metadata    map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUE" help:"Note to keep with every file; may be repeated."`
	SHA256      bool              `name:"sha256" default:"true" negatable:"" help:"Read every file once before it is sent, so that nothing but its very bytes can become ready."`

	Parallel int           `short:"j" default:"4" help:"Files in flight at once."`
	Parts    int           `default:"4" help:"Parts of one file in flight at once."`
	NoWait   bool          `env:"-" help:"End when the files have arrived, not when they are ready."`
	Timeout  time.Duration `default:"30m" help:"How long to wait for the outcome of a file that was sent, such as 90s, 30m or 2h."`
	Resume   bool          `default:"true" negatable:"" help:"Go on with uploads that an earlier call did not bring to their end."`
	StateDir string        `type:"path" placeholder:"FOLDER" help:"Folder for what is needed for that: a small file for each upload. Unset, it is sluice/uploads in XDG_STATE_HOME or ~/.local/state."`
	JSON     bool          `help:"Print one JSON object a line and file: what GET /v1/uploads/{id} answers, and the path; with error, why it was not sent or its outcome is not known. The progress goes to standard error."`

	Remote remote `embed:""`
}

// Help implements kong.HelpProvider.
func (uploadCmd) Help() string {
	return `Each file goes straight to object storage, a large one in parts. In folders all files are taken, except those whose names begin with a dot. A file that is named twice is sent once. Interrupted or killed, the same command goes on where it stopped: parts that have arrived are not sent again.

The exit status is 0 when all files are ready (with --no-wait: have arrived), 1 when one is not, 2 when the command is wrong, 130 when it was interrupted.`
}

var errInterrupted = errors.New("interrupted; the same command goes on where this one stopped")

// Run uploads all files and reports each.
func (c *uploadCmd) Run(ctx context.Context, k *kong.Context) error {
	api, base, err := c.Remote.connect(c.Parallel * c.Parts)
	if err != nil {
		return err
	}
	notes, err := c.notes(base)
	if err != nil {
		return err
	}
	paths := files{args: c.paths(), null: c.Null}
	if !paths.countable() {
		paths.stdin = untilDone(ctx, os.Stdin)
	}
	if c.FromStdin {
		path, remove, err := spool(untilDone(ctx, os.Stdin), c.Filename)
		if ctx.Err() != nil {
			return errInterrupted
		}
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
	defer context.AfterFunc(ctx, u.display.home)()
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

// Validate reports every mistake at once.
func (c *uploadCmd) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Parallel < 1 {
		wrong("parallel: %d is not positive", c.Parallel)
	}
	if c.Parts < 1 {
		wrong("parts: %d is not positive", c.Parts)
	}
	if c.Timeout <= 0 {
		wrong("timeout: %s is not positive", c.Timeout)
	}
	if slices.Contains(c.Files, "") {
		wrong("file: a name is empty")
	}
	switch base := filepath.Base(c.Filename); {
	case c.FromStdin && len(c.Files) > 0:
		wrong("from-stdin: takes no other files")
	case c.FromStdin && c.Filename == "":
		wrong("from-stdin: needs the file's name, by --filename")
	case c.FromStdin && (base == "." || base == ".." || base == "/"):
		wrong("filename: %q is a folder", c.Filename)
	case !c.FromStdin && c.Filename != "":
		wrong("filename: is for --from-stdin")
	case !c.FromStdin && len(c.Files) == 0:
		wrong("name files, folders or patterns to upload, or use --from-stdin")
	}
	return errors.Join(errs...)
}

func (c *uploadCmd) paths() []string {
	paths := make([]string, len(c.Files))
	for i, f := range c.Files {
		paths[i] = string(f)
	}
	return paths
}

func (c *uploadCmd) notes(base string) (*notes, error) {
	if !c.Resume {
		return nil, nil
	}
	return openNotes(c.StateDir, fmt.Sprint(base, c.ContentType, c.Method, c.Metadata))
}

// all uploads the files as they are found. Its error is one of printing.
func (u *uploader) all(ctx context.Context, paths files, report *report) error {
	if u.display.bars != nil && paths.countable() {
		counting, stop := context.WithCancel(ctx)
		defer stop()
		u.display.counts.expected = true
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
				u.display.skip()
				return report.add(i, path, nil, err)
			}
			result, err := u.upload(ctx, i, path)
			return report.add(i, path, result, err)
		})
	}
	return group.Wait()
}

// spool keeps what r holds in a file of that name, until it is removed.
func spool(r io.Reader, name string) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-upload-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // the system's own cleaning is left
	path, err = copyTo(dir, name, r)
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("keeping standard input: %w", err)
	}
	return path, remove, nil
}

// untilDone reads r until ctx ends, which it does not wait for r to notice.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) }) // it never fails
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err)
	}()
	return out
}
