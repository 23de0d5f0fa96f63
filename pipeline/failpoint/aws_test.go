//go:build failpoints

package failpoint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// request is how a request of S3 or SQS is spelled in the source.
var request = regexp.MustCompile(`&(s3|awssqs)\.([A-Z]\w+)Input\{`)

// Whatever Sluice's clients of S3 and SQS change has failpoints, and nothing else is listed.
func TestEveryEffectHasFailpoints(t *testing.T) {
	made := map[string]bool{}
	for _, folder := range []string{"../storage", "../sqs"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range request.FindAllStringSubmatch(string(text), -1) {
				operation := match[2]
				if !slices.ContainsFunc(reading, func(prefix string) bool { return strings.HasPrefix(operation, prefix) }) {
					made[strings.TrimPrefix(match[1], "aws")+"."+operation] = true
				}
			}
		}
	}
	for effect := range made {
		if !slices.Contains(effects, effect) {
			t.Errorf("%s changes something and has no failpoints", effect)
		}
	}
	for _, effect := range slices.Concat(ofService("s3", s3Effects), ofService("sqs", sqsEffects)) {
		if !made[effect] {
			t.Errorf("%s is listed, and nobody does it", effect)
		}
	}
}

// An effect that the list has not is found when it is tried.
func TestAnUnlistedEffectHasNoFailpoints(t *testing.T) {
	var hit []string
	defer Observe(func(name string) { hit = append(hit, name) })()
	config := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	AWS(&config)
	client := s3.NewFromConfig(config)
	if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}); err == nil {
		t.Error("nobody answered, and it was no error")
	}
	if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}); err == nil {
		t.Error("nobody answered, and it was no error")
	}
	if want := []string{"s3.DeleteObject.before", "s3.DeleteObject.after"}; !slices.Equal(hit, want) {
		t.Errorf("hit %q, want %q", hit, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("an effect without failpoints went unnoticed")
		}
	}()
	_, _ = client.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: aws.String("b"), Tagging: &types.Tagging{TagSet: []types.Tag{}}})
}
