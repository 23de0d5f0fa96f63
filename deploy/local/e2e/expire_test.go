package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"github.com/sluice-media/sluice/deploy/local/s3"
)

// An upload in parts that its client has given up is given up by everybody: S3 keeps no part of it.
func TestAnExpiredUploadInPartsLeavesNothing(t *testing.T) {
	const size = 24 << 20
	var b struct {
		ID     string
		Upload struct{ Parts []permission }
	}
	code, err := tryCall(t, http.MethodPost, "/v1/uploads", map[string]any{
		"filename": "film.mp4", "content_type": "video/mp4", "size": size, "method": "multipart",
	}, &b)
	if err != nil || code != http.StatusCreated || len(b.Upload.Parts) < 2 {
		t.Fatalf("POST /v1/uploads answered %d, %v: %+v", code, err, b)
	}
	first := begun{ID: b.ID, Upload: b.Upload.Parts[0]}
	first.Upload.Method = http.MethodPut
	if code := put(t, first, film(t, size)[:size/len(b.Upload.Parts)], nil); code != http.StatusOK {
		t.Fatalf("the first part: %d", code)
	}
	store := s3.NewClient(stack.value["SLUICE_S3_ENDPOINT"], stack.value["AWS_REGION"], stack.value["AWS_ACCESS_KEY_ID"], stack.value["AWS_SECRET_ACCESS_KEY"])
	key, bucket := "uploads/"+b.ID+".mp4", stack.value["SLUICE_S3_INCOMING_BUCKET"]
	if open := unfinished(t, store, bucket, key); open != 1 {
		t.Fatalf("S3 has begun %d uploads of it", open)
	}
	if code := first.overdue(t); code != 1 {
		t.Fatalf("%d uploads are overdue", code)
	}

	if u := wait(t, b.ID, settled); u.State != "expired" || u.Reason.Code != "never_uploaded" {
		t.Errorf("it is %+v", u)
	}
	if told := first.told(t); !told {
		t.Error("nobody was told")
	}
	if open := unfinished(t, store, bucket, key); open != 0 {
		t.Errorf("S3 still has parts of %d uploads of it", open)
	}
	left, err := store.ListObjectVersions(t.Context(), &awss3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
	if err != nil || len(left.Versions)+len(left.DeleteMarkers) != 0 {
		t.Errorf("%v: %+v, %+v", err, left.Versions, left.DeleteMarkers)
	}
	if code := put(t, first, film(t, size)[:size/len(b.Upload.Parts)], nil); code != http.StatusNotFound {
		t.Errorf("a part that comes later: %d", code)
	}
}

// unfinished counts the uploads in parts of a key that S3 has begun.
func unfinished(t *testing.T, store *awss3.Client, bucket, key string) (n int) {
	t.Helper()
	out, err := store.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		if aws.ToString(u.Key) == key {
			n++
		}
	}
	return n
}

// overdue makes it an upload whose time is over, and which has been still for long.
func (b begun) overdue(t *testing.T) int64 {
	t.Helper()
	db := database(t)
	tag, err := db.Exec(t.Context(), "UPDATE uploads SET expires_at = now(), updated_at = now() - interval '1 day' WHERE id = $1 AND state = 'initiated'", b.ID)
	if err != nil {
		t.Fatal(err)
	}
	return tag.RowsAffected()
}

// told waits until the outcome was delivered, which is when everything was cleaned up.
func (b begun) told(t *testing.T) (told bool) {
	t.Helper()
	db := database(t)
	ctx, cancel := context.WithTimeout(t.Context(), uploadLimit)
	defer cancel()
	for !told {
		if err := db.QueryRow(ctx, "SELECT notified_at IS NOT NULL FROM uploads WHERE id = $1", b.ID).Scan(&told); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pollEvery)
	}
	return told
}

func database(t *testing.T) *pgx.Conn {
	t.Helper()
	db, err := pgx.Connect(t.Context(), stack.value["SLUICE_DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db
}
