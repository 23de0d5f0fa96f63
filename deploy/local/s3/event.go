package s3

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The body of a notification as S3 sends it, from "Event message structure"
// in the Amazon S3 User Guide.
type (
	message struct {
		Records []record `json:"Records"`
	}

	record struct {
		EventVersion      string            `json:"eventVersion"`
		EventSource       string            `json:"eventSource"`
		AWSRegion         string            `json:"awsRegion"`
		EventTime         string            `json:"eventTime"`
		EventName         eventName         `json:"eventName"`
		UserIdentity      identity          `json:"userIdentity"`
		RequestParameters requestParameters `json:"requestParameters"`
		ResponseElements  responseElements  `json:"responseElements"`
		S3                entity            `json:"s3"`
	}

	identity struct {
		PrincipalID string `json:"principalId"`
	}

	requestParameters struct {
		SourceIPAddress string `json:"sourceIPAddress"`
	}

	responseElements struct {
		RequestID string `json:"x-amz-request-id"`
		HostID    string `json:"x-amz-id-2"`
	}

	entity struct {
		SchemaVersion   string       `json:"s3SchemaVersion"`
		ConfigurationID string       `json:"configurationId"`
		Bucket          bucketEntity `json:"bucket"`
		Object          objectEntity `json:"object"`
	}

	bucketEntity struct {
		Name          string   `json:"name"`
		OwnerIdentity identity `json:"ownerIdentity"`
		ARN           string   `json:"arn"`
	}

	objectEntity struct {
		Key       string `json:"key"` // form-encoded, "/" kept
		Size      int64  `json:"size"`
		ETag      string `json:"eTag"` // without quotes
		VersionID string `json:"versionId,omitempty"`
		Sequencer string `json:"sequencer"`
	}
)

// eventName is the kind of an event, without the "s3:" that only the
// configuration of notifications has.
type eventName string

const (
	createdPut      eventName = "ObjectCreated:Put"
	createdPost     eventName = "ObjectCreated:Post"
	createdCopy     eventName = "ObjectCreated:Copy"
	createdComplete eventName = "ObjectCreated:CompleteMultipartUpload"
)

// event is an object that has been created.
type event struct {
	name        eventName
	region      string
	time        time.Time
	bucket, key string
	size        int64
	etag        string // quotes allowed
	versionID   string // empty in a bucket without versions
	request     requestInfo
}

// requestInfo is what an event tells about the request that caused it.
type requestInfo struct {
	accessKey, owner  string
	sourceIP          string
	requestID, hostID string
}

// body renders the event as the JSON text of a notification.
func (e event) body(sequencer string) (string, error) {
	text, err := json.Marshal(message{Records: []record{{
		EventVersion:      "2.1",
		EventSource:       "aws:s3",
		AWSRegion:         e.region,
		EventTime:         e.time.UTC().Format("2006-01-02T15:04:05.000Z"),
		EventName:         e.name,
		UserIdentity:      identity{PrincipalID: e.request.accessKey},
		RequestParameters: requestParameters{SourceIPAddress: e.request.sourceIP},
		ResponseElements:  responseElements{RequestID: e.request.requestID, HostID: e.request.hostID},
		S3: entity{
			SchemaVersion:   "1.0",
			ConfigurationID: "sluice-local",
			Bucket: bucketEntity{
				Name:          e.bucket,
				OwnerIdentity: identity{PrincipalID: e.request.owner},
				ARN:           "arn:aws:s3:::" + e.bucket,
			},
			Object: objectEntity{
				Key:       encodeKey(e.key),
				Size:      e.size,
				ETag:      strings.Trim(e.etag, `"`),
				VersionID: e.versionID,
				Sequencer: sequencer,
			},
		},
	}}})
	if err != nil {
		return "", fmt.Errorf("render the event of %s/%s: %w", e.bucket, e.key, err)
	}
	return string(text), nil
}

// encodeKey encodes a key as S3 does in notifications: as in a form (a space
// becomes "+"), but with "/" as it is.
func encodeKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

// sequencer hands out ascending hexadecimal numbers of equal length, made
// from the time so that they ascend over restarts too.
type sequencer struct {
	mu   sync.Mutex
	last int64
}

func (s *sequencer) next(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, now.UnixNano())
	return fmt.Sprintf("%018X", s.last)
}
