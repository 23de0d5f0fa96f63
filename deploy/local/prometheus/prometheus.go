// Package prometheus runs the system's Prometheus, when it is installed, over the metrics of Sluice's own processes.
package prometheus

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// Config describes the server.
type Config struct {
	// Dir holds configuration and samples.
	Dir string
	// Port on 127.0.0.1.
	Port int
	// Targets are the addresses (host:port) that answer /metrics, by the name of their job.
	Targets map[string]string
}

// URL is where the server's pages are.
func (c Config) URL() string {
	return "http://" + c.address()
}

func (c Config) address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))
}

// Find returns the path of the program; ok is false when it is not installed.
func Find() (path string, ok bool) {
	path, err := exec.LookPath("prometheus")
	return path, err == nil
}

//go:embed prometheus.yml.tmpl
var configurationText string

var configuration = template.Must(template.New("prometheus.yml").Parse(configurationText))

// Launch starts the server and does not wait until it is ready: nothing depends on it.
func Launch(ctx context.Context, supervisor *supervise.Supervisor, program string, config Config) (*supervise.Service, error) {
	account, err := privilege.Drop("prometheus")
	if err != nil {
		return nil, err
	}
	if err := config.write(account); err != nil {
		return nil, fmt.Errorf("configure Prometheus: %w", err)
	}
	return supervisor.Launch(ctx, supervise.Spec{
		Name: "prometheus",
		Path: program,
		Args: []string{
			"--config.file=" + config.file(),
			"--storage.tsdb.path=" + filepath.Join(config.Dir, "samples"),
			"--storage.tsdb.retention.size=512MB",
			"--web.listen-address=" + config.address(),
		},
		Dir:        config.Dir,
		Credential: account.Credential(),
		Ready:      config.ready,
	})
}

func (c Config) file() string {
	return filepath.Join(c.Dir, "prometheus.yml")
}

func (c Config) write(account *privilege.Account) error {
	var text strings.Builder
	if err := configuration.Execute(&text, c.Targets); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.file(), []byte(text.String()), 0o600); err != nil {
		return err
	}
	return account.Own(c.Dir, 0o700)
}

func (c Config) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL()+"/-/ready", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("prometheus answers %s", response.Status)
	}
	return nil
}
