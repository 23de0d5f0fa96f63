package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// display shows several uploads at work: a line for every step and, on a terminal, a bar for every file.
type display struct {
	mu  sync.Mutex
	out io.Writer

	bars     *mpb.Progress // nil without a terminal
	terminal io.Writer     // beneath them
	counts   counts

	updates sync.Mutex // keeps changes of total in order
	total   *mpb.Bar   // of all files
}

// counts are what the total shows. It reads them while it is drawn: no bar can be changed by whoever holds mu.
type counts struct {
	mu            sync.Mutex
	expected      bool // whether files are counted before their turn comes
	files, over   int
	size          int64     // bytes of all files, without those that need not or will not be sent
	moved         int64     // bytes that have left
	begun, latest time.Time // when the first and the last of them have
}

func newDisplay(out io.Writer, bars bool) *display {
	if !bars {
		return &display{out: out}
	}
	p := mpb.New(mpb.WithOutput(out))
	d := &display{out: p, bars: p, terminal: out}
	d.total = p.AddBar(0, mpb.BarPriority(math.MaxInt),
		mpb.PrependDecorators(decor.Any(d.counts.ended, decor.WCSyncSpaceR), sizes()),
		mpb.AppendDecorators(decor.Any(d.counts.speed, decor.WCSyncSpaceR)),
	)
	return d
}

// sizes shows how many bytes of how many have left, where there is room for it.
func sizes() decor.Decorator {
	return decor.Any(func(s decor.Statistics) string {
		if s.AvailableWidth < 50 {
			return ""
		}
		return fmt.Sprintf("% .1f / % .1f", decor.SizeB1024(s.Current), decor.SizeB1024(s.Total))
	}, decor.WCSyncSpace)
}

func (c *counts) ended(decor.Statistics) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d of %d files", c.over, max(c.over, c.files))
}

// speed leaves out the time after the last byte, in which others work.
func (c *counts) speed(decor.Statistics) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.latest.Sub(c.begun).Seconds()
	if took <= 0 {
		return ""
	}
	return fmt.Sprintf("% .1f/s", decor.SizeB1024(float64(c.moved)/took))
}

// expect counts the files before their turn comes.
func (d *display) expect(ctx context.Context, paths files) {
	for path, err := range paths.all() {
		if ctx.Err() != nil {
			return
		}
		var size int64
		if info, statErr := os.Stat(path); err == nil && statErr == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		d.count(1, 0, size)
	}
}

// count adds files, files that are over and bytes to the total.
func (d *display) count(files, over int, bytes int64) {
	if d.bars == nil {
		return
	}
	d.updates.Lock()
	defer d.updates.Unlock()
	d.total.SetTotal(d.counts.add(files, over, bytes), false)
}

// add returns the bytes of all files.
func (c *counts) add(files, over int, bytes int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files, c.over, c.size = c.files+files, c.over+over, c.size+bytes
	return c.size
}

// leave counts bytes that have left since the last call, the first of which only begins to count.
func (c *counts) leave(bytes int64, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !first:
		c.moved += max(bytes, 0)
		c.latest = time.Now()
	case c.begun.IsZero():
		c.begun = time.Now()
	}
}

// skip counts a file that cannot even be looked at.
func (d *display) skip() {
	if !d.counts.expected {
		d.count(1, 0, 0)
	}
	d.count(0, 1, 0)
}

// home brings the cursor back to where a terminal's own echo of Ctrl-C has moved it from.
func (d *display) home() {
	if d.terminal != nil {
		_, _ = io.WriteString(d.terminal, "\r") // as for line
	}
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
	name    string // fit to be printed
	size    int64  // bytes
	state   atomic.Value
	shown   int64 // the last step that was shown

	bar   *mpb.Bar // nil without a terminal
	begun bool     // whether sent was called
	sum   int64    // bytes that the total has of this file
}

// track shows file i, of size bytes, until it ends.
func (d *display) track(i int, name string, size int64) *tracked {
	t := &tracked{display: d, name: printable(name), size: size}
	t.state.Store("reading")
	if d.bars == nil {
		return t
	}
	if !d.counts.expected {
		d.count(1, 0, size)
	}
	t.bar = d.bars.AddBar(0, // without a total, or the bar would end with the transfer
		mpb.BarPriority(i),
		mpb.PrependDecorators(decor.Name(shorten(t.name), decor.WCSyncSpaceR), sizes()),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprint(t.state.Load()) }, decor.WCSyncSpaceR)),
	)
	t.bar.SetTotal(size, false)
	return t
}

func (t *tracked) line(format string, args ...any) {
	t.display.line("%s: %s", t.name, fmt.Sprintf(format, args...))
}

// read shows how much of the file was read before it is sent.
func (t *tracked) read(n int64) {
	if t.bar != nil {
		t.state.Store(fmt.Sprintf("reading %d%%", n*100/t.size))
	}
}

// sent shows how much of the file has left; it starts with what storage had before, and again with every further try.
func (t *tracked) sent(n int64) {
	t.state.Store("sending")
	if !t.begun && t.bar == nil {
		t.line("sending %.1f", decor.SizeB1024(t.size))
	}
	if t.bar == nil {
		t.begun = true
		return
	}
	t.bar.SetCurrent(n)
	t.display.updates.Lock()
	defer t.display.updates.Unlock()
	t.display.total.IncrInt64(n - t.sum)
	t.display.counts.leave(n-t.sum, !t.begun)
	t.begun, t.sum = true, n
}

// changed shows what the upload has done since the last call.
func (t *tracked) changed(u v1.Upload) {
	t.state.Store(u.State)
	if t.bar != nil && !t.begun { // an earlier call has sent it
		t.bar.SetCurrent(t.size)
	}
	for _, s := range u.History {
		if s.Seq > t.shown {
			t.shown = s.Seq
			t.display.line("%s", step(t.name, u, s))
		}
	}
}

// end takes the file's bar away, and what was not sent of it from the total.
func (t *tracked) end() {
	if t.bar != nil {
		t.bar.Abort(true)
		t.display.count(0, 1, t.sum-t.size)
	}
}

// shorten leaves room for more than a name.
func shorten(name string) string {
	const most, end = 32, 10
	if r := []rune(name); len(r) > most {
		return string(r[:most-end-1]) + "…" + string(r[len(r)-end:])
	}
	return name
}

// printable quotes what others chose, unless a terminal shows it as it is.
func printable(s string) string {
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
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
	lines := []string{fmt.Sprintf("%s  %s  %s", printable(u.Filename), u.State, u.ID)}
	if u.Reason != nil {
		lines = append(lines, fmt.Sprintf("  %s: %s", u.Reason.Code, printable(u.Reason.Detail)))
	}
	if u.URL != "" {
		lines = append(lines, "  "+u.URL)
	}
	for _, v := range u.Variants {
		lines = append(lines, fmt.Sprintf("  %s (%d×%d)", v.URL, v.Width, v.Height))
	}
	return strings.Join(lines, "\n") + "\n"
}
