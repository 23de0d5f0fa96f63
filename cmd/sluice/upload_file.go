package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
)

// uploader takes files from the disk to their outcome.
type uploader struct {
	api     *client.Client
	options *uploadCmd
	notes   *notes // nil: nothing is resumed
	display *display
}

// upload sends one file and waits. A nil upload could not be sent; with an error, any other may still become
// ready.
func (u *uploader) upload(ctx context.Context, path string) (*v1.Upload, error) {
	info, err := os.Stat(path) // before a pipe is opened, which would wait for somebody to write
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "upload", Path: path, Err: errors.New("not a regular file")}
	case info.Size() == 0:
		return nil, errEmpty
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	shown := u.display.track(filepath.Base(path), info.Size())
	defer shown.end()
	n := u.notes.find(path, info)
	if n.SHA256 == "" && u.options.SHA256 {
		if n.SHA256, err = digest(ctx, file, info.Size()); err != nil {
			return nil, err
		}
	}
	declared, err := u.declare(file, info, n.SHA256)
	if err != nil {
		return nil, err
	}
	result, err := u.send(ctx, file, declared, n, shown)
	if err != nil {
		u.display.line("%s: %v", declared.Filename, err)
	}
	if result.ID == "" {
		return nil, err
	}
	return &result, err
}

// send sends the file, as far as it has not arrived, and waits for its outcome.
func (u *uploader) send(ctx context.Context, file *os.File, declared v1.NewUpload, n note, shown *tracked) (v1.Upload, error) {
	result, err := u.api.Upload(ctx, file, declared, client.Options{
		Resume: n.ID, Parallel: u.options.Parts, NoWait: true, Progress: shown.sent,
		OnBegun: func(begun v1.Upload) error {
			n.ID = begun.ID
			return u.notes.write(n)
		},
	})
	if err == nil && !u.options.NoWait {
		shown.changed(result)
		waiting, cancel := context.WithTimeoutCause(ctx, u.options.Timeout, errNoOutcome)
		defer cancel()
		var outcome v1.Upload
		if outcome, err = u.api.Wait(waiting, result.ID, shown.changed); outcome.ID != "" {
			result = outcome
		}
	}
	if err == nil {
		u.notes.done(n)
	}
	return result, err
}

func (u *uploader) declare(file *os.File, info fs.FileInfo, sum string) (v1.NewUpload, error) {
	contentType := u.options.ContentType
	if contentType == "" {
		var err error
		if contentType, err = typeOf(file); err != nil {
			return v1.NewUpload{}, err
		}
	}
	return v1.NewUpload{
		Filename: strings.ToValidUTF8(filepath.Base(file.Name()), "\uFFFD"), ContentType: contentType,
		Size: info.Size(), SHA256: sum, Metadata: u.options.Metadata,
	}, nil
}

// digest reads size bytes of the file.
func digest(ctx context.Context, file io.ReaderAt, size int64) (string, error) {
	hash := sha256.New()
	_, err := io.Copy(hash, &interruptible{ctx, io.NewSectionReader(file, 0, size)})
	return hex.EncodeToString(hash.Sum(nil)), err
}

// interruptible reads until ctx ends.
type interruptible struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
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
