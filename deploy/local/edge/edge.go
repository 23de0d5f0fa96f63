// Package edge runs the local stand-in for a CDN: the system's nginx with its JavaScript module (njs), caching what it
// fetches from the private media bucket with read-only credentials of its own.
//
// To viewers it answers GET and HEAD, ranges and conditional requests included, says `X-Cache: Hit` or `Miss`, and gives
// every object headers that keep a browser from running it. Towards the bucket it asks for whole objects only, with a
// signature (SigV4) made in edge.js and nothing of the viewer's request but the path. Only status 200 is ever cached.
package edge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"

	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

var (
	// ErrNotInstalled means that the nginx program was not found.
	ErrNotInstalled = errors.New("nginx is not installed")
	// ErrNoModule means that nginx's JavaScript module was not found.
	ErrNoModule = errors.New("nginx's JavaScript module (ngx_http_js_module.so) is not installed")
)

// Config describes the edge.
type Config struct {
	// Dir holds configuration, key and cache.
	Dir string
	// Port on 127.0.0.1.
	Port int
	// Origin is the S3 server's URL, such as http://127.0.0.1:8082.
	Origin string
	// Region that requests to the origin are signed for.
	Region string
	// Bucket is the only one that is asked for.
	Bucket string
	// AccessKey and SecretKey may read Bucket's objects and should be allowed nothing else.
	AccessKey, SecretKey string
}

// URL is the base of every published object's URL.
func (c Config) URL() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))
}

// Find returns the paths of the nginx program and its JavaScript module.
func Find() (program, module string, err error) {
	for _, candidate := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if program, err = exec.LookPath(candidate); err == nil {
			break
		}
	}
	if program == "" {
		return "", "", ErrNotInstalled
	}
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"} {
		module = filepath.Join(dir, "ngx_http_js_module.so")
		if _, err := os.Stat(module); err == nil {
			return program, module, nil
		}
	}
	return "", "", ErrNoModule
}

// Start configures nginx, runs it, and returns once it answers.
func Start(ctx context.Context, supervisor *supervise.Supervisor, config Config) (*supervise.Service, error) {
	program, module, err := Find()
	if err != nil {
		return nil, err
	}
	account, err := privilege.Drop("www-data", "nginx")
	if err != nil {
		return nil, err
	}
	file, err := config.write(module, account)
	if err != nil {
		return nil, fmt.Errorf("configure nginx: %w", err)
	}
	return supervisor.Start(ctx, supervise.Spec{
		Name:       "edge",
		Path:       program,
		Args:       []string{"-e", "stderr", "-p", config.Dir, "-c", file},
		Dir:        config.Dir,
		Credential: account.Credential(),
		Ready:      config.ready,
		// SIGTERM is nginx's fast shutdown, which its workers follow.
		StopSignal:   syscall.SIGTERM,
		OrphanSignal: syscall.SIGTERM,
		Important:    important,
	})
}

//go:embed nginx.conf.tmpl
var configurationText string

//go:embed edge.js
var script string

var configuration = template.Must(template.New("nginx.conf").Parse(configurationText))

// write makes nginx's folder and returns the path of its configuration.
func (c Config) write(module string, account *privilege.Account) (string, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return "", fmt.Errorf("origin: %w", err)
	}
	for name, value := range map[string]string{
		"access key": c.AccessKey, "secret key": c.SecretKey, "bucket": c.Bucket, "region": c.Region, "folder": c.Dir,
	} {
		if value == "" || strings.ContainsAny(value, "\"\\$;{}\r\n") {
			return "", fmt.Errorf("the %s is empty or has a character that nginx would interpret", name)
		}
	}
	var text strings.Builder
	err = configuration.Execute(&text, map[string]any{"Module": module, "Dir": c.Dir, "Port": c.Port, "Origin": origin.Host})
	if err != nil {
		return "", err
	}
	var variables strings.Builder
	for _, variable := range [][2]string{
		{"origin", origin.Host}, {"bucket", c.Bucket}, {"region", c.Region},
		{"access_key", c.AccessKey}, {"secret_key", c.SecretKey},
	} {
		fmt.Fprintf(&variables, "set $edge_%s \"%s\";\n", variable[0], variable[1])
	}

	for _, dir := range []string{"cache", "tmp"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o700); err != nil {
			return "", err
		}
	}
	for name, content := range map[string]string{
		"nginx.conf":  text.String(),
		"edge.js":     script,
		"origin.conf": variables.String(),
	} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(c.Dir, "nginx.conf"), account.Own(c.Dir, 0o700)
}

// ready accepts any answer: without the origin there is none but errors.
func (c Config) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, c.URL()+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func important(line string) bool {
	return strings.Contains(line, "[emerg]") || strings.Contains(line, "[alert]") || strings.Contains(line, "[crit]")
}
