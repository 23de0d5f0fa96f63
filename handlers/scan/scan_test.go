package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

var _ pipeline.Stage = (*Stage)(nil)

type testBundle struct {
	conf  Config
	store *storage.Client
	stage *Stage
}

func setup(t *testing.T) testBundle {
	t.Helper()
	conf := Config{ClamdAddress: clamdAddress(t), MaxSize: 4 << 20, Timeout: time.Minute}
	store := storagetest.New(t)
	return testBundle{conf: conf, store: store, stage: New(conf, store)}
}

// uploaded puts a file and returns it as the verify stage leaves it.
func (b testBundle) uploaded(t *testing.T, file []byte) sagas.Upload {
	t.Helper()
	id := uuid.New()
	ref, err := b.store.Put(t.Context(), b.store.Incoming, "uploads/"+id.String()+".jpg", bytes.NewReader(file), storage.Properties{Type: "image/jpeg"})
	if err != nil {
		t.Fatal(err)
	}
	return sagas.Upload{
		ID: id, State: sagas.Verified, Bucket: ref.Bucket, Key: ref.Key, ETag: ref.ETag, VersionID: ref.VersionID,
		Observed: sagas.Content{Type: "image/jpeg", Size: int64(len(file))},
	}
}

func TestRun(t *testing.T) {
	b := setup(t)
	other := make([]byte, sha256.Size)
	photo, marked := photograph(t, ""), photograph(t, marker)
	tests := []struct {
		name     string
		file     []byte
		declared []byte
		state    sagas.State
		code     sagas.Code
	}{
		{"clean", photo, nil, sagas.Clean, ""},
		{"clean, as declared", photo, sum(photo), sagas.Clean, ""},
		{"not as declared", photo, other, sagas.Rejected, sagas.ChecksumMismatch},
		{"infected", marked, nil, sagas.Infected, sagas.Malware},
		{"infected wins over all", marked, other, sagas.Infected, sagas.Malware},
		{"encrypted", encrypted(t), nil, sagas.Unscannable, sagas.ScanEncrypted},
		{"as large as is scanned", make([]byte, b.conf.MaxSize), nil, sagas.Clean, ""},
		{"larger", make([]byte, b.conf.MaxSize+1), nil, sagas.Unscannable, sagas.ScanLimit},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := b.uploaded(t, test.file)
			u.Declared.SHA256 = test.declared
			out, err := b.stage.Run(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			if out.State != test.state || out.Reason.Code != test.code {
				t.Errorf("got %+v, want %s %s", out, test.state, test.code)
			}
			if out.State != sagas.Unscannable && !bytes.Equal(out.Facts.Observed.SHA256, sum(test.file)) {
				t.Errorf("got SHA-256 %x, want %x", out.Facts.Observed.SHA256, sum(test.file))
			}
		})
	}
}

func TestRunRefusesSizesWithoutAsking(t *testing.T) {
	stage := New(Config{ClamdAddress: "tcp://127.0.0.1:1", MaxSize: 1000, Timeout: time.Minute}, nil)
	for _, size := range []int64{-1, 0, 1001} {
		out, err := stage.Run(t.Context(), sagas.Upload{Observed: sagas.Content{Size: size}})
		if err != nil || out.State != sagas.Unscannable || out.Reason.Code != sagas.ScanLimit {
			t.Errorf("%d bytes: got %+v, %v", size, out, err)
		}
	}
}

// Overwriting the object in incoming at any moment changes nothing.
func TestRunScansThePinnedVersion(t *testing.T) {
	b := setup(t)
	u := b.uploaded(t, photograph(t, marker))
	if _, err := b.store.Put(t.Context(), u.Bucket, u.Key, strings.NewReader("harmless"), storage.Properties{}); err != nil {
		t.Fatal(err)
	}
	out, err := b.stage.Run(t.Context(), u)
	if err != nil || out.State != sagas.Infected {
		t.Errorf("got %+v, %v, want infected", out, err)
	}
}

