package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	chromium "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	browserLimit = 2 * time.Minute
	lookLimit    = 10 * time.Second // for a look at the page of a test that fails
)

// tab is a page in a Chromium of its own: nothing is left in it of another test.
type tab struct {
	t       *testing.T
	ctx     context.Context // ends after browserLimit
	browser context.Context // lives on until the test is over

	mu       sync.Mutex
	requests []*network.Request
	choosers []cdp.BackendNodeID // file inputs that were opened and not answered
}

// openTab starts a browser with a window of width CSS pixels.
func openTab(t *testing.T, width int64) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Env("LC_ALL=C.UTF-8")) // or else it drops no file whose name is not ASCII
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context that starts it
		t.Fatal(err)
	}
	browser := ctx
	ctx, cancel := context.WithTimeout(browser, browserLimit)
	t.Cleanup(cancel)

	b := &tab{t: t, ctx: ctx, browser: browser}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, chromium.SetInterceptFileChooserDialog, chromium.SetInterceptFileChooserDialogParams{Enabled: true})
	b.resize(width)
	return b
}

// openSluice opens Sluice's page as the link does that a local stack prints.
func openSluice(t *testing.T, width int64) *tab {
	t.Helper()
	b := openTab(t, width)
	b.open(stack.value["SLUICE_URL"] + "/#token=" + stack.value["SLUICE_TOKEN"])
	b.until(`!document.getElementById('inside').hidden`)
	return b
}

// heard notes what the page asks for, agrees to leaving it, and takes a complaint of the browser's for a failure.
func (b *tab) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request)
	case *chromium.EventFileChooserOpened:
		b.choosers = append(b.choosers, e.BackendNodeID)
	case *chromium.EventJavascriptDialogOpening:
		go try(b, chromium.HandleJavaScriptDialog, chromium.HandleJavaScriptDialogParams{Accept: true})
	case *runtime.EventExceptionThrown:
		b.t.Errorf("the page threw %v", e.ExceptionDetails)
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceNetwork { // refusals are among what is tried
			b.t.Errorf("the browser complains: %s %s", e.Entry.Source, e.Entry.Text)
		}
	}
}

// try makes a call whose failure only counts while the browser is there.
func try[P, R any](b *tab, command cdp.Command[P, R], params P) {
	if _, err := chromedp.Call(b.ctx, command, params); err != nil && b.ctx.Err() == nil {
		b.t.Error(err)
	}
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

func (b *tab) resize(width int64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600,
	})
}

// colours sets the scheme that the person prefers. Whoever prefers one here wants no motion either.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// throttle bounds what the page sends, in bytes per second; -1 is as fast as it goes.
func (b *tab) throttle(upload float64) {
	b.t.Helper()
	call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{DownloadThroughput: -1, UploadThroughput: upload}},
	})
}

// value is what an expression, or the promise that it is, comes to.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true. The page's policy forbids chromedp's own way.
func (b *tab) until(expression string) {
	b.t.Helper()
	for {
		met, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`Boolean(`+expression+`)`))
		if met {
			return
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("%s was never true (%v); the page is\n%s", expression, err, b.page())
		}
		time.Sleep(pollEvery)
	}
}

// page is what a person would see of the page, and what it has asked for last, to tell from after b.ctx has ended.
func (b *tab) page() string {
	const told = 20 // requests
	ctx, cancel := context.WithTimeout(b.browser, lookLimit)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		text = err.Error()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := []string{text}
	for _, r := range b.requests[max(0, len(b.requests)-told):] {
		address, _, _ := strings.Cut(r.URL, "?")
		lines = append(lines, r.Method+" "+address)
	}
	return strings.Join(lines, "\n")
}

// drop lets go of files over the page, as a person does who drags them there.
func (b *tab) drop(paths ...string) {
	b.t.Helper()
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1}
	for _, step := range []input.DispatchDragEventType{
		input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop,
	} {
		call(b, input.DispatchDragEvent, input.DispatchDragEventParams{Type: step, X: 200, Y: 200, Data: data})
	}
}

// choose answers the file chooser that the page has opened.
func (b *tab) choose(paths ...string) {
	b.t.Helper()
	for b.ctx.Err() == nil {
		b.mu.Lock()
		var chooser cdp.BackendNodeID
		if len(b.choosers) > 0 {
			chooser, b.choosers = b.choosers[0], b.choosers[1:]
		}
		b.mu.Unlock()
		if chooser != 0 {
			call(b, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: paths, BackendNodeID: chooser})
			return
		}
		time.Sleep(pollEvery)
	}
	b.t.Fatal("no file chooser was opened")
}

// sent are the requests of a method to URLs with the prefix.
func (b *tab) sent(method, prefix string) (requests []*network.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if r.Method == method && strings.HasPrefix(r.URL, prefix) {
			requests = append(requests, r)
		}
	}
	return requests
}

func (b *tab) press(keys string, options ...chromedp.KeyOption) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys, options...))
}

// tabTo moves the focus by the tab key until the expression is true of it, and fails when that takes more than limit
// steps, or when the focus cannot be seen there.
func (b *tab) tabTo(expression string, limit int, options ...chromedp.KeyOption) {
	b.t.Helper()
	for range limit {
		b.press("\t", options...)
		if value[bool](b, `(focus => Boolean(`+expression+`))(document.activeElement)`) {
			if !value[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
				b.t.Errorf("the focus cannot be seen where %s", expression)
			}
			return
		}
	}
	b.t.Fatalf("the focus never came to where %s", expression)
}

// screenshot keeps a picture of the whole page beside the test's results, where `go test -artifacts` keeps any.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		b.t.Error(err)
	}
}

// npm reads a file of a package that package-lock.json names, which it installs first if need be.
func npm(t *testing.T, name string) string {
	t.Helper()
	install(t, ".")
	return source(t, filepath.Join("node_modules", name))
}

// install has npm put the packages there that the package-lock.json of a folder names, unless they are.
func install(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		return
	}
	ci := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	ci.Dir = dir
	if output, err := ci.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
}

func source(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
