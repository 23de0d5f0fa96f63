// Package doctor examines what a Sluice stands on and says what is wrong with it and how to put it right.
//
// It tries things out where it can, as clients and stages would: it uploads a tiny object by a presigned request and
// sees its event arrive, asks for published files without credentials, and gives clamd files that it must not let
// pass. Nothing is left behind: the object is removed and its upload, which no stage gets to work on and nobody is
// notified of, forgotten. No message is taken from any queue.
//
// Besides what the stages need it uses these IAM actions: on the incoming bucket s3:GetBucketNotification (where the
// store has it) and, on uploads/doctor-*, s3:DeleteObject and s3:DeleteObjectVersion; on the media bucket
// s3:ListBucket; on all queues sqs:GetQueueUrl and sqs:GetQueueAttributes. What is not allowed is reported as not
// checked.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluice-media/sluice/handlers/scan"
	"github.com/sluice-media/sluice/pipeline/sqs"
	"github.com/sluice-media/sluice/pipeline/storage"
	"github.com/sluice-media/sluice/sagas"
)

// Config says what is expected.
type Config struct {
	AllowedOrigins []string      `help:"Origins whose pages upload; the incoming bucket must allow them (CORS)."`
	EventWait      time.Duration `help:"How long the event of a probe upload may take. S3 promises nothing; it is usually there in a second." default:"30s"`

	MaxReceives    int   `kong:"-"` // of a message, after which its stage gives up
	ScanMaxSize    int64 `kong:"-"` // bytes
	TestSignatures bool  `kong:"-"` // the scanner is known to have no others
}

// Validate reports every mistake at once.
func (c Config) Validate() error {
	if c.EventWait <= 0 {
		return fmt.Errorf("event-wait: %s is not positive", c.EventWait)
	}
	return nil
}

// Deps is what is examined.
type Deps struct {
	Credentials aws.CredentialsProvider
	Objects     *storage.Client
	SQS         *awssqs.Client
	Queues      *sqs.Queues
	Pool        *pgxpool.Pool
	Store       *sagas.Store
	Clamd       *scan.Clamd
}

// Status says how a check went.
type Status string

// The statuses, from good to bad.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, but not as it should, or could not be checked
	Fail Status = "fail" // uploads will not get through, or what must not will
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// Report is what all checks found, in the order in which an upload meets what they check.
type Report struct {
	Status   Status    `json:"status"` // the worst
	Findings []Finding `json:"findings"`
}

// Failures counts the checks that failed.
func (r Report) Failures() int {
	failures := 0
	for _, f := range r.Findings {
		if f.Status == Fail {
			failures++
		}
	}
	return failures
}

// Doctor examines once. Create it with New.
type Doctor struct {
	Deps
	config Config
	http   *http.Client
	probe  uuid.UUID // of the upload that is still to be forgotten; uuid.Nil for none
}

// New returns a doctor. The configuration must be valid.
func New(c Config, d Deps) *Doctor {
	return &Doctor{Deps: d, config: c, http: &http.Client{Timeout: answerTimeout}}
}

const (
	answerTimeout = 10 * time.Second
	// examTimeout bounds the checks of one kind, besides the wait for the event.
	examTimeout = 45 * time.Second
)

// Examine runs all checks. They take as long as an event needs to arrive, or a few seconds.
func (d *Doctor) Examine(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, examTimeout+d.config.EventWait)
	defer cancel()
	exams := []func(context.Context) []Finding{d.examineStorage, d.examineQueues, d.examineDatabase, d.examineScanner}
	found := make([][]Finding, len(exams))
	var wg sync.WaitGroup
	for i, examine := range exams {
		wg.Go(func() { found[i] = examine(ctx) })
	}
	wg.Wait()
	r := Report{Status: OK, Findings: append(slices.Concat(found...), d.forget(context.WithoutCancel(ctx))...)}
	for _, f := range r.Findings {
		r.Status = worse(r.Status, f.Status)
	}
	return r
}

// forget comes last, when the worker that took up the probe has long found that there is nothing to do. One that finds
// no upload at all would try again.
func (d *Doctor) forget(ctx context.Context) []Finding {
	if d.probe == uuid.Nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cleanUpTime)
	defer cancel()
	if err := d.Store.Forget(ctx, d.probe); err != nil {
		return []Finding{warn("cleaning up", fmt.Sprintf("delete upload %s once the database answers, if it is there", d.probe), "%s", brief(err))}
	}
	return nil
}

func worse(a, b Status) Status {
	order := []Status{OK, Warn, Fail}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

func ok(check, format string, args ...any) Finding {
	return Finding{Check: check, Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func warn(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Status: Warn, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func fail(check, fix, format string, args ...any) Finding {
	return Finding{Check: check, Status: Fail, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// broken is a failure that an error tells all about, on one line.
func broken(check, fix string, err error) Finding {
	return fail(check, fix, "%s", brief(err))
}

// brief is an error on one line: of an answer of AWS its code and message, of a request the cause without the URL that
// http.Client adds, which may be signed.
func brief(err error) string {
	if api, answered := errors.AsType[smithy.APIError](err); answered {
		return fmt.Sprintf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	if request, sent := errors.AsType[*url.Error](err); sent {
		return brief(request.Err)
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
