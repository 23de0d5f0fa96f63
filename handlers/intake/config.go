package intake

// Config says which originals stay in the incoming bucket when their upload has its outcome. What stays is ended by
// the bucket's lifecycle, if it has one. Of uploads that expired, were aborted or deleted nothing stays.
type Config struct {
	KeepPublished bool `help:"Keep the original of a published file. There is a copy of it in the media bucket." default:"false" negatable:""`
	KeepRefused   bool `help:"Keep the original of an upload that ended rejected, infected, unscannable or failed, for an operator to look at." default:"true" negatable:""`
}
