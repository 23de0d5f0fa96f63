package thumbnail

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"testing"

	"github.com/h2non/bimg"
)

// BenchmarkRender renders a photograph of 12 megapixels, upright and turned.
func BenchmarkRender(b *testing.B) {
	setUpVips()
	large, err := bimg.NewImage(photo(b)).Process(bimg.Options{Width: 4000, Height: 3000, Force: true, Enlarge: true, Type: bimg.JPEG, Quality: 92})
	if err != nil {
		b.Fatal(err)
	}
	if c, err := jpeg.DecodeConfig(bytes.NewReader(large)); err != nil || c.Width*c.Height != 12_000_000 {
		b.Fatalf("%d × %d: %v", c.Width, c.Height, err)
	}
	for name, src := range map[string][]byte{"upright": large, "turned": withEXIF(b, formatJPEG, large, 6)} {
		for _, sizes := range [][]int{{200}, {200, 800, 1600}} {
			b.Run(fmt.Sprintf("%s/%v", name, sizes), func(b *testing.B) {
				r := NewRenderer(config(sizes...))
				for b.Loop() {
					if _, err := r.Render(b.Context(), src); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
