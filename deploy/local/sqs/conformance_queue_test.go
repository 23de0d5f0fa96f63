package sqs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func (q *testQueue) tryCreate(name string, attributes map[string]string) error {
	_, err := q.client.CreateQueue(q.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	return err
}

func (q *testQueue) set(url string, attributes map[string]string) error {
	_, err := q.client.SetQueueAttributes(q.Context(), &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: attributes})
	return err
}

func (q *testQueue) redrivePolicy(deadLetterQueue string, maxReceiveCount int) map[string]string {
	return map[string]string{attrRedrivePolicy: fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, q.server.arn(deadLetterQueue), maxReceiveCount)}
}

func checkCreateIdempotent(q *testQueue) {
	attributes := map[string]string{attrVisibilityTimeout: "45", attrDelaySeconds: "2"}
	first := q.create("twice", attributes)
	if want := q.http.URL + "/" + testAccount + "/twice"; first != want {
		q.Errorf("queue URL %s, want %s", first, want)
	}
	for _, again := range []map[string]string{attributes, {attrVisibilityTimeout: "45"}, nil, {attrMaximumMessageSize: "262144"}} {
		if second := q.create("twice", again); second != first {
			q.Errorf("created %s and then %s", first, second)
		}
	}
}

func checkCreateConflict(q *testQueue) {
	q.create("mine", map[string]string{attrVisibilityTimeout: "45"})
	for _, other := range []map[string]string{{attrVisibilityTimeout: "46"}, {attrDelaySeconds: "1"}, q.redrivePolicy("q", 3)} {
		wantError(q, q.tryCreate("mine", other), codeQueueNameExists)
	}
	if got := q.attributes(strings.TrimSuffix(q.url, "q") + "mine")[attrVisibilityTimeout]; got != "45" {
		q.Errorf("a refused CreateQueue changed the visibility timeout to %s", got)
	}
}

func checkQueueNames(q *testQueue) {
	for _, name := range []string{"a", "A-b_9", strings.Repeat("x", 80)} {
		q.create(name, nil)
	}
	for _, name := range []string{"a.b", "ä", "a b", "a/b", strings.Repeat("x", 81)} {
		wantError(q, q.tryCreate(name, nil), codeInvalidParameterValue)
	}
}

func checkNoQueue(q *testQueue) {
	for _, address := range []string{
		q.http.URL + "/" + testAccount + "/absent",
		q.http.URL + "/999999999999/q",
		q.http.URL + "/" + testAccount + "/q/x",
	} {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &address, MessageBody: aws.String("x")})
		wantError(q, err, codeQueueDoesNotExist)
		_, err = q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &address})
		wantError(q, err, codeQueueDoesNotExist)
		_, err = q.client.GetQueueAttributes(q.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: &address})
		wantError(q, err, codeQueueDoesNotExist)
	}
	_, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{QueueUrl: aws.String("q")})
	wantError(q, err, codeInvalidAddress)
	_, err = q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{QueueUrl: aws.String("")})
	wantError(q, err, codeMissingParameter)
}

func checkDeleteQueue(q *testQueue) {
	q.send("x")
	failed := make(chan error, 1)
	empty := q.create("empty", nil)
	go func() {
		_, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &empty, WaitTimeSeconds: 20})
		failed <- err
	}()
	waitForPollers(q, q.server, "empty", 1)
	for _, url := range []string{q.url, empty} {
		if _, err := q.client.DeleteQueue(q.Context(), &awssqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
			q.Fatal(err)
		}
	}
	wantError(q, <-failed, codeQueueDoesNotExist)
	_, err := q.client.DeleteQueue(q.Context(), &awssqs.DeleteQueueInput{QueueUrl: &q.url})
	wantError(q, err, codeQueueDoesNotExist)
	q.wantCounts(q.create("q", nil), 0, 0, 0)
}

func checkGetQueueURL(q *testQueue) {
	out, err := q.client.GetQueueUrl(q.Context(), &awssqs.GetQueueUrlInput{QueueName: aws.String("q"), QueueOwnerAWSAccountId: aws.String(testAccount)})
	if err != nil {
		q.Fatal(err)
	}
	if *out.QueueUrl != q.url {
		q.Errorf("queue URL %s, want %s", *out.QueueUrl, q.url)
	}
	_, err = q.client.GetQueueUrl(q.Context(), &awssqs.GetQueueUrlInput{QueueName: aws.String("q"), QueueOwnerAWSAccountId: aws.String("999999999999")})
	wantError(q, err, codeQueueDoesNotExist)
}

