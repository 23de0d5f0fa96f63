//go:build failpoints

package failpoint

import (
	"io/fs"
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

// Whatever Sluice changes in S3 and SQS has failpoints, and nothing else is listed.
func TestEveryEffectHasFailpoints(t *testing.T) {
	made := map[string]bool{}
	for _, room := range []string{"cmd", "handlers", "pipeline"} {
		if err := filepath.WalkDir(filepath.Join("../..", room), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && strings.HasSuffix(entry.Name(), "test"): // storagetest and the like
				return filepath.SkipDir
			case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			for _, match := range request.FindAllStringSubmatch(string(text), -1) {
				operation := match[2]
				if !slices.ContainsFunc(reading, func(prefix string) bool { return strings.HasPrefix(operation, prefix) }) {
					made[strings.TrimPrefix(match[1], "aws")+"."+operation] = true
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
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
