package s3

import (
	"context"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3response"
)

// notifyingBackend tells the notifier of every object that the backend below
// has created.
//
// The gateway's own events cannot be used: their key is empty for a POST, the
// size is 0 for a multipart upload and a copy, the version is missing and the
// key is not encoded.
type notifyingBackend struct {
	backend.Backend
	events *notifier
	region string
}

// PutObject also serves uploads by POST policy.
func (b *notifyingBackend) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Body = whole(ctx, in.Body, in.ContentLength)
	out, err := b.Backend.PutObject(ctx, in)
	if err != nil {
		return out, err
	}
	name := createdPut
	if request, ok := ctx.(*fasthttp.RequestCtx); ok && request.IsPost() {
		name = createdPost
	}
	b.created(ctx, name, in.Bucket, in.Key, out.VersionID)
	return out, nil
}

// UploadPart takes whole parts only.
func (b *notifyingBackend) UploadPart(ctx context.Context, in *awss3.UploadPartInput) (*awss3.UploadPartOutput, error) {
	in.Body = whole(ctx, in.Body, in.ContentLength)
	return b.Backend.UploadPart(ctx, in)
}

// CompleteMultipartUpload also reports the version that the upload became.
func (b *notifyingBackend) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, versionID, err := b.Backend.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return out, versionID, err
	}
	b.created(ctx, createdComplete, in.Bucket, in.Key, versionID)
	return out, versionID, nil
}

// CopyObject reports the destination of the copy.
func (b *notifyingBackend) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := b.Backend.CopyObject(ctx, in)
	if err != nil {
		return out, err
	}
	b.created(ctx, createdCopy, in.Bucket, in.Key, backend.GetStringFromPtr(out.VersionId))
	return out, nil
}

// created sends the event of an object. The size and the ETag come from the
// stored object, because the outputs of multipart uploads and copies lack
// them.
func (b *notifyingBackend) created(ctx context.Context, name eventName, bucket, key *string, versionID string) {
	if !b.events.wants(*bucket, *key) {
		return
	}
	head := &awss3.HeadObjectInput{Bucket: bucket, Key: key}
	if versionID != "" {
		head.VersionId = &versionID
	}
	object, err := b.HeadObject(ctx, head)
	if err != nil {
		b.events.logger.Error("S3 event not sent: the object is gone", "bucket", *bucket, "key", *key, "error", err)
		return
	}
	b.events.notify(ctx, event{
		name:      name,
		region:    b.region,
		time:      time.Now(),
		bucket:    *bucket,
		key:       *key,
		size:      *object.ContentLength,
		etag:      backend.GetStringFromPtr(object.ETag),
		versionID: backend.GetStringFromPtr(object.VersionId),
		request:   describeRequest(ctx),
	})
}

// describeRequest reads what the gateway keeps in the context of a request.
func describeRequest(ctx context.Context) requestInfo {
	var info requestInfo
	if request, ok := ctx.(*fasthttp.RequestCtx); ok {
		info.sourceIP = request.RemoteIP().String()
	}
	if account, ok := ctx.Value(string(utils.ContextKeyAccount)).(auth.Account); ok {
		info.accessKey = account.Access
	}
	if acl, ok := ctx.Value(string(utils.ContextKeyParsedAcl)).(auth.ACL); ok {
		info.owner = acl.Owner
	}
	info.requestID, _ = ctx.Value(string(utils.ContextKeyRequestID)).(string)
	info.hostID, _ = ctx.Value(string(utils.ContextKeyHostID)).(string)
	return info
}
