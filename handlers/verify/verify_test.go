package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sluice-media/sluice/handlers/verify"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/pipeline/storage/storagetest"
	"github.com/sluice-media/sluice/sagas"
)

const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

var config = verify.Config{MaxSize: 1 << 20, AllowedTypes: []string{"image/jpeg", "image/png"}}

func TestVerify(t *testing.T) {
	photo, err := os.ReadFile("../../testdata/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(photo)
	png, err := hex.DecodeString("89504e470d0a1a0a0000000d49484452")
	if err != nil {
		t.Fatal(err)
	}
	gif := []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00")
	objects := storagetest.New(t)
	for name, tc := range map[string]struct {
		body     []byte
		declared sagas.Content
		maxSize  int64 // of its tenant
		state    sagas.State
		code     sagas.Code
	}{
		"as declared":              {photo, sagas.Content{Type: "image/jpeg", Size: int64(len(photo)), SHA256: sum[:]}, 0, sagas.Verified, ""},
		"no size declared":         {photo, sagas.Content{Type: "image/jpeg"}, 0, sagas.Verified, ""},
		"another checksum":         {photo, sagas.Content{Type: "image/jpeg", SHA256: bytes.Repeat([]byte{7}, 32)}, 0, sagas.Rejected, sagas.ChecksumMismatch},
		"another size":             {photo, sagas.Content{Type: "image/jpeg", Size: 1}, 0, sagas.Rejected, sagas.SizeMismatch},
		"empty":                    {nil, sagas.Content{Type: "image/jpeg"}, 0, sagas.Rejected, sagas.EmptyFile},
		"too large":                {make([]byte, config.MaxSize+1), sagas.Content{Type: "image/jpeg"}, 1 << 40, sagas.Rejected, sagas.TooLarge},
		"too large for its tenant": {photo, sagas.Content{Type: "image/jpeg"}, int64(len(photo)) - 1, sagas.Rejected, sagas.TooLarge},
		"as large as it may be":    {photo, sagas.Content{Type: "image/jpeg"}, int64(len(photo)), sagas.Verified, ""},
		"a PNG called a JPEG":      {png, sagas.Content{Type: "image/jpeg"}, 0, sagas.Rejected, sagas.TypeMismatch},
		"a text called a JPEG":     {[]byte("dear diary"), sagas.Content{Type: "image/jpeg"}, 0, sagas.Rejected, sagas.TypeMismatch},
		"EICAR called a JPEG":      {[]byte(eicar), sagas.Content{Type: "image/jpeg"}, 0, sagas.Rejected, sagas.TypeMismatch},
		"a type that may not in":   {gif, sagas.Content{Type: "image/gif"}, 0, sagas.Rejected, sagas.TypeNotAllowed},
		"HTML called a PNG":        {[]byte("<html><script>"), sagas.Content{Type: "image/png"}, 0, sagas.Rejected, sagas.TypeMismatch},
		"shorter than the prefix":  {png, sagas.Content{Type: "image/png", Size: int64(len(png))}, 0, sagas.Verified, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := upload(t, objects, tc.body)
			u.Declared, u.MaxSize = tc.declared, tc.maxSize
			out, err := verify.New(config, objects).Run(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			if out.State != tc.state || out.Reason.Code != tc.code {
				t.Errorf("got %s (%s: %s), want %s (%s)", out.State, out.Reason.Code, out.Reason.Detail, tc.state, tc.code)
			}
			if out.State == sagas.Verified && (out.Facts.Observed.Type != tc.declared.Type || out.Facts.Observed.Size != int64(len(tc.body))) {
				t.Errorf("observed %+v", out.Facts.Observed)
			}
		})
	}
}

// What S3 has as the checksum of parts is not that of the file.
func TestTheChecksumOfAFileInParts(t *testing.T) {
	objects := storagetest.New(t)
	png, err := hex.DecodeString("89504e470d0a1a0a0000000d49484452")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(png)
	for _, checksums := range []bool{false, true} {
		u := uploadInParts(t, objects, png, checksums)
		for declared, want := range map[[32]byte]sagas.State{sum: sagas.Verified, {7}: sagas.Rejected} {
			u.Declared = sagas.Content{Type: "image/png", Size: int64(len(png)), SHA256: declared[:]}
			out, err := verify.New(config, objects).Run(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			if out.State != want || want == sagas.Verified && !bytes.Equal(out.Facts.Observed.SHA256, sum[:]) {
				t.Errorf("with part checksums %t, declared %x: %+v", checksums, declared, out)
			}
		}
	}
}

func uploadInParts(t *testing.T, objects *storage.Client, body []byte, checksums bool) sagas.Upload {
	t.Helper()
	key := "uploads/" + uuid.NewString()
	id, err := objects.CreateMultipart(t.Context(), key, storage.Properties{Type: "image/png"}, checksums)
	if err != nil {
		t.Fatal(err)
	}
	permission := storage.PartPermission{Key: key, UploadID: id, Number: 1, Size: int64(len(body)), Lifetime: time.Minute}
	if sum := sha256.Sum256(body); checksums {
		permission.SHA256 = sum[:]
	}
	signed, err := objects.PresignPart(t.Context(), permission)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range signed.Headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("part: %s, %v", res.Status, err)
	}
	parts, err := objects.ListParts(t.Context(), key, id)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := objects.CompleteMultipart(t.Context(), key, id, parts)
	if err != nil {
		t.Fatal(err)
	}
	return sagas.Upload{State: sagas.Uploaded, Bucket: ref.Bucket, Key: ref.Key, ETag: ref.ETag, VersionID: ref.VersionID}
}

func TestOverwritingTheObjectChangesNothing(t *testing.T) {
	objects := storagetest.New(t)
	png, err := hex.DecodeString("89504e470d0a1a0a0000000d49484452")
	if err != nil {
		t.Fatal(err)
	}
	u := upload(t, objects, png)
	u.Declared = sagas.Content{Type: "image/png"}
	put(t, objects, u.Key, []byte("something else entirely"))
	out, err := verify.New(config, objects).Run(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if out.State != sagas.Verified || out.Facts.Observed.Size != int64(len(png)) {
		t.Errorf("verified %+v", out)
	}
}

func TestAVanishedObjectFails(t *testing.T) {
	objects := storagetest.New(t)
	u := upload(t, objects, []byte("x"))
	u.Key += ".gone"
	out, err := verify.New(config, objects).Run(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if out.State != sagas.Failed || out.Reason.Code != sagas.ObjectGone {
		t.Errorf("got %+v", out)
	}
}

func TestConfigReportsEveryMistake(t *testing.T) {
	err := verify.Config{MaxSize: 0, AllowedTypes: []string{"image/nonsense"}}.Validate()
	if err == nil || !strings.Contains(err.Error(), "max-size") || !strings.Contains(err.Error(), "image/nonsense") {
		t.Errorf("got %v", err)
	}
}

func upload(t *testing.T, objects *storage.Client, body []byte) sagas.Upload {
	t.Helper()
	id := uuid.New()
	ref := put(t, objects, "uploads/"+id.String(), body)
	return sagas.Upload{
		ID: id, State: sagas.Uploaded, Bucket: ref.Bucket, Key: ref.Key, ETag: ref.ETag, VersionID: ref.VersionID,
	}
}

func put(t *testing.T, objects *storage.Client, key string, body []byte) storage.Ref {
	t.Helper()
	ref, err := objects.Put(t.Context(), objects.Incoming, key, bytes.NewReader(body), storage.Properties{Type: "image/jpeg"})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
