// Package mutants plants bugs in Sluice and shows that a chaos run catches each: a judge that finds nothing wrong is worth
// as much as what it would have found.
//
// A bug is a replacement of text in the source, which `go build -overlay` compiles without touching the tree. Each comes
// with the profile of a chaos run that provokes it, and the unchanged source must pass the same run.
package mutants

import "github.com/sluice-media/sluice/deploy/local/chaos"

// Mutant is one planted bug.
type Mutant struct {
	Name    string
	Profile string // of the chaos run
	File    string // from the root of the repository
	Edits   []Edit
	// Caught lists the judge's checks, one of which at least must find it.
	Caught []string
}

// Edit replaces a text, which must be in the file exactly once.
type Edit struct{ Old, New string }

// All lists the mutants.
func All() []Mutant {
	return []Mutant{
		{
			Name: "no republish on redelivery", Profile: "lost-replies", File: "pipeline/runner.go",
			Edits: []Edit{
				{"responsible := attempt > 1 || stage.Name() == Intake\n\tlate := responsible", "responsible, late := false, attempt > 1 || stage.Name() == Intake"},
			},
			Caught: []string{chaos.Stuck, chaos.Untold},
		},
		{
			Name: "ack before commit", Profile: "lost-replies", File: "pipeline/runner.go",
			Edits: []Edit{
				{"	_, err = r.Process(msg.Context(), stage, u, sqs.ReceiveCount(msg))\n\treturn err", "	msg.Ack()\n\t_, err = r.Process(msg.Context(), stage, u, sqs.ReceiveCount(msg))\n\treturn err"},
			},
			Caught: []string{chaos.Stuck, chaos.Untold},
		},
		{
			Name: "unpinned version at publish", Profile: "overwrite", File: "handlers/publish/publish.go",
			Edits:  []Edit{{"pinned := storage.Pinned(u)\n", "pinned := storage.Ref{Bucket: u.Bucket, Key: u.Key}\n"}},
			Caught: []string{chaos.Leaked},
		},
		{
			Name: "fail-open scan", Profile: "blind-scanner", File: "handlers/scan/scan.go",
			Edits: []Edit{{
				"	if err != nil {\n\t\treturn pipeline.Outcome{}, fmt.Errorf(\"scanning %s: %w\", object, err)\n\t}\n\tout, err := verdict(reply)",
				"	if err != nil {\n\t\treturn pipeline.Advance(sagas.Clean, sagas.Facts{}), nil\n\t}\n\tout, err := verdict(reply)",
			}},
			Caught: []string{chaos.Leaked, chaos.Wrong},
		},
		{
			Name: "event trusted without HEAD", Profile: "forgeries", File: "handlers/intake/intake.go",
			Edits: []Edit{{
				"	if err != nil {\n\t\treturn pipeline.Outcome{}, err\n\t}\n\treturn pipeline.Advance(sagas.Uploaded",
				"	if err != nil && !errors.Is(err, storage.ErrNotFound) {\n\t\treturn pipeline.Outcome{}, err\n\t}\n\treturn pipeline.Advance(sagas.Uploaded",
			}},
			Caught: []string{chaos.Wrong},
		},
		{
			Name: "no compare in compare-and-set", Profile: "twins", File: "sagas/sql.go",
			Edits:  []Edit{{"WHERE id = @id AND state = @from AND (@from::text", "WHERE id = @id AND (@from::text"}},
			Caught: []string{chaos.Twice, chaos.Wrong},
		},
		{
			Name: "another webhook id at each attempt", Profile: "twins", File: "handlers/notify/event.go",
			Edits: []Edit{{
				`return fmt.Sprintf("msg_%s_%d", u.ID, u.Version)`, `return fmt.Sprintf("msg_%s_%d", u.ID, u.ReadAt.UnixNano())`,
			}},
			Caught: []string{chaos.Twice},
		},
		{
			Name: "original left in the incoming bucket", Profile: "forgeries", File: "handlers/intake/intake.go",
			Edits:  []Edit{{"return s.config.KeepPublished", "return true"}},
			Caught: []string{chaos.LeftOver},
		},
		{
			Name: "copies left of what was given up", Profile: "giving-up", File: "handlers/publish/undo.go",
			Edits:  []Edit{{"if u.State == sagas.Ready {", "if u.State == sagas.Ready || u.State == sagas.Failed {"}},
			Caught: []string{chaos.LeftOver},
		},
		{
			Name: "lost events never looked for", Profile: "deaf", File: "pipeline/sweeper.go",
			Edits: []Edit{{
				"	_, err := s.runner.Process(ctx, s.intake, u, 1)\n", "	err := error(storage.ErrNotFound)\n",
			}},
			Caught: []string{chaos.Lost, chaos.Stuck},
		},
	}
}
