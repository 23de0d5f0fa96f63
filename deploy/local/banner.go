package main

import (
	_ "embed"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed banner.txt.tmpl
var bannerText string

var banner = template.Must(template.New("banner").Parse(bannerText))

// showBanner says where everything is and how to make a first upload, in plain lines.
func showBanner(out io.Writer, p *product, took time.Duration) error {
	prometheusURL := ""
	if p.monitored {
		prometheusURL = p.prometheusConfig().URL()
	}
	return banner.Execute(out, map[string]any{
		"Took":       took.Round(100 * time.Millisecond),
		"API":        p.apiURL(),
		"Page":       p.apiURL() + "/#token=" + p.variables.get("SLUICE_TOKEN"),
		"CDN":        p.edgeConfig().URL(),
		"Metrics":    "http://" + address(p.ports.metrics()) + "/metrics",
		"Prometheus": prometheusURL,
		"Official":   p.clamdConfig().Official(),
		"Data":       strings.TrimPrefix(p.shown(p.layout.data), "./"),
		"Env":        p.shown(p.layout.environment()),
		"Logs":       p.shown(p.layout.logs()),
		"Token":      p.variables.get("SLUICE_TOKEN"),
		"Program":    p.shown(p.program),
	})
}

// shown is the path as the operator would type it: from the working folder where it is inside it, and quoted if needed.
func (p *product) shown(path string) string {
	if relative, err := filepath.Rel(p.workDir, path); err == nil && !strings.HasPrefix(relative, "..") {
		path = relative
	}
	if strings.ContainsFunc(path, needsQuotes) {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	// `. FILE` looks on the PATH when there is no slash in it.
	if !strings.ContainsRune(path, os.PathSeparator) {
		path = "./" + path
	}
	return path
}

func needsQuotes(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./-_+:@%", r)
}
