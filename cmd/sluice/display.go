package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// display shows several uploads at work: a line for every step and, on a terminal, a bar for every file.
type display struct {
	mu   sync.Mutex
	out  io.Writer
	bars *mpb.Progress // nil without a terminal

	total       *mpb.Bar // of all files; nil without a terminal
	files, over atomic.Int64
	size        atomic.Int64 // bytes of all files
	counted     bool         // whether expect does the counting
}

func newDisplay(out io.Writer, bars bool) *display {
	if !bars {
		return &display{out: out}
	}
	p := mpb.New(mpb.WithOutput(out))
	d := &display{out: p, bars: p}
	d.total = p.AddBar(0, mpb.BarPriority(math.MaxInt),
		mpb.PrependDecorators(
			decor.Any(func(decor.Statistics) string { return fmt.Sprintf("%d of %d files", d.over.Load(), d.files.Load()) }, decor.WCSyncSpaceR),
			decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace),
		),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpaceR)),
	)
	return d
}

// expect counts the files before their turn comes. Those that cannot be looked at are left to be reported then.
func (d *display) expect(ctx context.Context, paths files) {
	for path, err := range paths.all() {
		if ctx.Err() != nil {
			return
		}
		if info, statErr := os.Stat(path); err == nil && statErr == nil && info.Mode().IsRegular() {
			d.count(info.Size())
		}
	}
}

func (d *display) count(size int64) {
	d.files.Add(1)
	d.total.SetTotal(d.size.Add(size), false)
}

// close shows what is still to be shown, once every file has ended. Nothing can be shown after it.
func (d *display) close() {
	if d.bars != nil {
		d.total.Abort(true)
		d.bars.Wait()
	}
}

func (d *display) line(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.out, format+"\n", args...) // a display that is gone must not stop an upload
}

// tracked is one file on the display.
type tracked struct {
	display *display
	name    string
	size    int64    // bytes
	bar     *mpb.Bar // nil without a terminal
	state   atomic.Value
	shown   int64 // the last step that was shown
	sum     int64 // bytes that the total has of this file
}

// track shows a file of size bytes until it ends.
func (d *display) track(name string, size int64) *tracked {
	t := &tracked{display: d, name: name, size: size}
	t.state.Store("reading")
	if d.bars == nil {
		return t
	}
	if !d.counted {
		d.count(size)
	}
	t.bar = d.bars.AddBar(0, // without a total, or the bar would end with the transfer
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprint(t.state.Load()) }, decor.WCSyncSpaceR)),
	)
	t.bar.SetTotal(size, false)
	return t
}

// sent shows how much of the file has left; it starts with 0, and again with every further try.
func (t *tracked) sent(n int64) {
	if t.state.Swap("sending") == "reading" && t.bar == nil {
		t.display.line("%s: sending %.1f", t.name, decor.SizeB1024(t.size))
	}
	if t.bar != nil {
		t.bar.SetCurrent(n)
		t.display.total.IncrInt64(n - t.sum)
		t.sum = n
	}
}

// changed shows what the upload has done since the last call.
func (t *tracked) changed(u v1.Upload) {
	t.state.Store(u.State)
	for _, s := range u.History {
		if s.Seq > t.shown {
			t.shown = s.Seq
			t.display.line("%s", step(t.name, u, s))
		}
	}
}

// end takes the file's bar away.
func (t *tracked) end() {
	if t.bar != nil {
		t.bar.Abort(true)
		t.display.over.Add(1)
	}
}

// step tells one step with the time since the upload began and what its stage took of it.
func step(name string, u v1.Upload, t v1.Transition) string {
	what := t.To
	if t.From == t.To {
		what = "notified"
	}
	since := t.FinishedAt.Sub(u.CreatedAt).Round(time.Millisecond)
	took := time.Duration(t.DurationMS) * time.Millisecond
	return fmt.Sprintf("%s: %-11s %8s  (%s %s)", name, what, since, t.Stage, took)
}

// summary is what became of an upload, and where it is.
func summary(u v1.Upload) string {
	lines := []string{fmt.Sprintf("%s  %s  %s", u.Filename, u.State, u.ID)}
	if u.Reason != nil {
		lines = append(lines, fmt.Sprintf("  %s: %s", u.Reason.Code, u.Reason.Detail))
	}
	if u.URL != "" {
		lines = append(lines, "  "+u.URL)
	}
	for _, v := range u.Variants {
		lines = append(lines, fmt.Sprintf("  %s (%d×%d)", v.URL, v.Width, v.Height))
	}
	return strings.Join(lines, "\n") + "\n"
}
