package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"

	"github.com/joho/godotenv"
	"github.com/vbauerster/cupwriter"

	"github.com/sluice-media/sluice/handlers/api/client"
)

const (
	localURL = "http://127.0.0.1:8080"
	localEnv = ".sluice/env"
)

// remote says which API to talk to, and as whom.
type remote struct {
	URL     string `env:"SLUICE_URL" help:"URL of the upload API. Unset, it is taken from the env file; failing that it is http://127.0.0.1:8080."`
	Token   string `env:"SLUICE_TOKEN" help:"Bearer token. Unset, it is taken from the env file."`
	EnvFile string `default:".sluice/env" help:"File with SLUICE_URL and SLUICE_TOKEN for what is not set, as a local stack writes it into the current folder."`
}

// client returns a client of the API, for so many connections at once.
func (r remote) client(connections int) (*client.Client, error) {
	api, _, err := r.connect(connections)
	return api, err
}

// connect is client, and says at which URL the API is.
func (r remote) connect(connections int) (api *client.Client, base string, err error) {
	file, err := godotenv.Read(r.EnvFile)
	if errors.Is(err, fs.ErrNotExist) && r.EnvFile == localEnv {
		err = nil // most callers have none
	}
	if err != nil {
		return nil, "", &configError{fmt.Errorf("env-file: %w", err)}
	}
	base, token := first(r.URL, file["SLUICE_URL"], localURL), first(r.Token, file["SLUICE_TOKEN"])
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", &configError{fmt.Errorf("url: %q is not an http or https URL", base)}
	}
	if token == "" {
		return nil, "", &configError{fmt.Errorf("token: set SLUICE_TOKEN, or call this where %s is", localEnv)}
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return client.New(base, token, nil), base, nil
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, connections)
	return client.New(base, token, &http.Client{Transport: transport}), base, nil
}

// first is the first of values that says anything.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// isTerminal reports whether a person is likely to be watching w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && cupwriter.New(f, false).IsTerminal()
}
