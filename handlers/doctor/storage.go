package doctor

import (
	"context"
	"errors"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// examineStorage goes from the credentials to the event of an upload, as far as it gets.
func (d *Doctor) examineStorage(ctx context.Context) []Finding {
	credentials, err := d.Credentials.Retrieve(ctx)
	if err != nil {
		return []Finding{broken("credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this host a role", err)}
	}
	findings := []Finding{ok("credentials", "from %s", credentials.Source), d.checkProvider()}
	media, published := d.checkMedia(ctx)
	if _, err := d.Objects.FirstKey(ctx, d.Objects.Incoming); err != nil {
		return append(findings, broken("incoming bucket", fixOf(err), err), media)
	}
	findings = append(findings, ok("incoming bucket", "%s answers", d.Objects.Incoming), media)
	if media.Status == OK {
		findings = append(findings, d.checkPrivate(ctx, "published files", d.Objects.Media, published))
	}
	return append(findings, d.examineUpload(ctx)...)
}

// checkMedia also returns the key of an object in the media bucket, if there is one.
func (d *Doctor) checkMedia(ctx context.Context) (f Finding, key string) {
	const check = "media bucket"
	key, err := d.Objects.FirstKey(ctx, d.Objects.Media)
	switch {
	case err == nil:
		return ok(check, "%s answers", d.Objects.Media), key
	case code(err) == "AccessDenied":
		return warn(check, "allow s3:ListBucket on it", "not checked whether %s exists and is private: these credentials may not list it", d.Objects.Media), ""
	}
	return broken(check, fixOf(err), err), ""
}

// checkPrivate asks for an object without credentials. Where there is none, a bucket whose objects alone are public
// cannot be told from a private one.
func (d *Doctor) checkPrivate(ctx context.Context, check, bucket, key string) Finding {
	list, read := d.Objects.Anonymous(ctx, bucket, key)
	const fix = "block public access to the bucket: viewers come through the CDN, clients with presigned requests"
	switch {
	case list == nil:
		return fail(check, fix, "anyone can list %s", bucket)
	case key != "" && read == nil:
		return fail(check, fix, "anyone can read %s/%s", bucket, key)
	case status(list) != http.StatusForbidden:
		return warn(check, "see what the store says to anonymous requests", "an anonymous listing got no 403: %s", brief(list))
	case key == "":
		return warn(check, "run this again when something is published", "%s is not listed to anyone; it is empty, so reading was not tried", bucket)
	case status(read) != http.StatusForbidden:
		return warn(check, "see what the store says to anonymous requests", "an anonymous GET got no 403: %s", brief(read))
	}
	return ok(check, "%s answers 403 without credentials", bucket)
}

// fixOf goes by the error code of S3, as listed in the Amazon S3 API reference, "Error responses".
func fixOf(err error) string {
	switch code(err) {
	case "NoSuchBucket":
		return "create it, or set SLUICE_S3_INCOMING_BUCKET and SLUICE_S3_MEDIA_BUCKET"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
	case "AccessDenied":
		return "allow these credentials what the package doc of pipeline/storage lists"
	case "RequestTimeTooSkewed":
		return clockFix
	case "PermanentRedirect", "AuthorizationHeaderMalformed":
		return "set AWS_REGION to the bucket's region"
	}
	return "check SLUICE_S3_ENDPOINT and AWS_REGION, and that the store runs"
}

// code is S3's word for what went wrong; empty when S3 did not answer.
func code(err error) string {
	if api, answered := errors.AsType[smithy.APIError](err); answered {
		return api.ErrorCode()
	}
	return ""
}

// status is that of S3's answer; 0 when it did not answer.
func status(err error) int {
	if response, answered := errors.AsType[*awshttp.ResponseError](err); answered {
		return response.HTTPStatusCode()
	}
	return 0
}
