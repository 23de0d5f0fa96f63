package clamd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-media/sluice/deploy/local/privilege"
	"github.com/sluice-media/sluice/deploy/local/supervise"
)

const (
	// updateInterval keeps well below what ClamAV's mirrors allow.
	updateInterval = 6 * time.Hour
	// longestUpdate bounds one download of some 300 MB.
	longestUpdate = time.Hour
)

// ErrNoUpdater means that the freshclam program was not found.
var ErrNoUpdater = errors.New("freshclam, ClamAV's updater, is not installed")

// Updater brings ClamAV's official signatures to a running daemon and keeps them current, in the background.
type Updater struct {
	Supervisor *supervise.Supervisor
	Config     Config
	// Mirror is the server of the official database; empty means ClamAV's own.
	Mirror string
	Logger *slog.Logger
	// Arrived is called once, when there were only test signatures and the daemon has been told to load the official
	// ones.
	Arrived func(ctx context.Context)
}

// Run updates now and every few hours until ctx ends. A mirror that cannot be reached is logged and changes nothing.
func (u *Updater) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		had := u.Config.Official()
		err := u.Update(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && had:
			u.Logger.Warn("signatures not updated: the official ones of an earlier day stay in use", "error", summary(err))
		case err != nil:
			u.Logger.Warn("test signatures only: the official ones are out of reach", "error", summary(err))
		case !had && u.Config.Official():
			u.Logger.Info("official signatures in use from now on")
			u.Arrived(ctx)
		}
		timer.Reset(updateInterval)
	}
}

// Update runs freshclam once and reloads the daemon.
func (u *Updater) Update(ctx context.Context) error {
	program, err := find("freshclam", ErrNoUpdater)
	if err != nil {
		return err
	}
	account, err := privilege.Drop("clamav")
	if err != nil {
		return err
	}
	file, err := u.configure(account)
	if err != nil {
		return fmt.Errorf("configure freshclam: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, longestUpdate)
	defer cancel()
	err = u.Supervisor.Run(ctx, supervise.Spec{
		Name:       "freshclam",
		Path:       program,
		Args:       []string{"--config-file=" + file, "--foreground", "--stdout"},
		Dir:        u.Config.Dir,
		Credential: account.Credential(),
	})
	if err != nil {
		return err
	}
	return Reload(ctx, u.Config.Address())
}

func (u *Updater) configure(account *privilege.Account) (string, error) {
	mirror := u.Mirror
	if mirror == "" {
		mirror = "database.clamav.net"
	}
	lines := []string{
		"DatabaseDirectory " + u.Config.signatures(),
		"DatabaseMirror " + mirror,
		"ConnectTimeout 5",
		"ReceiveTimeout 60",
		"MaxAttempts 1",
		"Bytecode yes",
	}
	if account != nil {
		lines = append(lines, "DatabaseOwner "+account.Name)
	}
	path := filepath.Join(u.Config.Dir, "freshclam.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return "", err
	}
	return path, account.Own(u.Config.Dir, 0o700)
}

// summary is the first line of an error that carries a program's output after it.
func summary(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
