package e2e

import (
	"fmt"
	"strconv"
	"testing"
)

func TestManyAtOnce(t *testing.T) {
	const files, parallel = 200, 16
	good := photo(t)
	args := []string{"--parallel", strconv.Itoa(parallel)}
	for i := range files {
		args = append(args, file(t, fmt.Sprintf("%d.jpg", i), withComment(good, fmt.Sprint(t.Name(), i))))
	}
	uploads := send(t, 0, args...)
	if len(uploads) != files {
		t.Fatalf("%d answers for %d files", len(uploads), files)
	}
	for _, u := range uploads {
		if u.State != "ready" || len(u.Variants) != 1 {
			t.Errorf("%s is %s (%+v)", u.Filename, u.State, u.Reason)
		}
	}
}
