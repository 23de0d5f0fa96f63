package thumbnail

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestDefaultsAreValid(t *testing.T) {
	var c Config
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if len(c.Sizes) != 1 || c.Sizes[0] != 200 || c.Quality == 0 || c.MaxHeldPixels >= c.MaxPixels {
		t.Errorf("the defaults are %+v", c)
	}
}

func TestValidateReportsEveryMistake(t *testing.T) {
	err := Config{Sizes: []int{0, 300, 300}, Quality: 101, MaxPixels: -1, Concurrency: -1}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"0 is not within", "300 is named twice", "quality", "max-bytes", "max-pixels", "max-held-pixels", "concurrency"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "sizes is empty") {
		t.Errorf("no sizes: %v", err)
	}
}
