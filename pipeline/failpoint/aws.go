//go:build failpoints

package failpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// The operations that change something.
var (
	s3Effects = []string{"PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "CreateMultipartUpload", "UploadPartCopy",
		"CompleteMultipartUpload", "AbortMultipartUpload"}
	sqsEffects = []string{"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessage", "DeleteMessage",
		"StartMessageMoveTask", "CancelMessageMoveTask"}
)

// reading begins the names of the operations that do not.
var reading = []string{"Get", "Head", "List", "Receive"}

func ofService(service string, operations []string) []string {
	names := make([]string, len(operations))
	for i, operation := range operations {
		names[i] = service + "." + operation
	}
	return names
}

// AWS has every client that is made of c hit the points of its operations, around all of the SDK's own tries. An
// operation that changes something and is not in the list panics: it belongs there.
func AWS(c *aws.Config) {
	c.APIOptions = append(c.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("failpoints", around), middleware.After)
	})
}

func around(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	operation := awsmiddleware.GetOperationName(ctx)
	if slices.ContainsFunc(reading, func(prefix string) bool { return strings.HasPrefix(operation, prefix) }) {
		return next.HandleInitialize(ctx, in)
	}
	effect := strings.ToLower(awsmiddleware.GetServiceID(ctx)) + "." + operation
	if !slices.Contains(effects, effect) {
		panic(fmt.Sprintf("%s changes something and has no failpoints", effect))
	}
	if err := Hit(effect, "before"); err != nil {
		return middleware.InitializeOutput{}, middleware.Metadata{}, err
	}
	out, metadata, err := next.HandleInitialize(ctx, in)
	return out, metadata, errors.Join(err, Hit(effect, "after"))
}
