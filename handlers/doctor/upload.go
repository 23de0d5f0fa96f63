package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/uuid"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

const (
	probeBody = "sluice doctor"
	probeType = "text/plain"
	// probeLifetime is when the sweeper gives up a probe whose doctor died.
	probeLifetime = 10 * time.Minute
	maxAnswer     = 4 << 10 // bytes
	cleanUpTime   = 10 * time.Second
)

// probe is a tiny upload.
type probe struct {
	id        uuid.UUID
	key       string
	permitted storage.PresignedRequest
	sent      bool // by the presigned request, or when that cannot reach S3 from here, directly
	ref       storage.Ref
	second    storage.Ref // of the same request again, should it be accepted
	answer    http.Header // to the presigned request
	before    time.Time   // around it, by this host's clock
	after     time.Time
}

// examineUpload uploads as a browser would and follows what comes of it.
func (d *Doctor) examineUpload(ctx context.Context) []Finding {
	id, err := uuid.NewV7()
	if err != nil {
		return []Finding{broken("upload", "", err)}
	}
	p := &probe{id: id, key: "uploads/doctor-" + id.String()}
	p.permitted, err = d.Objects.PresignPut(ctx, storage.PutPermission{
		Key: p.key, Type: probeType, Size: int64(len(probeBody)), OnlyOnce: true, Lifetime: probeLifetime,
	})
	if err != nil {
		return []Finding{broken("upload", "check the credentials", err)}
	}
	var uploaded Finding
	took, arrival := d.Store.Probe(ctx, sagas.Beginning{
		ID: id, Owner: sagas.Owner{Tenant: "sluice", Subject: "doctor"}, Method: sagas.MethodPut, Filename: "doctor",
		Bucket: d.Objects.Incoming, Key: p.key, Declared: sagas.Content{Type: probeType, Size: int64(len(probeBody))}, Lifetime: probeLifetime,
	}, d.config.EventWait, func(ctx context.Context) error {
		uploaded = d.upload(ctx, p)
		if !p.sent {
			return errNotSent
		}
		return nil
	})
	d.probe = id
	if uploaded == (Finding{}) { // the database did not get that far
		uploaded = d.upload(ctx, p)
	}
	findings := []Finding{uploaded}
	if !p.sent {
		return findings
	}
	findings = append(findings, d.checkVersions(p.ref))
	findings = append(findings, d.checkServer(p)...)
	findings = append(findings, d.checkSingleUse(ctx, p)...)
	findings = append(findings, d.checkOrigins(ctx, p)...)
	findings = append(findings, d.checkPrivate(ctx, "uploaded files", d.Objects.Incoming, p.key), d.checkArrival(ctx, p, took, arrival))
	if at, err := http.ParseTime(p.answer.Get("Date")); err == nil {
		findings = append(findings, checkClock("S3", skew(at, time.Second, p.before, p.after)))
	}
	return append(findings, d.cleanUp(context.WithoutCancel(ctx), p)...)
}

var errNotSent = errors.New("the probe was not uploaded")

// upload sends the probe as a client would and, if the endpoint for clients cannot be reached from here, directly.
func (d *Doctor) upload(ctx context.Context, p *probe) Finding {
	const check = "upload"
	p.before = time.Now()
	ref, answer, refused := d.put(ctx, p)
	p.after = time.Now()
	if refused == nil {
		p.ref, p.answer, p.sent = ref, answer, true
		return ok(check, "a presigned PUT is accepted")
	}
	if _, answered := errors.AsType[*refusedError](refused); answered {
		return broken(check, "allow s3:PutObject on uploads/*; the store must know If-None-Match", refused)
	}
	ref, err := d.Objects.Put(ctx, d.Objects.Incoming, p.key, strings.NewReader(probeBody), storage.Properties{Type: probeType})
	if err != nil {
		return broken(check, fixOf(err), err)
	}
	p.ref, p.sent = ref, true
	return warn(check, "check SLUICE_S3_PUBLIC_ENDPOINT, unless it is for clients elsewhere", "a presigned PUT cannot be tried from here, a direct one is accepted: %s", brief(refused))
}

// checkSingleUse sends the presigned request again. It is signed with If-None-Match: *, which not every store heeds.
func (d *Doctor) checkSingleUse(ctx context.Context, p *probe) []Finding {
	const check = "single use"
	if p.answer == nil {
		return nil // the endpoint for clients cannot be reached
	}
	second, _, err := d.put(ctx, p)
	if err == nil {
		p.second = second
		if d.lacks(storage.LackSingleUse) {
			return []Finding{ok(check, "a presigned PUT is accepted twice, as ever here: what is pinned stays what is published")}
		}
		return []Finding{warn(check, "use a store that heeds If-None-Match: * on PUT, if clients cannot be trusted",
			"a presigned PUT is accepted twice: a client can replace its upload, though what is pinned stays what is published")}
	}
	if refused, answered := errors.AsType[*refusedError](err); answered && refused.status == http.StatusPreconditionFailed {
		return []Finding{ok(check, "a second PUT is refused")}
	}
	return []Finding{warn(check, "run this again", "not checked: %s", brief(err))}
}

