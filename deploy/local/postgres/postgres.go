// Package postgres runs a private PostgreSQL cluster from the system's own binaries: on loopback, under the data folder
// of the local stack, with scram-sha-256 authentication and one generated password.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

const (
	// Role is both the role that Sluice connects as and the database that it owns.
	Role = "sluice"

	superuser = "postgres"
	// longestSocketPath is the size of sun_path in Linux's struct sockaddr_un without its terminator, in bytes.
	longestSocketPath = 107
)

// Config describes the cluster.
type Config struct {
	// Dir holds the cluster; it is created on the first start.
	Dir string
	// Port on 127.0.0.1.
	Port int
	// Password of Role and of the superuser.
	Password string
	// Durable keeps fsync on. Without it a crash of the machine loses the cluster; a crash of PostgreSQL does not.
	Durable bool
}

// URL is the connection string of Role.
func (c Config) URL() string {
	return c.url(Role, Role)
}

func (c Config) url(role, database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, c.Password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}).String()
}

// Start creates the cluster when there is none, runs it, and returns once Role can connect to its database.
func Start(ctx context.Context, supervisor *supervise.Supervisor, config Config) (*supervise.Service, error) {
	cluster, err := openCluster(config)
	if err != nil {
		return nil, err
	}
	if err := cluster.create(ctx, supervisor); err != nil {
		return nil, fmt.Errorf("create the PostgreSQL cluster: %w", err)
	}
	if err := cluster.clearStalePID(ctx); err != nil {
		return nil, err
	}
	service, err := supervisor.Start(ctx, cluster.spec())
	if err != nil {
		return nil, err
	}
	if err := cluster.provision(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("provision PostgreSQL: %w", err), service.Stop(context.WithoutCancel(ctx)))
	}
	return service, nil
}

type cluster struct {
	Config
	account *privilege.Account
	data    string
	bin     string
}

func openCluster(config Config) (*cluster, error) {
	account, err := privilege.Drop("postgres")
	if err != nil {
		return nil, err
	}
	c := &cluster{Config: config, account: account, data: filepath.Join(config.Dir, "data")}
	version, err := c.version()
	if err != nil {
		return nil, err
	}
	c.bin, err = find(version)
	return c, err
}

// version is the major version that made the cluster, or "" when there is none yet.
func (c *cluster) version() (string, error) {
	version, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(version)), err
}

// create makes the cluster beside its place and moves it there when complete, so that an interrupted start leaves none.
func (c *cluster) create(ctx context.Context, supervisor *supervise.Supervisor) error {
	if err := c.account.Own(c.Dir, 0o700); err != nil {
		return err
	}
	if version, err := c.version(); err != nil || version != "" {
		return err
	}
	unfinished := filepath.Join(c.Dir, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	passwordFile := filepath.Join(c.Dir, "password")
	if err := os.WriteFile(passwordFile, []byte(c.Password), 0o600); err != nil {
		return err
	}
	if err := c.account.Own(c.Dir, 0o700); err != nil {
		return err
	}
	args := []string{
		"--pgdata", unfinished, "--username", superuser, "--pwfile", passwordFile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C.UTF-8",
	}
	if !c.Durable {
		args = append(args, "--no-sync")
	}
	err := supervisor.Run(ctx, supervise.Spec{
		Name:       "initdb",
		Path:       filepath.Join(c.bin, "initdb"),
		Args:       args,
		Dir:        c.Dir,
		Env:        environment,
		Credential: c.account.Credential(),
	})
	if err := errors.Join(err, os.Remove(passwordFile)); err != nil {
		return err
	}
	return os.Rename(unfinished, c.data)
}

func (c *cluster) spec() supervise.Spec {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(c.Port),
		"unix_socket_directories=" + c.socketDir(),
		"max_connections=200",
		"log_line_prefix=%m [%p] ",
		"lc_messages=C",
	}
	if !c.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"-D", c.data}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return supervise.Spec{
		Name:       "postgres",
		Path:       filepath.Join(c.bin, "postgres"),
		Args:       args,
		Dir:        c.Dir,
		Env:        environment,
		Credential: c.account.Credential(),
		Ready:      c.ready,
		// SIGINT is PostgreSQL's fast shutdown: it ends sessions rather than waiting for them.
		StopSignal:   syscall.SIGINT,
		OrphanSignal: syscall.SIGINT,
		Important:    important,
	}
}

// socketDir is the cluster's folder, or "" (no Unix socket) when a socket's path would be too long there.
func (c *cluster) socketDir() string {
	if len(filepath.Join(c.Dir, ".s.PGSQL."+strconv.Itoa(c.Port))) > longestSocketPath {
		return ""
	}
	return c.Dir
}

func (c *cluster) ready(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, c.url(superuser, superuser))
	if err != nil {
		return err
	}
	return connection.Close(ctx)
}

// environment keeps PGDATA, PGPORT and their like, meant for another server, away from this one.
func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
}

func important(line string) bool {
	if strings.Contains(line, " FATAL: ") {
		// Clients that come too early or stay too long are told in these words.
		return !strings.Contains(line, "the database system is ") && !strings.Contains(line, "terminating connection")
	}
	return strings.Contains(line, " PANIC: ")
}
