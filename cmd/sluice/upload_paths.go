package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/bmatcuk/doublestar/v4"
)

// standardInput is the argument that stands for a list of paths on standard input.
const standardInput = "-"

// argument is one of the command line as it is. kong alone would replace bytes that are not UTF-8.
type argument string

// Decode implements kong.MapperValue.
func (a *argument) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("path")
	if err != nil {
		return err
	}
	*a = argument(fmt.Sprint(token.Value))
	return nil
}

// files are the files that a command names. They are found one by one: a folder of millions costs no memory.
type files struct {
	args  []string
	null  bool // how the entries of stdin end
	stdin io.Reader
}

// countable reports whether the files can be looked for twice.
func (f files) countable() bool { return !slices.Contains(f.args, standardInput) }

// all finds the files in the order in which they are named, each once. What cannot be looked into comes with an error.
func (f files) all() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if len(f.args) > 1 || !f.countable() {
			yield = once(yield)
		}
		for _, arg := range f.args {
			if arg != standardInput {
				if !expand(arg, yield) {
					return
				}
				continue
			}
			lines := bufio.NewScanner(f.stdin)
			if f.null {
				lines.Split(scanNull)
			}
			for lines.Scan() {
				if path := lines.Text(); path != "" && !expand(path, yield) {
					return
				}
			}
			if err := lines.Err(); err != nil && !yield("standard input", err) {
				return
			}
		}
	}
}

// once yields every file the first time that it is named. It remembers their digests only.
func once(yield func(string, error) bool) func(string, error) bool {
	seen := map[[sha256.Size]byte]struct{}{}
	return func(path string, err error) bool {
		absolute, absErr := filepath.Abs(path)
		if err != nil || absErr != nil {
			return yield(path, err)
		}
		digest := sha256.Sum256([]byte(absolute))
		if _, ok := seen[digest]; ok {
			return true
		}
		seen[digest] = struct{}{}
		return yield(path, nil)
	}
}

// expand yields a file, the files of a folder or those that match a pattern. It reports whether to go on.
func expand(arg string, yield func(string, error) bool) bool {
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		return walk(arg, yield)
	case err != nil && strings.ContainsAny(arg, "*?[{"):
		return match(arg, yield)
	}
	return yield(arg, err)
}

// walk yields the files of a folder and those below it, without what is hidden.
func walk(root string, yield func(string, error) bool) bool {
	more := true
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error { // all errors are yielded
		hidden := path != root && strings.HasPrefix(filepath.Base(path), ".")
		switch {
		case err != nil:
			more = yield(path, err)
		case hidden && entry.IsDir():
			return fs.SkipDir
		case !hidden && isFile(path, entry):
			more = yield(path, nil)
		}
		if !more {
			return fs.SkipAll
		}
		return nil
	})
	return more
}

// isFile reports a regular file, or a link to one.
func isFile(path string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// match yields the files that match a pattern, and does not look into hidden folders; that there are none is an error.
func match(pattern string, yield func(string, error) bool) bool {
	base, rest := doublestar.SplitPattern(filepath.ToSlash(pattern))
	more, found := true, false
	err := doublestar.GlobWalk(os.DirFS(base), rest, func(path string, entry fs.DirEntry) error {
		path = filepath.Join(base, filepath.FromSlash(path))
		if !isFile(path, entry) {
			return nil
		}
		found = true
		if more = yield(path, nil); !more {
			return fs.SkipAll
		}
		return nil
	}, doublestar.WithNoHidden())
	switch {
	case !more:
		return false
	case err != nil:
		return yield(pattern, err)
	case !found:
		return yield(pattern, &fs.PathError{Op: "match", Path: pattern, Err: fs.ErrNotExist})
	}
	return true
}

// scanNull splits at NUL characters.
func scanNull(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
