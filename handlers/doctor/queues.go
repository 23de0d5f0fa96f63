package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluice-media/sluice/pipeline"
	"github.com/sluice-media/sluice/pipeline/sqs"
)

const (
	leastMessageSize = 64 << 10 // bytes; an S3 notification with several records must fit
	retention        = 14 * 24 * time.Hour
)

func (d *Doctor) examineQueues(ctx context.Context) []Finding {
	var findings []Finding
	var dead []string
	unknown := 0
	for _, stage := range pipeline.Stages() {
		finding, letters := d.checkQueue(ctx, stage)
		findings = append(findings, finding)
		switch {
		case letters < 0:
			unknown++
		case letters > 0:
			dead = append(dead, fmt.Sprintf("%d of %s", letters, stage))
		}
	}
	const check = "dead letters"
	switch {
	case len(dead) > 0:
		return append(findings, warn(check, "look at them with `sluice dlq list`", "%s", strings.Join(dead, ", ")))
	case unknown > 0:
		return append(findings, warn(check, "put the queues right first", "not checked of %d queues", unknown))
	}
	return append(findings, ok(check, "none"))
}

// checkQueue looks at a stage's queue and its dead-letter queue, and counts what is in the latter; -1 is unknown.
func (d *Doctor) checkQueue(ctx context.Context, stage string) (f Finding, letters int64) {
	check := "queue of " + stage
	queue, err := d.attributes(ctx, pipeline.Topic(stage))
	if err != nil {
		return brokenQueue(check, err), -1
	}
	deadLetters, err := d.attributes(ctx, pipeline.DeadLetterTopic(stage))
	if err != nil {
		return brokenQueue(check, err), -1
	}
	letters = deadLetters.number(types.QueueAttributeNameApproximateNumberOfMessages)
	return d.judgeQueue(check, queue, deadLetters), letters
}

func (d *Doctor) judgeQueue(check string, queue, deadLetters attributes) Finding {
	var policy redrivePolicy
	raw := queue.values[string(types.QueueAttributeNameRedrivePolicy)]
	if raw == "" {
		return fail(check, fmt.Sprintf("give it the dead-letter queue %s", deadLetters.name), "%s has no redrive policy: a message that cannot be handled stays for ever", queue.name)
	}
	if err := json.Unmarshal([]byte(raw), &policy); err != nil {
		return broken(check, "set the redrive policy again", fmt.Errorf("redrive policy of %s: %w", queue.name, err))
	}
	if receives, err := policy.MaxReceiveCount.Int64(); err != nil || receives <= int64(d.config.MaxReceives) {
		return fail(check, "raise maxReceiveCount or lower SLUICE_MAX_ATTEMPTS",
			"maxReceiveCount of %s is %s, not above the %d receives after which a stage gives up: uploads would end in the dead-letter queue instead of failed", queue.name, policy.MaxReceiveCount, d.config.MaxReceives)
	}
	if size := queue.number(types.QueueAttributeNameMaximumMessageSize); size < leastMessageSize {
		return fail(check, fmt.Sprintf("set MaximumMessageSize to %d or more", leastMessageSize), "%s takes messages of %d bytes only", queue.name, size)
	}
	if arn := deadLetters.values[string(types.QueueAttributeNameQueueArn)]; policy.DeadLetterTarget != arn {
		return warn(check, "make "+deadLetters.name+" its dead-letter queue", "%s sends its dead letters to %s, where `sluice dlq` does not look", queue.name, policy.DeadLetterTarget)
	}
	kept := time.Duration(deadLetters.number(types.QueueAttributeNameMessageRetentionPeriod)) * time.Second
	if kept < retention {
		return warn(check, fmt.Sprintf("set MessageRetentionPeriod to %d", int(retention.Seconds())), "%s keeps messages for %s only", deadLetters.name, kept)
	}
	return ok(check, "%s, dead letters after %s receives", queue.name, policy.MaxReceiveCount)
}

func brokenQueue(check string, err error) Finding {
	if errors.Is(err, sqs.ErrQueueMissing) {
		return broken(check, "create it, or set SLUICE_SQS_PREFIX to what the queues' names begin with", err)
	}
	return broken(check, "check SLUICE_SQS_ENDPOINT, AWS_REGION and the credentials, and allow sqs:GetQueueUrl and sqs:GetQueueAttributes", err)
}

// redrivePolicy is the attribute of that name. SQS writes the count as a number and takes it as a string, too.
type redrivePolicy struct {
	DeadLetterTarget string      `json:"deadLetterTargetArn"`
	MaxReceiveCount  json.Number `json:"maxReceiveCount"`
}

// attributes are a queue's.
type attributes struct {
	name   string
	values map[string]string
}

// number is 0 for an attribute that is none.
func (a attributes) number(name types.QueueAttributeName) int64 {
	n, err := strconv.ParseInt(a.values[string(name)], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (d *Doctor) attributes(ctx context.Context, topic string) (attributes, error) {
	a := attributes{name: d.Queues.Name(topic)}
	url, err := d.Queues.URL(ctx, topic)
	if err != nil {
		return a, err
	}
	out, err := d.SQS.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return a, fmt.Errorf("attributes of sqs queue %q: %w", a.name, err)
	}
	a.values = out.Attributes
	return a, nil
}
