// Package pipeline is the conveyor: it takes a message from a stage's queue, lets the stage do its work, commits
// what came of it and passes the upload on to the next queue.
//
// The Runner is the only place that knows about delivery. Its rule is commit, then publish, then acknowledge: the
// unacknowledged message is the outbox. Whatever dies in between is made good by the redelivery, which finds the
// upload at the stage's result and only publishes again. Stages do work that can happen twice and know nothing of
// messages.
package pipeline
