package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gabriel-vasile/mimetype"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

type uploadCmd struct {
	Files       []string      `arg:"" name:"file" help:"Files to upload."`
	JSON        bool          `help:"Print one JSON object a line and file, as GET /v1/uploads/{id} answers, and the progress to standard error."`
	ContentType string        `help:"Media type to declare, instead of what the content looks like or, where it tells nothing, the name says."`
	Parallel    int           `short:"j" default:"4" help:"Files in flight at once."`
	Timeout     time.Duration `default:"30m" help:"How long to wait for the outcome of a file that was sent."`
	Remote      remote        `embed:""`
}

// Help implements kong.HelpProvider.
func (uploadCmd) Help() string {
	return "Each file goes straight to object storage. The exit status is 0 when all of them are ready, 1 when one is not, 2 when the command is wrong."
}

// Run uploads all files and reports each.
func (c *uploadCmd) Run(ctx context.Context, k *kong.Context) error {
	api, err := c.Remote.client(c.Parallel)
	if err != nil {
		return err
	}
	if c.Parallel < 1 || c.Timeout <= 0 {
		return &configError{errors.New("parallel and timeout must be positive")}
	}
	mixed := c.JSON && isTerminal(k.Stdout) // bars and answers on the same screen would overwrite each other
	u := uploader{
		api: api, contentType: c.ContentType, timeout: c.Timeout,
		display: newDisplay(k.Stderr, isTerminal(k.Stderr) && !mixed),
	}
	report := &report{out: k.Stdout, json: c.JSON, texts: make([]string, len(c.Files))}
	var group errgroup.Group
	group.SetLimit(c.Parallel)
	for i, path := range c.Files {
		group.Go(func() error {
			result, err := u.upload(ctx, path)
			return report.add(i, path, result, err)
		})
	}
	err = group.Wait()
	u.display.close()
	return errors.Join(err, report.finish())
}

var errNoOutcome = errors.New("no outcome in time")

// uploader takes files from the disk to their outcome.
type uploader struct {
	api         *client.Client
	contentType string // empty: what the content looks like
	timeout     time.Duration
	display     *display
}

// upload sends one file and waits. A nil upload could not be sent; with an error, any other may still become
// ready.
func (u *uploader) upload(ctx context.Context, path string) (*v1.Upload, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	declared, err := u.declare(file)
	if err != nil {
		return nil, err
	}
	begun, err := u.api.Begin(ctx, declared)
	if err != nil {
		return nil, err
	}
	shown := u.display.track(declared.Filename, declared.Size)
	defer shown.end()
	if err := u.api.Put(ctx, begun.Permission, file, declared.Size, shown.sent); err != nil {
		return nil, err
	}
	done, err := u.await(ctx, begun.ID, shown)
	if err != nil {
		u.display.line("%s: %v", declared.Filename, err)
	}
	if done.ID == "" {
		done = begun.Upload
	}
	return &done, err
}

// await returns the outcome of an upload that was sent, or how far it came within the timeout.
func (u *uploader) await(ctx context.Context, id string, shown *tracked) (v1.Upload, error) {
	var refused *client.Error
	if up, err := u.api.Complete(ctx, id); errors.As(err, &refused) && refused.Status < 500 {
		return up, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.timeout, errNoOutcome)
	defer cancel()
	return u.api.Wait(ctx, id, shown.changed)
}

// declare reads the file once for what has to be known before it is sent.
func (u *uploader) declare(file *os.File) (v1.NewUpload, error) {
	info, err := file.Stat()
	if err != nil {
		return v1.NewUpload{}, err
	}
	if !info.Mode().IsRegular() {
		return v1.NewUpload{}, &fs.PathError{Op: "upload", Path: file.Name(), Err: errors.New("not a regular file")}
	}
	contentType := u.contentType
	if contentType == "" {
		if contentType, err = typeOf(file); err != nil {
			return v1.NewUpload{}, err
		}
	}
	hash := sha256.New()
	size, err := io.Copy(hash, io.NewSectionReader(file, 0, info.Size()))
	if err != nil {
		return v1.NewUpload{}, err
	}
	return v1.NewUpload{
		Filename: strings.ToValidUTF8(filepath.Base(file.Name()), "\uFFFD"), ContentType: contentType,
		Size: size, SHA256: hex.EncodeToString(hash.Sum(nil)), Method: "put",
	}, nil
}

// typeOf is what a file looks like, or, when its content tells nothing, what its name says.
func typeOf(file *os.File) (string, error) {
	looks, err := mimetype.DetectReader(file)
	if err != nil {
		return "", err
	}
	name := mime.TypeByExtension(filepath.Ext(file.Name()))
	if name == "" || !looks.Is("text/plain") && !looks.Is("application/octet-stream") {
		name = looks.String()
	}
	mediaType, _, err := mime.ParseMediaType(name)
	return mediaType, err
}

// report prints what became of the files: objects as they come, texts in the order of the files.
type report struct {
	out  io.Writer
	json bool

	mu       sync.Mutex
	texts    []string
	notReady int
}

// notSent stands for a file that has no upload.
type notSent struct {
	Filename string    `json:"filename"`
	Error    v1.Reason `json:"error"`
}

// add takes the result of file i. Its error is one of printing.
func (r *report) add(i int, path string, u *v1.Upload, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u == nil || !u.Ready() {
		r.notReady++
	}
	why := explain(err)
	switch {
	case r.json && u == nil:
		return json.NewEncoder(r.out).Encode(notSent{Filename: filepath.Base(path), Error: why})
	case r.json:
		return json.NewEncoder(r.out).Encode(u)
	case u == nil:
		r.texts[i] = fmt.Sprintf("%s  not sent\n  %s: %s\n", path, why.Code, why.Detail)
	case err != nil:
		r.texts[i] = summary(*u) + fmt.Sprintf("  %s: %s\n", why.Code, why.Detail)
	default:
		r.texts[i] = summary(*u)
	}
	return nil
}

// finish prints the texts. Its error says how many files are not ready.
func (r *report) finish() error {
	if !r.json {
		if _, err := io.WriteString(r.out, strings.Join(r.texts, "")); err != nil {
			return err
		}
	}
	if r.notReady > 0 {
		return fmt.Errorf("%d of %d files are not ready", r.notReady, len(r.texts))
	}
	return nil
}

// explain gives an error of an upload a code.
func explain(err error) v1.Reason {
	var refused *client.Error
	switch {
	case err == nil:
		return v1.Reason{}
	case errors.As(err, &refused):
		return v1.Reason{Code: refused.Code, Detail: refused.Explanation()}
	case errors.As(err, new(*fs.PathError)):
		return v1.Reason{Code: "unreadable", Detail: err.Error()}
	case errors.Is(err, errNoOutcome):
		return v1.Reason{Code: "timeout", Detail: err.Error()}
	case errors.Is(err, context.Canceled):
		return v1.Reason{Code: "interrupted", Detail: err.Error()}
	}
	return v1.Reason{Code: "unreachable", Detail: err.Error()}
}
