package sagas_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/sagas"
	"github.com/sluice-media/sluice/sagas/sagatest"
)

func parse(t *testing.T, args ...string) (sagas.Config, error) {
	t.Helper()
	var cli struct {
		Database sagas.Config `embed:"" prefix:"database-"`
	}
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return cli.Database, err
}

func TestExecMode(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want pgx.QueryExecMode
	}{
		"by default":         {nil, pgx.QueryExecModeCacheStatement},
		"by flag":            {[]string{"--database-exec-mode=exec"}, pgx.QueryExecModeExec},
		"by url":             {[]string{"--database-url=postgres://h/d?default_query_exec_mode=cache_describe"}, pgx.QueryExecModeCacheDescribe},
		"by both, url first": {[]string{"--database-url=postgres://h/d?default_query_exec_mode=cache_describe", "--database-exec-mode=exec"}, pgx.QueryExecModeCacheDescribe},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := parse(t, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := connect(t, config).Config().ConnConfig.DefaultQueryExecMode; got != tc.want {
				t.Errorf("mode is %s, want %s", got, tc.want)
			}
		})
	}
	if _, err := parse(t, "--database-exec-mode=batch"); err == nil {
		t.Error("an unknown mode was taken")
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	err := sagas.Config{URL: "postgres://h:x/", DirectURL: "postgres://h:y/", ExecMode: "batch"}.Validate()
	for _, want := range []string{"database url", "direct-url", "exec-mode", "max-conns", "connect-timeout", "recheck"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
	config, err := parse(t)
	if err := errors.Join(err, config.Validate()); err != nil {
		t.Error(err)
	}
}

func TestDirect(t *testing.T) {
	pooled := sagas.Config{URL: "postgres://pooler/d"}
	if got := pooled.Direct().URL; got != pooled.URL {
		t.Errorf("without a direct url: %s", got)
	}
	pooled.DirectURL = "postgres://server/d"
	if got := pooled.Direct().URL; got != pooled.DirectURL {
		t.Errorf("with a direct url: %s", got)
	}
}

// TestEveryExecModeKeepsARecord moves an upload with all its facts along the line and back into memory.
func TestEveryExecModeKeepsARecord(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			config := sagatest.Config(t)
			config.ExecMode = mode
			pool := connect(t, config)
			if _, err := sagas.Migrate(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
			if err := sagas.CheckSchema(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
			s := sagas.NewStore(pool, "test")
			u := begin(t, s)
			observed := sagas.Content{Type: "image/jpeg", Size: 1 << 40, SHA256: bytes.Repeat([]byte{0, 255}, 16)}
			u = advance(t, s, u, sagas.Uploaded, sagas.Facts{ETag: "it's", VersionID: `\x00`, Observed: observed})
			u = advance(t, s, u, sagas.Verified, sagas.Facts{})
			u = advance(t, s, u, sagas.Clean, sagas.Facts{})
			variant := sagas.Variant{Name: "200", Key: "thumbnails/x/200.jpg", Width: 200, Height: 150}
			u = advance(t, s, u, sagas.Processed, sagas.Facts{Width: 4000, Height: 3000, Variants: []sagas.Variant{variant}})
			if _, err := s.Advance(t.Context(), sagas.Change{
				ID: u.ID, Stage: "publish", From: sagas.Processed, To: sagas.Failed, StartedAt: u.ReadAt,
				Reason: sagas.Reason{Code: sagas.ObjectGone, Detail: `"gone"; it's 'gone'`},
			}); err != nil {
				t.Fatal(err)
			}

			read, err := s.GetByKey(t.Context(), owner, u.Bucket, u.Key)
			if err != nil {
				t.Fatal(err)
			}
			if read.ETag != "it's" || read.VersionID != `\x00` || read.Observed.Type != observed.Type ||
				read.Observed.Size != observed.Size || !bytes.Equal(read.Observed.SHA256, observed.SHA256) ||
				len(read.Variants) != 1 || read.Variants[0] != variant || read.Metadata["album"] != "summer" ||
				read.Reason.Detail != `"gone"; it's 'gone'` || read.ExpiresAt.Sub(read.CreatedAt) != time.Hour {
				t.Errorf("read %+v", read)
			}
			history, err := s.History(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(history) != 6 || !history[5].StartedAt.Equal(u.ReadAt) || history[5].Attempt != 1 {
				t.Errorf("history is %+v", history)
			}
			claimed, err := s.ClaimStill(t.Context(), time.Microsecond, time.Time{}, 10, sagas.Ready, sagas.Failed)
			if err != nil || len(claimed) != 1 {
				t.Errorf("claimed %d: %v", len(claimed), err)
			}
			if backlogs(t, s)[sagas.Failed] != 1 {
				t.Error("not in the backlog")
			}
		})
	}
}