func TestRunFailsWhenTheObjectIsGone(t *testing.T) {
	b := setup(t)
	for name, lose := range map[string]func(*sagas.Upload){
		"the version was deleted": func(u *sagas.Upload) {
			admin := storagetest.Admin(t, os.Getenv("SLUICE_S3_ENDPOINT"))
			if _, err := admin.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &u.Bucket, Key: &u.Key, VersionId: &u.VersionID}); err != nil {
				t.Fatal(err)
			}
		},
		"the ETag is another": func(u *sagas.Upload) { u.ETag = strings.Repeat("0", 32) },
		"the key is unknown":  func(u *sagas.Upload) { u.Key, u.VersionID = "uploads/none", "" },
	} {
		t.Run(name, func(t *testing.T) {
			u := b.uploaded(t, photograph(t, ""))
			lose(&u)
			out, err := b.stage.Run(t.Context(), u)
			if err != nil || out.State != sagas.Failed || out.Reason.Code != sagas.ObjectGone {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
}

func TestRunIsNeverCleanOfAnotherSize(t *testing.T) {
	b := setup(t)
	for _, difference := range []int64{-1, 1} {
		u := b.uploaded(t, photograph(t, ""))
		u.Observed.Size += difference
		if out, err := b.stage.Run(t.Context(), u); err == nil || out.State != "" {
			t.Errorf("%+d bytes: got %+v, want an error", difference, out)
		}
	}
}

func TestRunTriesAgainWhenTheDownloadBreaksOff(t *testing.T) {
	b := setup(t)
	u := b.uploaded(t, random(t, 1<<20))
	through := storage.New(storagetest.AWS(t), storage.Config{
		Endpoint: cuttingProxy(t, 300_000), IncomingBucket: b.store.Incoming, MediaBucket: b.store.Media,
	})
	out, err := New(b.conf, through).Run(t.Context(), u)
	if err == nil || errors.Is(err, ErrUnavailable) || out.State != "" {
		t.Errorf("got %+v and error %v, want an error of the download", out, err)
	}
}

func TestRunTriesAgainWhenClamdIsAway(t *testing.T) {
	b := setup(t)
	u := b.uploaded(t, photograph(t, ""))
	for name, clamd := range map[string]*Clamd{
		"down":    NewClamd("unix://" + t.TempDir() + "/none.sock"),
		"broken":  daemon(t, func(net.Conn) {}),
		"garbled": daemon(t, func(conn net.Conn) { takeAll(conn, io.Discard); _, _ = io.WriteString(conn, "stream: OK ERROR\x00") }),
	} {
		t.Run(name, func(t *testing.T) {
			conf := b.conf
			conf.ClamdAddress = clamd.address
			stage := New(conf, b.store)
			if out, err := stage.Run(t.Context(), u); !errors.Is(err, ErrUnavailable) || out.State != "" {
				t.Errorf("got %+v and error %v, want ErrUnavailable", out, err)
			}
		})
	}
}

func TestRunTimesOut(t *testing.T) {
	b := setup(t)
	hanging := daemon(t, func(conn net.Conn) {
		takeAll(conn, io.Discard)
		_, _ = conn.Read(make([]byte, 1))
	})
	conf := b.conf
	conf.ClamdAddress, conf.Timeout = hanging.address, time.Second
	_, err := New(conf, b.store).Run(t.Context(), b.uploaded(t, photograph(t, "")))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want a deadline", err)
	}
}

func TestPingOfTheStage(t *testing.T) {
	up := New(Config{ClamdAddress: clamdAddress(t)}, nil)
	if err := up.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	down := New(Config{ClamdAddress: "unix://" + t.TempDir() + "/none.sock"}, nil)
	if err := down.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got error %v, want ErrUnavailable", err)
	}
}

// cuttingProxy stands before the S3 server and drops each connection after so many bytes of answer, since a real
// server does not break off on demand.
func cuttingProxy(t *testing.T, after int64) (endpoint string) {
	t.Helper()
	server, err := url.Parse(os.Getenv("SLUICE_S3_ENDPOINT"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := daemon(t, func(conn net.Conn) {
		behind, err := net.Dial("tcp", server.Host)
		if err != nil {
			return
		}
		defer func() { _ = behind.Close() }()
		go func() { _, _ = io.Copy(behind, conn) }()
		_, _ = io.CopyN(conn, behind, after)
	})
	return strings.Replace(proxy.address, "tcp://", "http://", 1)
}

func sum(file []byte) []byte {
	s := sha256.Sum256(file)
	return s[:]
}
