package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/hosts"
)

// everything is what a host is cut off from that is unplugged.
const everything = "everything"

// takeoverGrace is what others may need for the work itself on a busy machine.
const takeoverGrace = 3 * time.Second

// cutter cuts hosts off.
type cutter struct {
	hosts []*hosts.Host
	gates map[string]*gate
	// made may be read when the plan is at its end.
	made []Cut
}

// Cut is one time that a host was cut off.
type Cut struct {
	Host     string    `json:"host"`
	Target   string    `json:"target"` // a dependency or everything
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Vanished int64     `json:"vanished"` // packets

	// What came of it: see JudgeCuts. Meanwhile are the steps that others made, TakenOver those of them that had to wait
	// for the host's lease or for the sweeper, Longest how long a step was waited for, and BackAfter when the host worked
	// again.
	Meanwhile int           `json:"meanwhile"`
	TakenOver int           `json:"taken_over"`
	Longest   time.Duration `json:"longest_ns"`
	BackAfter time.Duration `json:"back_after_ns"`
}

// String describes the cut in the words of the report.
func (c Cut) String() string {
	return fmt.Sprintf("%s was cut off from %s for %.1f s (%d packets vanished): others made %d steps, took %d over, the longest wait %.1f s; it worked again after %.1f s",
		c.Host, c.Target, c.To.Sub(c.From).Seconds(), c.Vanished, c.Meanwhile, c.TakenOver, c.Longest.Seconds(), c.BackAfter.Seconds())
}

// cut cuts one host off until the time is over or ctx ends, and returns how many packets have vanished.
func (c *cutter) cut(ctx context.Context, target string, lasts time.Duration, dice *rand.Rand) (vanished int64, err error) {
	host := c.hosts[dice.IntN(len(c.hosts))]
	var cut *hosts.Cut
	if target == everything {
		cut, err = host.Unplug(ctx)
	} else {
		var port int
		if port, err = portOf(c.gates[target].address()); err == nil {
			cut, err = host.CutOff(ctx, port)
		}
	}
	if err != nil {
		return 0, err
	}
	made := Cut{Host: host.Name, Target: target, From: time.Now()}
	waitErr := wait(ctx, lasts)
	made.To = time.Now()
	made.Vanished, err = cut.Mend(context.WithoutCancel(ctx))
	c.made = append(c.made, made)
	return made.Vanished, errors.Join(waitErr, err)
}

func portOf(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// Labour is one step of an upload and who made it.
type Labour struct {
	Upload, From, To string
	Worker           string    // its host's name, a slash and its process id
	Due, Done        time.Time // when the step before was made, and this one
}

// readLabours reads who has made which step, which only the database says.
func readLabours(ctx context.Context, databaseURL string) ([]Labour, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("read who made which step: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `
		SELECT upload_id::text, coalesce(from_state, ''), to_state, worker, due, finished_at
		FROM (SELECT *, lag(finished_at) OVER (PARTITION BY upload_id ORDER BY seq) AS due FROM upload_transitions) AS t
		WHERE due IS NOT NULL ORDER BY finished_at`)
	if err != nil {
		return nil, fmt.Errorf("read who made which step: %w", err)
	}
	labours, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Labour])
	if err != nil {
		return nil, fmt.Errorf("read who made which step: %w", err)
	}
	return labours, nil
}