func checkListQueues(q *testQueue) {
	var want []string
	for _, name := range []string{"list-a", "list-b", "list-c", "list-d", "list-e"} {
		want = append(want, q.create(name, nil))
	}
	out, err := q.client.ListQueues(q.Context(), &awssqs.ListQueuesInput{QueueNamePrefix: aws.String("list-")})
	if err != nil {
		q.Fatal(err)
	}
	if !slices.Equal(out.QueueUrls, want) || out.NextToken != nil {
		q.Errorf("listed %v, want %v", out.QueueUrls, want)
	}
	var got []string
	pages := 0
	paginator := awssqs.NewListQueuesPaginator(q.client, &awssqs.ListQueuesInput{QueueNamePrefix: aws.String("list-"), MaxResults: aws.Int32(2)})
	for ; paginator.HasMorePages(); pages++ {
		page, err := paginator.NextPage(q.Context())
		if err != nil {
			q.Fatal(err)
		}
		got = append(got, page.QueueUrls...)
	}
	if !slices.Equal(got, want) || pages != 3 {
		q.Errorf("listed %v in %d pages, want %v in 3", got, pages, want)
	}
	_, err = q.client.ListQueues(q.Context(), &awssqs.ListQueuesInput{MaxResults: aws.Int32(1001)})
	wantError(q, err, codeInvalidParameterValue)
	_, err = q.client.ListQueues(q.Context(), &awssqs.ListQueuesInput{MaxResults: aws.Int32(1), NextToken: aws.String("?")})
	wantError(q, err, codeInvalidParameterValue)
}

func checkAttributeBounds(q *testQueue) {
	for name, bounds := range numericAttributes {
		for _, good := range []int{bounds.min, bounds.max} {
			if err := q.set(q.url, map[string]string{name: strconv.Itoa(good)}); err != nil {
				q.Errorf("%s=%d: %v", name, good, err)
			}
		}
		for _, bad := range []string{strconv.Itoa(bounds.min - 1), strconv.Itoa(bounds.max + 1), "", "x", "1.5"} {
			err := q.set(q.url, map[string]string{name: bad})
			if err == nil {
				q.Errorf("%s=%q was accepted", name, bad)
				continue
			}
			wantError(q, err, codeInvalidAttributeValue)
			wantError(q, q.tryCreate("bad", map[string]string{name: bad}), codeInvalidAttributeValue)
		}
	}
	wantError(q, q.set(q.url, map[string]string{attrPolicy: "{"}), codeInvalidAttributeValue)
}

func checkUnknownAttributes(q *testQueue) {
	for _, name := range []string{"Nonsense", attrVisible, "ContentBasedDeduplication", "KmsMasterKeyId"} {
		wantError(q, q.set(q.url, map[string]string{name: "true"}), codeInvalidAttributeName)
		wantError(q, q.tryCreate("unknown", map[string]string{name: "true"}), codeInvalidAttributeName)
	}
	_, err := q.client.GetQueueAttributes(q.Context(), &awssqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{"Nonsense"},
	})
	wantError(q, err, codeInvalidAttributeName)
}

