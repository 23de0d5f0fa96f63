package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // renditions are JPEGs
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// Evidence is all that the judge gets to see. Nothing of it comes from Sluice's database, queues, logs or metrics.
type Evidence struct {
	Receipts []Receipt
	// Shown is what the API says of each upload at the end, by id. An upload that it does not know is missing.
	Shown      map[string]Seen
	Deliveries []Delivery
	Sightings  []Sighting
	// Incoming and Media are the buckets' contents: every version and every delete marker.
	Incoming, Media []Object
	// Unfinished are the keys of multipart uploads that are still open.
	Unfinished []string
	// Viewed is what a viewer gets from the edge, by URL, for every URL that the API shows.
	Viewed map[string]View
	// GivesUp tells that stages gave up after a few tries: then any upload may have failed.
	GivesUp bool
}

// Object is one version of an object, or a delete marker.
type Object struct {
	Key       string `json:"key"`
	VersionID string `json:"version_id"`
	ETag      string `json:"etag"`
	SHA256    string `json:"sha256"`
	Marker    bool   `json:"marker"`
}

// View is what a viewer gets.
type View struct {
	Status int
	SHA256 string
	// Width, Height and Colour are of a picture: its size in pixels, and its middle.
	Width, Height int
	Colour        color.RGBA
}

// inspector collects evidence, with credentials of its own.
type inspector struct {
	objects         *awss3.Client
	incoming, media string // buckets
	door            *door
	viewers         *http.Client
}

const viewTries = 20

// show asks the API about an upload. found is false when there is none.
func (i *inspector) show(ctx context.Context, id string) (seen Seen, found bool, err error) {
	err = i.door.call(ctx, http.MethodGet, "/v1/uploads/"+id, nil, &seen)
	if statusOf(err) == http.StatusNotFound {
		return Seen{}, false, nil
	}
	return seen, err == nil, err
}

// view loads what a URL shows. An edge that does not answer is asked again.
func (i *inspector) view(ctx context.Context, url string) (View, error) {
	var err error
	for range viewTries {
		var status int
		var body []byte
		if status, body, err = get(ctx, i.viewers, url); err == nil && status < http.StatusInternalServerError {
			return viewOf(status, body), nil
		}
		select {
		case <-ctx.Done():
			return View{}, ctx.Err()
		case <-time.After(longPause / 4):
		}
	}
	return View{}, fmt.Errorf("the edge does not answer for %s: %w", url, err)
}

func viewOf(status int, body []byte) View {
	sum := sha256.Sum256(body)
	v := View{Status: status, SHA256: hex.EncodeToString(sum[:])}
	if picture, _, err := image.Decode(bytes.NewReader(body)); err == nil && status == http.StatusOK {
		bounds := picture.Bounds()
		v.Width, v.Height = bounds.Dx(), bounds.Dy()
		v.Colour, _ = color.RGBAModel.Convert(picture.At(bounds.Min.X+v.Width/2, bounds.Min.Y+v.Height/2)).(color.RGBA)
	}
	return v
}

// views loads every URL that the API shows.
func (i *inspector) views(ctx context.Context, shown map[string]Seen) (map[string]View, error) {
	views := map[string]View{}
	for _, seen := range shown {
		var urls []string
		if seen.URL != "" {
			urls = append(urls, seen.URL)
		}
		for _, v := range seen.Variants {
			urls = append(urls, v.URL)
		}
		for _, url := range urls {
			v, err := i.view(ctx, url)
			if err != nil {
				return nil, err
			}
			views[url] = v
		}
	}
	return views, nil
}

// contents lists and reads everything in a bucket.
func (i *inspector) contents(ctx context.Context, bucket string) ([]Object, error) {
	var objects []Object
	pages := awss3.NewListObjectVersionsPaginator(i.objects, &awss3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list bucket %s: %w", bucket, err)
		}
		for _, v := range page.Versions {
			o := Object{Key: aws.ToString(v.Key), VersionID: aws.ToString(v.VersionId), ETag: unquoted(v.ETag)}
			if o.SHA256, err = i.hash(ctx, bucket, o); err != nil {
				return nil, err
			}
			objects = append(objects, o)
		}
		for _, m := range page.DeleteMarkers {
			objects = append(objects, Object{Key: aws.ToString(m.Key), VersionID: aws.ToString(m.VersionId), Marker: true})
		}
	}
	return objects, nil
}

func (i *inspector) hash(ctx context.Context, bucket string, o Object) (string, error) {
	input := &awss3.GetObjectInput{Bucket: &bucket, Key: &o.Key}
	if o.VersionID != "" && o.VersionID != "null" {
		input.VersionId = &o.VersionID
	}
	out, err := i.objects.GetObject(ctx, input)
	if err != nil {
		return "", fmt.Errorf("read %s/%s: %w", bucket, o.Key, err)
	}
	hash := sha256.New()
	_, err = io.Copy(hash, out.Body)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return "", fmt.Errorf("read %s/%s: %w", bucket, o.Key, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// unfinished lists the multipart uploads that are open in the incoming bucket.
func (i *inspector) unfinished(ctx context.Context) ([]string, error) {
	var keys []string
	pages := awss3.NewListMultipartUploadsPaginator(i.objects, &awss3.ListMultipartUploadsInput{Bucket: &i.incoming})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list multipart uploads: %w", err)
		}
		for _, u := range page.Uploads {
			keys = append(keys, aws.ToString(u.Key))
		}
	}
	return keys, nil
}

func unquoted(etag *string) string {
	return string(bytes.Trim([]byte(aws.ToString(etag)), `"`))
}

// get loads a URL whole.
func get(ctx context.Context, client *http.Client, url string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, errors.Join(err, response.Body.Close())
}
