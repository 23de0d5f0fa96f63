package sqs

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// retryAttempts is how often the SDK sends a request that fails as a whole: throttled, refused, cut off.
	retryAttempts = 5
	// responseTimeout is for a server that has stopped answering; a long poll stays silent for pollWait.
	responseTimeout = pollWait + 10*time.Second
)

// NewClient returns an SQS client for the region and credentials of base and the endpoint of config.
// It keeps enough idle connections for every receiver and flusher of a busy worker (net/http's default is two a
// host, the SDK's ten) and sends through a BufferingTransport.
func NewClient(base aws.Config, config Config, options ...func(*awssqs.Options)) *awssqs.Client {
	configure := func(o *awssqs.Options) {
		o.HTTPClient = newHTTPClient(config.MaxIdleConns)
		o.RetryMaxAttempts = retryAttempts
		if config.Endpoint != "" {
			o.BaseEndpoint = aws.String(config.Endpoint)
		}
	}
	return awssqs.NewFromConfig(base, append([]func(*awssqs.Options){configure}, options...)...)
}

func newHTTPClient(maxIdleConns int) *http.Client {
	transport := awshttp.NewBuildableClient().GetTransport()
	transport.MaxIdleConns = maxIdleConns
	transport.MaxIdleConnsPerHost = maxIdleConns
	transport.ResponseHeaderTimeout = responseTimeout
	return &http.Client{
		Transport:     &BufferingTransport{Base: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
