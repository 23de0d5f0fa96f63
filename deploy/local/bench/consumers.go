package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	stock "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluice-media/sluice/pipeline/sqs"
)

const (
	// sqsBatch is the most messages that one request to SQS takes.
	sqsBatch = 10
	// manySubscribes is how many times a program would have to call the stock Subscribe to be fast.
	manySubscribes = 64
	// idleConns is enough for every consumer here.
	idleConns = 256
)

// consumer takes messages off a queue, does nothing with them and deletes them, calling handled for each one, until
// ctx ends.
type consumer struct {
	name string
	run  func(ctx context.Context, q *queues, queue string, handled func()) error
}

// stockConsumer is the subscriber of watermill-aws, subscribed so many times. A configure of nil leaves its defaults.
func stockConsumer(name string, subscribes int, configure func(*stock.SubscriberConfig)) consumer {
	return consumer{name, func(ctx context.Context, q *queues, queue string, handled func()) error {
		config := stock.SubscriberConfig{AWSConfig: q.aws()}
		if configure != nil {
			configure(&config)
		}
		subscriber, err := stock.NewSubscriber(config, watermill.NopLogger{})
		if err != nil {
			return err
		}
		var consuming sync.WaitGroup
		for range subscribes {
			messages, err := subscriber.Subscribe(ctx, queue)
			if err != nil {
				return errors.Join(err, subscriber.Close())
			}
			consuming.Go(func() {
				for msg := range messages {
					msg.Ack()
					handled()
				}
			})
		}
		consuming.Wait()
		return subscriber.Close()
	}}
}

// inBatches has the stock subscriber receive ten messages at a time, over connections that it keeps.
func inBatches(c *stock.SubscriberConfig) {
	c.OptFns = append(c.OptFns, keepConnections)
	c.GenerateReceiveMessageInput = func(_ context.Context, url stock.QueueURL) (*awssqs.ReceiveMessageInput, error) {
		return &awssqs.ReceiveMessageInput{
			QueueUrl:              aws.String(string(url)),
			MessageAttributeNames: []string{"All"},
			WaitTimeSeconds:       20,
			MaxNumberOfMessages:   sqsBatch,
		}, nil
	}
}

// keepConnections gives a client the transport of Sluice's.
func keepConnections(o *awssqs.Options) {
	o.HTTPClient = sqs.NewClient(aws.Config{}, sqs.Config{MaxIdleConns: idleConns}).Options().HTTPClient
}

// bareConsumer is what one would write by hand for nothing but speed: loops that receive ten messages and delete
// them in one request. It has no leases, no retries and no way to say that a message failed.
func bareConsumer(loops int) consumer {
	return consumer{fmt.Sprintf("bare batch loops ×%d", loops), func(ctx context.Context, q *queues, queue string, handled func()) error {
		client := awssqs.NewFromConfig(q.aws(), keepConnections)
		found, err := client.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: &queue})
		if err != nil {
			return err
		}
		errs := make([]error, loops)
		var consuming sync.WaitGroup
		for i := range loops {
			consuming.Go(func() {
				for ctx.Err() == nil && errs[i] == nil {
					errs[i] = consumeBatch(ctx, client, found.QueueUrl, handled)
				}
			})
		}
		consuming.Wait()
		return errors.Join(errs...)
	}}
}

func consumeBatch(ctx context.Context, client *awssqs.Client, url *string, handled func()) error {
	received, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: sqsBatch, WaitTimeSeconds: 20,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{ // so that it is told as much as Sluice's
			types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameSentTimestamp,
		},
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // being stopped is no error
	}
	if err != nil || len(received.Messages) == 0 {
		return err
	}
	entries := make([]types.DeleteMessageBatchRequestEntry, len(received.Messages))
	for i, m := range received.Messages {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
		handled()
	}
	_, err = client.DeleteMessageBatch(context.WithoutCancel(ctx), &awssqs.DeleteMessageBatchInput{QueueUrl: url, Entries: entries})
	return err
}

// sluiceConsumer is Sluice's subscriber under Watermill's Router, as a worker has it.
func sluiceConsumer(slots int) consumer {
	return consumer{fmt.Sprintf("pipeline/sqs, %d slots, in the Router", slots), func(ctx context.Context, q *queues, queue string, handled func()) error {
		subscriber, err := sqs.NewSubscriber(sqs.NewQueues(q.client(), ""), sqs.SubscriberConfig{
			Slots: slots, VisibilityTimeout: 30 * time.Second, BackoffBase: time.Second, BackoffCap: time.Minute, DrainGrace: time.Second,
		}, sqs.NewMetrics(nil), slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, watermill.NopLogger{})
		if err != nil {
			return err
		}
		router.AddMiddleware(middleware.Recoverer)
		router.AddConsumerHandler("count", queue, subscriber, func(*message.Message) error {
			handled()
			return nil
		})
		return router.Run(ctx)
	}}
}
