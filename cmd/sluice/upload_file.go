package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path/filepath"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

var (
	errNoOutcome = errors.New("no outcome in time")
	errEmpty     = errors.New("the file is empty")
	errChanged   = errors.New("the file has changed while it was sent; what had been sent of it was given up")
)

// uploader takes files from the disk to their outcome.
type uploader struct {
	api     *client.Client
	options *uploadCmd
	notes   *notes // nil: nothing is resumed
	display *display
}

// upload sends file i and waits. A nil upload could not be sent; with an error, any other may still become ready.
func (u *uploader) upload(ctx context.Context, i int, path string) (*v1.Upload, error) {
	info, err := os.Stat(path) // before a pipe is opened, which would wait for somebody to write
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "upload", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		u.display.skip()
		return nil, err
	}
	shown := u.display.track(i, filepath.Base(path), info.Size())
	defer shown.end()
	if info.Size() == 0 {
		return nil, errEmpty
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	n := u.notes.find(path, info)
	if n.foreign {
		shown.line("is being sent by another process too; this upload cannot be gone on with later")
	}
	if n.SHA256 == "" && u.options.SHA256 {
		if n.SHA256, err = digest(ctx, file, info.Size(), shown); err != nil {
			return nil, err
		}
	}
	declared, err := u.declare(file, info, n.SHA256)
	if err != nil {
		return nil, err
	}
	result, err := u.send(ctx, file, declared, n, shown)
	switch {
	case ctx.Err() == nil && hasChanged(file, info):
		result, err = u.giveUp(ctx, result)
	case err == nil && !u.options.NoWait:
		result, err = u.wait(ctx, result, shown)
	}
	if err == nil {
		u.notes.done(n)
	} else {
		shown.line("%s", explain(err).Detail)
	}
	if result.ID == "" {
		return nil, err
	}
	return &result, err
}

// send sends the file, as far as it has not arrived.
func (u *uploader) send(ctx context.Context, file *os.File, declared v1.NewUpload, n note, shown *tracked) (v1.Upload, error) {
	return u.api.Upload(ctx, file, declared, client.Options{
		Resume: n.ID, Parallel: u.options.Parts, NoWait: true, Progress: shown.sent,
		OnBegun: func(begun v1.Upload) error {
			n.ID = begun.ID
			return u.notes.write(n)
		},
	})
}

// wait waits for the outcome of what has arrived.
func (u *uploader) wait(ctx context.Context, arrived v1.Upload, shown *tracked) (v1.Upload, error) {
	shown.changed(arrived)
	waiting, cancel := context.WithTimeoutCause(ctx, u.options.Timeout, errNoOutcome)
	defer cancel()
	outcome, err := u.api.Wait(waiting, arrived.ID, shown.changed)
	if outcome.ID == "" {
		outcome = arrived
	}
	return outcome, err
}

// giveUp ends the upload of a file that is not any more what it was when it was begun.
func (u *uploader) giveUp(ctx context.Context, begun v1.Upload) (v1.Upload, error) {
	if begun.ID == "" {
		return begun, errChanged
	}
	ended, err := u.api.Delete(ctx, begun.ID)
	if err != nil {
		return begun, fmt.Errorf("%w, or should have been: %w", errChanged, err)
	}
	return ended, errChanged
}

func hasChanged(file *os.File, since fs.FileInfo) bool {
	now, err := file.Stat()
	return err == nil && (now.Size() != since.Size() || !now.ModTime().Equal(since.ModTime()))
}

func (u *uploader) declare(file *os.File, info fs.FileInfo, sum string) (v1.NewUpload, error) {
	contentType := u.options.ContentType
	if contentType == "" {
		var err error
		if contentType, err = typeOf(file); err != nil {
			return v1.NewUpload{}, err
		}
	}
	method := u.options.Method
	if method == "auto" {
		method = ""
	}
	return v1.NewUpload{
		Filename: strings.ToValidUTF8(filepath.Base(file.Name()), "\uFFFD"), ContentType: contentType,
		Size: info.Size(), SHA256: sum, Method: method, Metadata: u.options.Metadata,
	}, nil
}

// digest reads size bytes of the file, and shows how far it is.
func digest(ctx context.Context, file io.ReaderAt, size int64, shown *tracked) (string, error) {
	hash := sha256.New()
	from := &readTracked{ctx: ctx, from: io.NewSectionReader(file, 0, size), shown: shown}
	_, err := io.Copy(hash, from)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// readTracked reads until ctx ends.
type readTracked struct {
	ctx   context.Context
	from  io.Reader
	shown *tracked
	n     int64
}

// Read implements io.Reader.
func (r *readTracked) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.from.Read(p)
	r.n += int64(n)
	r.shown.read(r.n)
	return n, err
}

// typeOf is what a file looks like, or, when its content tells nothing, what its name says.
func typeOf(file *os.File) (string, error) {
	looks, err := mimetype.DetectReader(io.NewSectionReader(file, 0, 1<<20))
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

// copyTo writes what r holds into a new file of a folder.
func copyTo(dir, name string, r io.Reader) (path string, err error) {
	file, err := os.OpenFile(filepath.Join(dir, filepath.Base(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, r)
	return file.Name(), errors.Join(err, file.Close())
}
