package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluice-media/sluice/pipeline"
)

const (
	// askEvery is how often SQS is asked how far a redrive has come.
	askEvery = 500 * time.Millisecond
	// cancelTimeout is for stopping a redrive whose context has ended.
	cancelTimeout = 10 * time.Second
)

// Progress is how far a redrive has come. SQS counts approximately.
type Progress struct {
	Moved  int64
	ToMove int64 // in all, as counted when it began
}

// Redrive moves everything in the stage's dead-letter queue back to the stage's queue, at most perSecond messages a
// second (1 to 500; 0 as fast as SQS likes), and tells report how far it has come about twice a second. It returns
// when SQS has ended the move. When ctx ends it stops the move; what has been moved stays moved.
func (q *Queues) Redrive(ctx context.Context, stage string, perSecond int32, report func(Progress)) (Progress, error) {
	from, err := q.arn(ctx, pipeline.DeadLetterTopic(stage))
	if err != nil {
		return Progress{}, err
	}
	to, err := q.arn(ctx, pipeline.Topic(stage))
	if err != nil {
		return Progress{}, err
	}
	in := &awssqs.StartMessageMoveTaskInput{SourceArn: &from, DestinationArn: &to}
	if perSecond > 0 {
		in.MaxNumberOfMessagesPerSecond = &perSecond
	}
	task, err := q.client.StartMessageMoveTask(ctx, in)
	if err != nil {
		return Progress{}, fmt.Errorf("starting to redrive %s: %w", stage, err)
	}
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	var progress Progress
	for {
		state, err := q.newestTask(ctx, from)
		switch {
		case ctx.Err() != nil: // told below
		case err != nil:
			return progress, fmt.Errorf("the redrive of %s goes on unwatched: %w", stage, err)
		default:
			progress = Progress{Moved: state.ApproximateNumberOfMessagesMoved, ToMove: aws.ToInt64(state.ApproximateNumberOfMessagesToMove)}
			if status := aws.ToString(state.Status); status != statusRunning {
				return progress, ended(stage, status, aws.ToString(state.FailureReason))
			}
			report(progress)
		}
		select {
		case <-ctx.Done():
			stopped := fmt.Errorf("the redrive of %s was stopped: %w", stage, context.Cause(ctx))
			return progress, errors.Join(stopped, q.cancel(context.WithoutCancel(ctx), task.TaskHandle))
		case <-ticker.C:
		}
	}
}

// newestTask is the one that was just started: a queue has one running at a time, and SQS lists the newest first. It
// cannot be told by its handle, which SQS shows of running tasks only.
func (q *Queues) newestTask(ctx context.Context, source string) (types.ListMessageMoveTasksResultEntry, error) {
	out, err := q.client.ListMessageMoveTasks(ctx, &awssqs.ListMessageMoveTasksInput{SourceArn: &source})
	if err != nil {
		return types.ListMessageMoveTasksResultEntry{}, err
	}
	if len(out.Results) == 0 {
		return types.ListMessageMoveTasksResultEntry{}, errors.New("sqs does not list it")
	}
	return out.Results[0], nil
}

func (q *Queues) cancel(ctx context.Context, task *string) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	if _, err := q.client.CancelMessageMoveTask(ctx, &awssqs.CancelMessageMoveTaskInput{TaskHandle: task}); err != nil {
		return fmt.Errorf("stopping the redrive: %w", err)
	}
	return nil
}

// The values of Status in the API reference of ListMessageMoveTasks that are not failures.
const (
	statusRunning   = "RUNNING"
	statusCompleted = "COMPLETED"
)

func ended(stage, status, reason string) error {
	if status == statusCompleted {
		return nil
	}
	return fmt.Errorf("the redrive of %s ended as %s: %s", stage, status, reason)
}

func (q *Queues) arn(ctx context.Context, topic string) (string, error) {
	url, err := q.queues.URL(ctx, topic)
	if err != nil {
		return "", err
	}
	out, err := q.client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return "", fmt.Errorf("asking for the ARN of sqs queue %q: %w", q.queues.Name(topic), err)
	}
	return out.Attributes[string(types.QueueAttributeNameQueueArn)], nil
}
