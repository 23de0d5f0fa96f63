package s3

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
)

const (
	maxCopySize = 5 << 30 // bytes per CopyObject, as in S3
	folderMode  = 0o700
)

// openStore opens the folder of objects and the one of their old versions.
func openStore(dir string) (*posix.Posix, error) {
	objects, versions := filepath.Join(dir, "objects"), filepath.Join(dir, "versions")
	for _, folder := range []string{objects, versions} {
		if err := os.MkdirAll(folder, folderMode); err != nil {
			return nil, fmt.Errorf("create the data folder: %w", err)
		}
	}
	attributes := meta.XattrMeta{}
	if err := attributes.Test(objects); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	var store *posix.Posix
	err := withoutStdout(func() (err error) {
		store, err = posix.New(objects, attributes, posix.PosixOpts{
			VersioningDir:       versions,
			CopyObjectThreshold: maxCopySize,
			Concurrency:         maxRequests,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	return store, nil
}

// withoutStdout calls f while os.Stdout leads nowhere, because the storage
// backend prints a banner and standard output belongs to the command that
// runs on the local stack.
func withoutStdout(f func() error) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("silence standard output: %w", err)
	}
	stdout := os.Stdout
	os.Stdout = null
	defer func() { os.Stdout = stdout }()
	return errors.Join(f(), null.Close())
}
