// Package clamd runs the system's ClamAV daemon with a private configuration: on a loopback port and a Unix socket, with
// limits that match what Sluice sends, and with whatever signatures are at hand.
//
// Two signatures of our own are always loaded: the EICAR test string and TestMarker, each at any offset of any file. They
// let a perfectly valid photograph be found infected. Where freshclam reaches its mirror the official database comes on
// top: see Updater.
package clamd

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

// MaxScanSize is the largest file, in bytes, that the daemon accepts and scans wholly: 2000 MiB, just below the 2 GiB
// that libclamav cannot exceed. Sluice is told the same number as SLUICE_SCAN_MAX_SIZE.
const MaxScanSize = 2000 << 20

// ErrNotInstalled means that the clamd program was not found.
var ErrNotInstalled = errors.New("clamd, ClamAV's daemon, is not installed")

// Config describes the daemon.
type Config struct {
	// Dir holds configuration, signatures, socket and temporary files.
	Dir string
	// Port on 127.0.0.1.
	Port int
}

// Address is where the daemon listens, as host:port.
func (c Config) Address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))
}

func (c Config) signatures() string { return filepath.Join(c.Dir, "signatures") }

// longestSocketPath is the size of sun_path in Linux's struct sockaddr_un without its terminator, in bytes.
const longestSocketPath = 107

// Socket is the daemon's Unix socket, or "" when its path would be too long for one.
func (c Config) Socket() string {
	path := filepath.Join(c.Dir, "clamd.sock")
	if len(path) > longestSocketPath {
		return ""
	}
	return path
}

// Find returns the path of the daemon. Debian has it in /usr/sbin, which is rarely on a user's PATH.
func Find() (string, error) {
	return find("clamd", ErrNotInstalled)
}

// Launch configures the daemon and starts it. It does not wait until the signatures are loaded, which takes the
// official ones many seconds: see supervise.Service.WaitReady.
func Launch(ctx context.Context, supervisor *supervise.Supervisor, config Config) (*supervise.Service, error) {
	program, err := Find()
	if err != nil {
		return nil, err
	}
	account, err := privilege.Drop("clamav")
	if err != nil {
		return nil, err
	}
	file, err := config.write(account)
	if err != nil {
		return nil, fmt.Errorf("configure clamd: %w", err)
	}
	return supervisor.Launch(ctx, supervise.Spec{
		Name:       "clamd",
		Path:       program,
		Args:       []string{"--config-file=" + file},
		Dir:        config.Dir,
		Credential: account.Credential(),
		Ready:      func(ctx context.Context) error { return Ping(ctx, config.Address()) },
		Important:  important,
	})
}

//go:embed clamd.conf.tmpl
var configurationText string

var configuration = template.Must(template.New("clamd.conf").Parse(configurationText))

// write makes the daemon's folder and returns the path of its configuration.
func (c Config) write(account *privilege.Account) (string, error) {
	temporary := filepath.Join(c.Dir, "tmp")
	// Spools of a killed daemon can be gigabytes.
	if err := os.RemoveAll(temporary); err != nil {
		return "", err
	}
	for _, dir := range []string{c.signatures(), temporary} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	if err := writeTestSignatures(c.signatures()); err != nil {
		return "", err
	}
	var text strings.Builder
	err := configuration.Execute(&text, map[string]any{
		"Dir":         c.Dir,
		"Signatures":  c.signatures(),
		"Temporary":   temporary,
		"Socket":      c.Socket(),
		"Port":        c.Port,
		"MaxScanSize": MaxScanSize,
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, "clamd.conf")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return "", err
	}
	return path, account.Own(c.Dir, 0o700)
}

// Ping returns nil when the daemon at address (host:port) answers.
func Ping(ctx context.Context, address string) error {
	reply, err := ask(ctx, address, "PING")
	if err == nil && reply != "PONG" {
		err = fmt.Errorf("clamd answers %q to PING", reply)
	}
	return err
}

// Reload makes the daemon at address load its signatures again, in the background.
func Reload(ctx context.Context, address string) error {
	reply, err := ask(ctx, address, "RELOAD")
	if err == nil && reply != "RELOADING" {
		err = fmt.Errorf("clamd answers %q to RELOAD", reply)
	}
	return err
}

func ask(ctx context.Context, address, command string) (reply string, err error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	stop := context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(connection, "z"+command+"\x00"); err != nil {
		return "", fmt.Errorf("send %s to clamd: %w", command, err)
	}
	reply, err = bufio.NewReader(connection).ReadString(0)
	if err != nil {
		return "", fmt.Errorf("read clamd's reply to %s: %w", command, err)
	}
	return strings.TrimSuffix(reply, "\x00"), nil
}

func important(line string) bool {
	return strings.Contains(line, "ERROR: ")
}
