package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"testing"
)

var encoders = map[format]func(testing.TB, image.Image) []byte{
	formatJPEG: asJPEG,
	formatPNG:  asPNG,
	formatWebP: asWebP,
}

func TestEveryOrientationLandsUpright(t *testing.T) {
	for f, encode := range encoders {
		for orientation := 1; orientation <= 8; orientation++ {
			t.Run(fmt.Sprintf("%s %d", f, orientation), func(t *testing.T) {
				src := withEXIF(t, f, encode(t, stored(quarters(640, 400), orientation)), orientation)
				m := render(t, src, 40, 160)
				if m.Width != 640 || m.Height != 400 {
					t.Errorf("the source is said to be %d × %d", m.Width, m.Height)
				}
				for i, want := range []image.Point{{40, 25}, {160, 100}} {
					r := m.Renditions[i]
					if got := (image.Point{r.Width, r.Height}); got != want {
						t.Errorf("rendition %d is %v, want %v", r.Size, got, want)
					}
					checkQuarters(t, look(t, r))
				}
			})
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name   string
		w, h   int
		size   int
		ww, wh int
	}{
		{"landscape", 900, 600, 200, 200, 133},
		{"portrait", 600, 900, 200, 133, 200},
		{"square", 500, 500, 200, 200, 200},
		{"not a multiple of the shrink on load", 813, 509, 200, 200, 125},
		{"just larger", 201, 100, 200, 200, 100},
		{"the same", 200, 120, 200, 200, 120},
		{"never enlarged", 150, 100, 200, 150, 100},
		{"one pixel", 1, 1, 200, 1, 1},
		{"a line across", 4000, 1, 200, 200, 1},
		{"a line down", 1, 4000, 200, 1, 200},
		{"very wide", 5000, 10, 200, 200, 1},
	} {
		for f, encode := range encoders {
			t.Run(fmt.Sprintf("%s %s", c.name, f), func(t *testing.T) {
				// The larger second size makes the first come from it and not from the source.
				m := render(t, encode(t, quarters(c.w, c.h)), c.size, 450)
				if m.Width != c.w || m.Height != c.h {
					t.Errorf("the source is said to be %d × %d", m.Width, m.Height)
				}
				r := m.Renditions[0]
				if r.Width != c.ww || r.Height != c.wh {
					t.Errorf("got %d × %d, want %d × %d", r.Width, r.Height, c.ww, c.wh)
				}
				look(t, r)
			})
		}
	}
}

func TestSmallestFirst(t *testing.T) {
	m := render(t, photo(t), 800, 200, 1600)
	for i, want := range []Rendition{{Size: 200, Width: 200, Height: 113}, {Size: 800, Width: 800, Height: 450}, {Size: 1600, Width: 1600, Height: 900}} {
		r := m.Renditions[i]
		if r.Size != want.Size || r.Width != want.Width || r.Height != want.Height || r.Type != "image/jpeg" || r.Ext != ".jpg" {
			t.Errorf("rendition %d is %d: %d × %d, %s %s", i, r.Size, r.Width, r.Height, r.Type, r.Ext)
		}
	}
}

func TestColorsBecomeSRGB(t *testing.T) {
	patches := []color.NRGBA{{200, 60, 40, 255}, {60, 160, 70, 255}, {50, 80, 190, 255}, {128, 128, 128, 255}}
	for name, tolerance := range map[string]int{"display-p3.png": 4, "interlaced.png": 4, "cmyk.jpg": 36} {
		t.Run(name, func(t *testing.T) {
			m := look(t, render(t, fixture(t, name), 64).Renditions[0])
			for i, want := range patches {
				checkColor(t, m, 16*i+8, 8, want, tolerance)
			}
		})
	}
}

func TestUnusableProfileIsIgnored(t *testing.T) {
	src := withSegments(asJPEG(t, quarters(80, 80)), jpegSegment(0xE2, "ICC_PROFILE\x00\x01\x01"+string(bytes.Repeat([]byte("junk"), 64))))
	checkQuarters(t, look(t, render(t, src, 40).Renditions[0]))
}

func TestDepthsAndChannels(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 300, 200))
	grey16 := image.NewGray16(grey.Rect)
	deep := image.NewNRGBA64(grey.Rect)
	for i := range grey.Pix {
		grey.Pix[i] = 100
	}
	for y := range 200 {
		for x := range 300 {
			grey16.SetGray16(x, y, color.Gray16{100 << 8})
			deep.SetNRGBA64(x, y, color.NRGBA64{200 << 8, 100 << 8, 50 << 8, 0xFFFF})
		}
	}
	for _, c := range []struct {
		name string
		src  []byte
		want color.NRGBA
	}{
		{"grey jpeg", asJPEG(t, grey), color.NRGBA{100, 100, 100, 255}},
		{"grey png", asPNG(t, grey), color.NRGBA{100, 100, 100, 255}},
		{"16-bit grey png", asPNG(t, grey16), color.NRGBA{100, 100, 100, 255}},
		{"16-bit png", asPNG(t, deep), color.NRGBA{200, 100, 50, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := render(t, c.src, 30, 90)
			for _, r := range m.Renditions {
				if r.Type != "image/jpeg" {
					t.Errorf("an opaque picture became %s", r.Type)
				}
				checkColor(t, look(t, r), 15, 10, c.want, 4)
			}
		})
	}
}

