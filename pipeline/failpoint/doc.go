// Package failpoint lets tests have a process die, fail or stall right before or right after it changes something
// outside of itself. It does so only in a binary that was built with the tag failpoints; in any other its functions
// are empty and leave no trace.
//
// SLUICE_FAILPOINTS says what happens where: points with actions, separated by semicolons.
//
//	publish.commit.after=crash                the process is killed, as by SIGKILL
//	s3.CopyObject.before=error:no luck        the effect fails
//	webhook.post.after=sleep:3s               and takes its time
//
// What follows an @ says when: @3 the third time only, @3+ from the third time on, @10% by chance. Without it: always.
//
// The points are named EFFECT.before and EFFECT.after. The runner's effects are work, commit and send of each stage,
// and ack, which has no after: that is sqs.DeleteMessageBatch.after. Those of S3 and SQS are the names of the
// operations, whoever calls them: s3.PutObject, sqs.SendMessageBatch.
package failpoint