func checkSetAttributes(q *testQueue) {
	policy := `{"Version":"2012-10-17","Statement":[]}`
	changes := map[string]string{attrVisibilityTimeout: "7", attrPolicy: policy, attrManagedSSE: "false"}
	if err := q.set(q.url, changes); err != nil {
		q.Fatal(err)
	}
	for name, want := range changes {
		if got := q.attributes(q.url)[name]; got != want {
			q.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if err := q.set(q.url, map[string]string{attrPolicy: ""}); err != nil {
		q.Fatal(err)
	}
	out, err := q.client.GetQueueAttributes(q.Context(), &awssqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{attrPolicy, attrVisibilityTimeout},
	})
	if err != nil {
		q.Fatal(err)
	}
	if want := map[string]string{attrVisibilityTimeout: "7"}; !maps.Equal(out.Attributes, want) {
		q.Errorf("got %v, want %v", out.Attributes, want)
	}
}

func checkDefaultAttributes(q *testQueue) {
	got := q.attributes(q.url)
	for name, want := range map[string]string{
		attrVisibilityTimeout: "30", attrMaximumMessageSize: "262144", attrMessageRetentionPeriod: "345600",
		attrDelaySeconds: "0", attrReceiveWait: "0",
		attrVisible: "0", attrNotVisible: "0", attrDelayed: "0",
		attrQueueARN: "arn:aws:sqs:" + testRegion + ":" + testAccount + ":q",
	} {
		if got[name] != want {
			q.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if got[attrCreated] == "" || got[attrCreated] != got[attrLastModified] {
		q.Errorf("created at %q, modified at %q", got[attrCreated], got[attrLastModified])
	}
	out, err := q.client.GetQueueAttributes(q.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: &q.url})
	if err != nil || len(out.Attributes) != 0 {
		q.Errorf("asked for nothing: got %v, %v", out.Attributes, err)
	}
}

func checkRedrivePolicy(q *testQueue) {
	q.create("dead", nil)
	if err := q.set(q.url, q.redrivePolicy("dead", 3)); err != nil {
		q.Fatal(err)
	}
	want := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":3}`, q.server.arn("dead"))
	if got := q.attributes(q.url)[attrRedrivePolicy]; got != want {
		q.Errorf("the redrive policy is %s, want %s", got, want)
	}
	for _, bad := range []string{
		"{", "[]", `{}`, `{"maxReceiveCount":3}`, want + "x",
		`{"deadLetterTargetArn":"` + q.server.arn("absent") + `","maxReceiveCount":3}`,
		`{"deadLetterTargetArn":"dead","maxReceiveCount":3}`,
		`{"deadLetterTargetArn":"` + q.server.arn("q") + `","maxReceiveCount":3}`,
		`{"deadLetterTargetArn":"` + q.server.arn("dead") + `","maxReceiveCount":0}`,
		`{"deadLetterTargetArn":"` + q.server.arn("dead") + `","maxReceiveCount":1001}`,
		`{"deadLetterTargetArn":"` + q.server.arn("dead") + `","maxReceiveCount":3,"x":1}`,
	} {
		err := q.set(q.url, map[string]string{attrRedrivePolicy: bad})
		if err == nil {
			q.Errorf("the redrive policy %s was accepted", bad)
			continue
		}
		wantError(q, err, codeInvalidAttributeValue)
	}
	if err := q.set(q.url, map[string]string{attrRedrivePolicy: ""}); err != nil {
		q.Fatal(err)
	}
	if got, has := q.attributes(q.url)[attrRedrivePolicy]; has {
		q.Errorf("the redrive policy is still %s", got)
	}
	for permission, allowed := range map[string]bool{
		`{"redrivePermission":"allowAll"}`:                                                    true,
		`{"redrivePermission":"denyAll"}`:                                                     false,
		`{"redrivePermission":"byQueue","sourceQueueArns":["` + q.server.arn("q") + `"]}`:     true,
		`{"redrivePermission":"byQueue","sourceQueueArns":["` + q.server.arn("other") + `"]}`: false,
	} {
		closed := q.create("closed", nil)
		if err := q.set(closed, map[string]string{attrRedriveAllowPolicy: permission}); err != nil {
			q.Fatal(err)
		}
		err := q.set(q.url, q.redrivePolicy("closed", 3))
		if allowed && err != nil {
			q.Errorf("%s: %v", permission, err)
		} else if !allowed {
			wantError(q, err, codeInvalidAttributeValue)
		}
	}
}

func checkDeadLetterSources(q *testQueue) {
	dead := q.create("dead", nil)
	want := []string{q.create("from-1", q.redrivePolicy("dead", 1)), q.create("from-2", q.redrivePolicy("dead", 2))}
	out, err := q.client.ListDeadLetterSourceQueues(q.Context(), &awssqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
	if err != nil {
		q.Fatal(err)
	}
	if !slices.Equal(out.QueueUrls, want) {
		q.Errorf("listed %v, want %v", out.QueueUrls, want)
	}
}

func checkTags(q *testQueue) {
	tagged, err := q.client.CreateQueue(q.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("tagged"), Tags: map[string]string{"a": "1"}})
	if err != nil {
		q.Fatal(err)
	}
	if _, err := q.client.TagQueue(q.Context(), &awssqs.TagQueueInput{QueueUrl: tagged.QueueUrl, Tags: map[string]string{"b": "2", "c": "3"}}); err != nil {
		q.Fatal(err)
	}
	if _, err := q.client.UntagQueue(q.Context(), &awssqs.UntagQueueInput{QueueUrl: tagged.QueueUrl, TagKeys: []string{"a"}}); err != nil {
		q.Fatal(err)
	}
	out, err := q.client.ListQueueTags(q.Context(), &awssqs.ListQueueTagsInput{QueueUrl: tagged.QueueUrl})
	if err != nil {
		q.Fatal(err)
	}
	if want := map[string]string{"b": "2", "c": "3"}; !maps.Equal(out.Tags, want) {
		q.Errorf("tags %v, want %v", out.Tags, want)
	}
	many := make(map[string]string)
	for i := range maxTags + 1 {
		many[strconv.Itoa(i)] = "x"
	}
	_, err = q.client.TagQueue(q.Context(), &awssqs.TagQueueInput{QueueUrl: tagged.QueueUrl, Tags: many})
	wantError(q, err, codeInvalidParameterValue)
}