// refusedError is an answer to a presigned request that is not success.
type refusedError struct {
	status int
	body   string // the beginning
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("S3 answered %d %s: %.300q", e.status, http.StatusText(e.status), e.body)
}

// put sends the presigned request with the first of the origins, as the browser that shows its page would.
func (d *Doctor) put(ctx context.Context, p *probe) (ref storage.Ref, answer http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, p.permitted.Method, p.permitted.URL, strings.NewReader(probeBody))
	if err != nil {
		return ref, nil, err
	}
	for name, value := range p.permitted.Headers {
		req.Header.Set(name, value)
	}
	if len(d.config.AllowedOrigins) > 0 {
		req.Header.Set("Origin", d.config.AllowedOrigins[0])
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return ref, nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return ref, nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return ref, nil, &refusedError{status: resp.StatusCode, body: string(body)}
	}
	return storage.Ref{
		Bucket: d.Objects.Incoming, Key: p.key,
		ETag: strings.Trim(resp.Header.Get("ETag"), `"`), VersionID: resp.Header.Get("X-Amz-Version-Id"),
	}, resp.Header, nil
}

func (d *Doctor) checkVersions(r storage.Ref) Finding {
	if d.lacks(storage.LackVersions) {
		return ok("versions", "there are none here: an object is pinned by its ETag")
	}
	if r.VersionID == "" || r.VersionID == "null" {
		return fail("versions", "enable versioning of the bucket", "%s keeps no versions: what was scanned could be overwritten before it is published", r.Bucket)
	}
	return ok("versions", "%s keeps them", r.Bucket)
}

// checkArrival explains what became of the event.
func (d *Doctor) checkArrival(ctx context.Context, p *probe, took time.Duration, arrival error) Finding {
	const check = "event"
	queue := d.Queues.Name(pipeline.EventsTopic)
	switch {
	case arrival == nil:
		return ok(check, "a worker took up the probe's event %s after its upload", took.Round(time.Millisecond))
	case !errors.Is(arrival, sagas.ErrUntouched):
		return broken(check, "not checked: put the database right first", arrival)
	}
	waiting, _, _, err := d.Queues.Depth(ctx, pipeline.EventsTopic)
	if err != nil {
		return broken(check, "put the queues right first", err)
	}
	told, unknown := d.Objects.Notified(ctx, p.key)
	switch {
	case waiting > 0:
		return warn(check, "run `sluice worker` with the stage intake, or more of them", "no worker took up the probe's event in %s; %d messages wait in %s", d.config.EventWait, waiting, queue)
	case unknown != nil:
		return fail(check, "see that the store tells "+queue+" of objects created under uploads/, and that a worker runs the stage intake",
			"the probe's event reached no worker in %s and does not wait in %s; who is notified cannot be asked: %s", d.config.EventWait, queue, brief(unknown))
	}
	return d.judgeWiring(ctx, told, queue)
}

// judgeWiring says why an event may not have come, given who is told of it.
func (d *Doctor) judgeWiring(ctx context.Context, told []string, queue string) Finding {
	const check = "event"
	if len(told) == 0 {
		return fail(check, "add a notification of s3:ObjectCreated:* under uploads/ to "+queue, "%s tells nobody of objects under uploads/", d.Objects.Incoming)
	}
	attributes, err := d.attributes(ctx, pipeline.EventsTopic)
	if err != nil {
		return brokenQueue(check, err)
	}
	if slices.Contains(told, attributes.values[string(types.QueueAttributeNameQueueArn)]) {
		return fail(check, "see that the policy of "+queue+" lets s3.amazonaws.com send, and that a worker runs the stage intake",
			"%s is told of uploads, but the probe's event reached no worker in %s and does not wait", queue, d.config.EventWait)
	}
	return fail(check, "see that it passes the events on to "+queue+", and that a worker runs the stage intake",
		"the probe's event reached no worker in %s; %s is told of uploads, what that does cannot be seen from here", d.config.EventWait, strings.Join(told, ", "))
}

// cleanUp removes the object.
func (d *Doctor) cleanUp(ctx context.Context, p *probe) []Finding {
	ctx, cancel := context.WithTimeout(ctx, cleanUpTime)
	defer cancel()
	err := d.Objects.RemoveVersion(ctx, p.ref)
	if p.second.VersionID != "" {
		err = errors.Join(err, d.Objects.RemoveVersion(ctx, p.second))
	}
	if err != nil {
		fix := fmt.Sprintf("allow s3:DeleteObject and s3:DeleteObjectVersion on uploads/doctor-*; remove %s", p.ref)
		return []Finding{warn("cleaning up", fix, "%s", brief(err))}
	}
	return nil
}
