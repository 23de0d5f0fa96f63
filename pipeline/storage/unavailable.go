package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// errNoAnswer reports a request that was given up within the time that its caller could wait.
var errNoAnswer = errors.New("s3 does not answer")

// unavailableStatuses are those of a server, or of what stands before it, that cannot answer now.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
var unavailableStatuses = []int{
	http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// IsUnavailable reports whether an error of the client means that S3 could not be reached, did not answer in time or
// cannot answer now: the same call may succeed later. A caller that gave up itself is not that.
func IsUnavailable(err error) bool {
	if errors.Is(err, errNoAnswer) {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return slices.Contains(unavailableStatuses, response.HTTPStatusCode())
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return true
	}
	_, broken := errors.AsType[net.Error](err)
	return broken
}

// Within returns a client for callers that somebody waits for: each of its requests, all tries included, is given up
// after limit. Only CompleteMultipart may take as long as S3 needs to join the parts.
func (c *Client) Within(limit time.Duration) *Client {
	hurried := *c
	hurried.s3 = s3.New(c.s3.Options(), func(o *s3.Options) {
		o.APIOptions = append(slices.Clone(o.APIOptions), func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("within", within(limit)), middleware.Before)
		})
	})
	return &hurried
}

type initialize = func(context.Context, middleware.InitializeInput, middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error)

// within bounds an operation whose answer is read when it returns.
func within(limit time.Duration) initialize {
	return func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		switch awsmiddleware.GetOperationName(ctx) {
		case "CompleteMultipartUpload", "GetObject": // the body of the latter is read afterwards
			return next.HandleInitialize(ctx, in)
		}
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		out, metadata, err := next.HandleInitialize(bounded, in)
		if err != nil && bounded.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w within %s: %w", errNoAnswer, limit, err)
		}
		return out, metadata, err
	}
}
