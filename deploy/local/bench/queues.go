package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluice-media/sluice/deploy/local/supervise"
	"github.com/sluice-media/sluice/pipeline/sqs"
)

// queues is an SQS server that runs in a process of its own.
type queues struct {
	endpoint string
	service  *supervise.Service
	depths   *sqs.Queues
}

// startQueues starts a server with nothing in it.
func (b *bed) startQueues(ctx context.Context, latency time.Duration) (*queues, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	q := &queues{endpoint: "http://" + address}
	q.depths = sqs.NewQueues(q.client(), "")
	name := "sqs-" + strings.ReplaceAll(address, ":", "-")
	q.service, err = b.supervisor.Start(ctx, supervise.Spec{
		Name: name,
		Path: b.program,
		Args: []string{"queues", "--listen", address, "--dir", filepath.Join(b.dir, name), "--latency", latency.String()},
		Ready: func(ctx context.Context) error {
			_, err := q.requests(ctx)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	b.onStop(q.service.Stop)
	return q, nil
}

// fill makes a queue with a message for each body. No body may have a line break.
func (q *queues) fill(ctx context.Context, queue string, bodies []string) error {
	_, err := q.control(ctx, http.MethodPost, "/-/queues/"+queue, strings.Join(bodies, "\n"))
	return err
}

// drop removes a queue and its messages, which would burden the server for as long as it runs.
func (q *queues) drop(ctx context.Context, queue string) error {
	url, err := q.depths.URL(ctx, queue)
	if err != nil {
		return err
	}
	_, err = q.client().DeleteQueue(ctx, &awssqs.DeleteQueueInput{QueueUrl: &url})
	return err
}

// requests returns how many requests of each action there were since the server started.
func (q *queues) requests(ctx context.Context) (map[string]int64, error) {
	body, err := q.control(ctx, http.MethodGet, "/-/requests", "")
	if err != nil {
		return nil, err
	}
	var by map[string]int64
	if err := json.Unmarshal(body, &by); err != nil {
		return nil, fmt.Errorf("reading the request counts: %w", err)
	}
	return by, nil
}

func (q *queues) control(ctx context.Context, method, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, q.endpoint+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, nil
}

// aws is the configuration of a client of the server, as the SDK loads it.
func (q *queues) aws() aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(q.endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
}

// client is the client that Sluice uses.
func (q *queues) client() *awssqs.Client {
	return sqs.NewClient(q.aws(), sqs.Config{Endpoint: q.endpoint, MaxIdleConns: idleConns})
}

// left returns how many messages the queues have in any condition.
func (q *queues) left(ctx context.Context, names ...string) (int64, error) {
	var left int64
	for _, name := range names {
		visible, inFlight, delayed, err := q.depths.Depth(ctx, name)
		if err != nil {
			return 0, err
		}
		left += visible + inFlight + delayed
	}
	return left, nil
}