func TestTransparencyIsKept(t *testing.T) {
	// What is transparent is black underneath: none of it may bleed into the red.
	half := paint(400, 400, func(x, _ int) color.Color {
		if x < 200 {
			return red
		}
		return color.NRGBA{}
	})
	for f, encode := range map[format]func(testing.TB, image.Image) []byte{formatPNG: asPNG, formatWebP: asWebP} {
		t.Run(string(f), func(t *testing.T) {
			for _, r := range render(t, encode(t, half), 50, 150).Renditions {
				if r.Type != "image/webp" || r.Ext != ".webp" {
					t.Fatalf("a picture with transparent parts became %s, %s", r.Type, r.Ext)
				}
				m := look(t, r)
				checkColor(t, m, r.Width/8, r.Height/2, red, 14)
				if _, _, _, a := m.At(r.Width-2, r.Height/2).RGBA(); a != 0 {
					t.Errorf("the transparent half has alpha %#x", a)
				}
				for x := range r.Width {
					if c := nrgba(t, m.At(x, r.Height/2)); c.A > 128 && c.R < 180 {
						t.Errorf("%d px: pixel %d is %v: the colour beneath bled into it", r.Size, x, c)
					}
				}
			}
		})
	}
}

func TestOpaqueAlphaIsDropped(t *testing.T) {
	nearly := quarters(64, 64)
	nearly.SetNRGBA(3, 3, color.NRGBA{R: 220, G: 30, B: 30, A: 254})
	if r := render(t, asPNG(t, nearly), 64).Renditions[0]; r.Type != "image/webp" {
		t.Errorf("a picture that is not opaque became %s", r.Type)
	}
	src := asWebP(t, quarters(64, 64))
	h, err := readHeader(src)
	if err != nil {
		t.Fatal(err)
	}
	const alphaFlag = 0x10
	if r := render(t, webp(vp8x(alphaFlag, h.width, h.height), imageChunk(t, src)), 32).Renditions[0]; r.Type != "image/jpeg" {
		t.Errorf("an opaque picture became %s", r.Type)
	}
}

func TestAnimationShowsItsFirstFrame(t *testing.T) {
	src := animation(t, quarters(200, 100), image.NewNRGBA(image.Rect(0, 0, 200, 100)))
	m := render(t, src, 50)
	if m.Width != 200 || m.Height != 100 {
		t.Errorf("the source is said to be %d × %d", m.Width, m.Height)
	}
	checkQuarters(t, look(t, m.Renditions[0]))
}

func TestCancelledContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := NewRenderer(config(40))
	if _, err := r.Render(ctx, asPNG(t, quarters(80, 80))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestCancelledBetweenRenditions(t *testing.T) {
	r := NewRenderer(config(40, 60))
	p, err := decode(asPNG(t, quarters(80, 80)), loadOptions{format: formatPNG, shrink: 1}, 60)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if made, err := r.renditions(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("got %d renditions and %v, want the context's error", len(made), err)
	}
}

func TestRenderWaitsForASlot(t *testing.T) {
	c := config(40)
	c.Concurrency = 1
	r := NewRenderer(c)
	if err := r.slots.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.Render(ctx, asPNG(t, quarters(80, 80)))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("rendered without a slot: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}
