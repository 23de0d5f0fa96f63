package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// report prints what became of the files: objects as they come, texts in the order of the files.
type report struct {
	out    io.Writer
	json   bool
	enough func(v1.Upload) bool // whether an upload has come as far as was asked

	mu     sync.Mutex
	files  int
	short  int            // files that have not come that far
	texts  map[int]string // those that wait for an earlier one
	spoken int            // texts that were printed
}

// enough is what an upload must have come to for the exit status 0.
func enough(arrived bool) func(v1.Upload) bool {
	if arrived {
		return func(u v1.Upload) bool { return u.Ready() || !u.Settled() && u.State != "initiated" }
	}
	return v1.Upload.Ready
}

// sentFile and unsentFile are the objects of files with and without an upload.
type sentFile struct {
	v1.Upload
	Path  string     `json:"path"`
	Error *v1.Reason `json:"error,omitempty"`
}

type unsentFile struct {
	Filename string     `json:"filename"`
	Path     string     `json:"path"`
	Error    *v1.Reason `json:"error"`
}

// add takes the result of file i. Its error is one of printing.
func (r *report) add(i int, path string, u *v1.Upload, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files++
	if u == nil || err != nil || !r.enough(*u) {
		r.short++
	}
	why := explain(err)
	var text string
	switch {
	case r.json && u == nil:
		return json.NewEncoder(r.out).Encode(unsentFile{Filename: filepath.Base(path), Path: path, Error: why})
	case r.json:
		return json.NewEncoder(r.out).Encode(sentFile{Upload: *u, Path: path, Error: why})
	case u == nil:
		text = fmt.Sprintf("%s  not sent\n  %s: %s\n", printable(path), why.Code, why.Detail)
	case err != nil:
		text = summary(*u) + fmt.Sprintf("  %s: %s\n", why.Code, why.Detail)
	default:
		text = summary(*u)
	}
	if r.texts == nil {
		r.texts = map[int]string{}
	}
	r.texts[i] = text
	for text, ok := r.texts[r.spoken]; ok; text, ok = r.texts[r.spoken] {
		delete(r.texts, r.spoken)
		r.spoken++
		if _, err := io.WriteString(r.out, text); err != nil {
			return err
		}
	}
	return nil
}

// finish returns an error that says how many files have not come as far as was asked.
func (r *report) finish() error {
	if r.files == 0 {
		return errors.New("there are no files in what was named")
	}
	if r.short > 0 {
		return fmt.Errorf("%d of %d files are not ready", r.short, r.files)
	}
	return nil
}

// explain gives an error of an upload a code; none has none.
func explain(err error) *v1.Reason {
	var refused *client.Error
	var path *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errChanged):
		return &v1.Reason{Code: "changed", Detail: err.Error()}
	case errors.Is(err, errNote):
		return &v1.Reason{Code: "not_noted", Detail: err.Error()}
	case errors.As(err, &refused):
		return &v1.Reason{Code: refused.Code, Detail: refused.Explanation()}
	case errors.Is(err, errEmpty):
		return &v1.Reason{Code: "empty", Detail: err.Error()}
	case errors.As(err, &path): // the path is told beside it
		return &v1.Reason{Code: "unreadable", Detail: path.Err.Error()}
	case errors.As(err, new(*client.FileError)):
		return &v1.Reason{Code: "unreadable", Detail: err.Error()}
	case errors.Is(err, errNoOutcome):
		return &v1.Reason{Code: "timeout", Detail: errNoOutcome.Error()}
	case errors.Is(err, context.Canceled):
		return &v1.Reason{Code: "interrupted", Detail: "stopped before its end"}
	}
	return &v1.Reason{Code: "unreachable", Detail: err.Error()}
}
