package sqs

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func checkMD5OfBody(q *testQueue) {
	// The SDK checks the digest as well; it is seen to be there.
	sum := md5.Sum([]byte("body"))
	want := hex.EncodeToString(sum[:])
	out, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("body")})
	if err != nil {
		q.Fatal(err)
	}
	if got := aws.ToString(out.MD5OfMessageBody); got != want {
		q.Errorf("sent MD5 %q, want %q", got, want)
	}
	if got := aws.ToString(q.receiveOne(awssqs.ReceiveMessageInput{}).MD5OfBody); got != want {
		q.Errorf("received MD5 %q, want %q", got, want)
	}
}

func stringAttribute(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}

func checkMD5OfAttributes(q *testQueue) {
	sent, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   stringAttribute("value"),
			"number": {DataType: aws.String("Number.int"), StringValue: aws.String("-12.5")},
			"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 255}},
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	// By the rule of the Developer Guide, computed by other means.
	const all, onlyText = "fa4bc0d26ce063bf0f9383ca41d47390", "7e30a2c92b4e2def2278b21a1cf5d51b"
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != all {
		q.Errorf("sent MD5 %q, want %q", got, all)
	}
	m := q.receiveOne(awssqs.ReceiveMessageInput{MessageAttributeNames: []string{"text"}, VisibilityTimeout: 1})
	if got := aws.ToString(m.MD5OfMessageAttributes); got != onlyText {
		q.Errorf("received MD5 %q of one attribute, want %q", got, onlyText)
	}
}

func checkAttributeSelection(q *testQueue) {
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"job.id": stringAttribute("1"), "job.kind": stringAttribute("2"), "jobs": stringAttribute("3"),
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	for _, c := range []struct{ ask, want []string }{
		{nil, nil},
		{[]string{"All"}, []string{"job.id", "job.kind", "jobs"}},
		{[]string{".*"}, []string{"job.id", "job.kind", "jobs"}},
		{[]string{"job.*"}, []string{"job.id", "job.kind"}},
		{[]string{"jobs", "absent"}, []string{"jobs"}},
	} {
		m := q.receiveOne(awssqs.ReceiveMessageInput{MessageAttributeNames: c.ask})
		var got []string
		for name := range m.MessageAttributes {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			q.Errorf("asked for %v: got %v, want %v", c.ask, got, c.want)
		}
		if err := q.changeVisibility(m.ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
	}
}

func checkSystemAttributes(q *testQueue) {
	before := time.Now().UnixMilli()
	q.send("x")
	first := q.receiveOne(awssqs.ReceiveMessageInput{})
	if err := q.changeVisibility(first.ReceiptHandle, 0); err != nil {
		q.Fatal(err)
	}
	second := q.receiveOne(awssqs.ReceiveMessageInput{})
	if got := second.Attributes[systemReceiveCount]; got != "2" {
		q.Errorf("receive count %s, want 2", got)
	}
	if got := second.Attributes[systemSender]; got != testAccount {
		q.Errorf("sender %s, want %s", got, testAccount)
	}
	for _, name := range []string{systemSent, systemFirstReceived} {
		at, err := strconv.ParseInt(second.Attributes[name], 10, 64)
		if err != nil || at < before || at > time.Now().UnixMilli() {
			q.Errorf("%s is %q", name, second.Attributes[name])
		}
		if first.Attributes[name] != second.Attributes[name] {
			q.Errorf("%s has changed from %s to %s", name, first.Attributes[name], second.Attributes[name])
		}
	}
}

func checkSystemAttributeSelection(q *testQueue) {
	q.send("x")
	for _, c := range []struct {
		names []types.MessageSystemAttributeName
		older []types.QueueAttributeName
		want  int
	}{
		{nil, nil, 0},
		{[]types.MessageSystemAttributeName{types.MessageSystemAttributeNameSenderId}, nil, 1},
		{nil, []types.QueueAttributeName{types.QueueAttributeNameAll}, 4},
	} {
		out, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{
			QueueUrl: &q.url, MessageSystemAttributeNames: c.names,
			AttributeNames: c.older, //nolint:staticcheck // older clients send it
		})
		if err != nil {
			q.Fatal(err)
		}
		if got := out.Messages[0].Attributes; len(got) != c.want {
			q.Errorf("asked for %v %v: got %v", c.names, c.older, got)
		}
		if err := q.changeVisibility(out.Messages[0].ReceiptHandle, 0); err != nil {
			q.Fatal(err)
		}
	}
	_, err := q.client.ReceiveMessage(q.Context(), &awssqs.ReceiveMessageInput{
		QueueUrl: &q.url, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"Nonsense"},
	})
	wantError(q, err, codeInvalidAttributeName)
}

func checkTraceHeaderAndGroup(q *testQueue) {
	const trace, group = "Root=1-5e3d83c1-e6a0db584850d61342823d4c", "tenant-1"
	sent, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"), MessageGroupId: aws.String(group),
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			traceHeader: {DataType: aws.String("String"), StringValue: aws.String(trace)},
		},
	})
	if err != nil {
		q.Fatal(err)
	}
	if aws.ToString(sent.MD5OfMessageSystemAttributes) == "" {
		q.Error("no MD5 of the system attributes")
	}
	m := q.receiveOne(awssqs.ReceiveMessageInput{})
	if m.Attributes[traceHeader] != trace || m.Attributes[systemGroupID] != group {
		q.Errorf("received %v", m.Attributes)
	}
	_, err = q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("once"),
	})
	wantError(q, err, codeInvalidParameterValue)
}

func checkEmptyBody(q *testQueue) {
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("")})
	wantError(q, err, codeMissingParameter)
}

func checkCharacters(q *testQueue) {
	for _, body := range []string{"nul \x00", "bell \a", "\uFFFE", "\uFFFF"} {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body})
		wantError(q, err, codeInvalidMessageContents)
	}
}

func checkMessageBytes(q *testQueue) {
	q.send(strings.Repeat("x", maxMessageSize))
	_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(strings.Repeat("x", maxMessageSize+1))})
	wantError(q, err, codeInvalidParameterValue)
}

func checkAttributeBytes(q *testQueue) {
	send := func(body int) error {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{
			QueueUrl: &q.url, MessageBody: aws.String(strings.Repeat("x", body)),
			MessageAttributes: map[string]types.MessageAttributeValue{"name": stringAttribute("value")},
		})
		return err
	}
	attribute := len("name") + len("String") + len("value")
	if err := send(maxMessageSize - attribute); err != nil {
		q.Error(err)
	}
	wantError(q, send(maxMessageSize-attribute+1), codeInvalidParameterValue)
}

func checkMaximumMessageSize(q *testQueue) {
	small := q.create("small", map[string]string{attrMaximumMessageSize: "1024"})
	send := func(n int) error {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &small, MessageBody: aws.String(strings.Repeat("x", n))})
		return err
	}
	if err := send(1024); err != nil {
		q.Error(err)
	}
	wantError(q, send(1025), codeInvalidParameterValue)
}

func checkAttributeRules(q *testQueue) {
	many := make(map[string]types.MessageAttributeValue)
	for i := range maxMessageAttributes + 1 {
		many[fmt.Sprintf("a%d", i)] = stringAttribute("x")
	}
	text, binary, number, nonsense := aws.String("String"), aws.String("Binary"), aws.String("Number"), aws.String("Nonsense")
	for name, attributes := range map[string]map[string]types.MessageAttributeValue{
		"eleven":                 many,
		"a reserved name":        {"AWS.x": stringAttribute("x")},
		"a name with a space":    {"a b": stringAttribute("x")},
		"a name with two dots":   {"a..b": stringAttribute("x")},
		"a name that is long":    {strings.Repeat("a", 257): stringAttribute("x")},
		"an empty string":        {"a": stringAttribute("")},
		"a forbidden character":  {"a": stringAttribute("\x01")},
		"a string without value": {"a": {DataType: text}},
		"a string of bytes":      {"a": {DataType: text, BinaryValue: []byte("x")}},
		"bytes of a string":      {"a": {DataType: binary, StringValue: text}},
		"no number":              {"a": {DataType: number, StringValue: aws.String("one")}},
		"an unknown type":        {"a": {DataType: nonsense, StringValue: text}},
	} {
		_, err := q.client.SendMessage(q.Context(), &awssqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("x"), MessageAttributes: attributes})
		if err == nil {
			q.Errorf("%s was accepted", name)
			continue
		}
		wantError(q, err, codeInvalidParameterValue)
	}
}
