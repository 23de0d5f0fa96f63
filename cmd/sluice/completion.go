package main

import (
	"embed"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/sluice-media/sluice/pipeline"
)

// scripts tell shells to ask the program, one for each.
//
//go:embed completion
var scripts embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Your shell: ${enum}."`
}

// Help implements kong.HelpProvider.
func (completionCommand) Help() string {
	return `Once in every shell that is started:

bash: echo 'source <(sluice completion bash)' >> ~/.bashrc

zsh: echo 'source <(sluice completion zsh)' >> ~/.zshrc (below compinit)

fish: sluice completion fish > ~/.config/fish/completions/sluice.fish

sluice has to be in the PATH.`
}

// Run prints the script.
func (c *completionCommand) Run(k *kong.Context) error {
	script, err := scripts.ReadFile("completion/sluice." + c.Shell)
	if err != nil {
		return fmt.Errorf("reading the script: %w", err)
	}
	_, err = k.Stdout.Write(script)
	return err
}

// completeLine answers a shell, which asks by COMP_LINE what may stand at the end of that line. It reports whether one did.
func completeLine(parser *kong.Kong) (bool, error) {
	if os.Getenv("COMP_LINE") == "" {
		return false, nil
	}
	command, err := kongcompletion.Command(parser, kongcompletion.WithPredictors(map[string]complete.Predictor{
		"level": complete.PredictSet("debug", "info", "warn", "error"),
		"stage": complete.PredictSet(pipeline.Stages()...),
	}))
	if err != nil {
		return true, fmt.Errorf("preparing completion: %w", err)
	}
	addNegations(command, parser.Model.Node)
	shell := complete.New(parser.Model.Name, command)
	shell.Out = parser.Stdout
	return shell.Complete(), nil
}

// addNegations adds the --no- forms of flags, which the library leaves out.
func addNegations(command complete.Command, node *kong.Node) {
	for _, flag := range node.Flags {
		if flag.Tag.Negatable != "" {
			command.GlobalFlags["--no-"+flag.Name] = complete.PredictNothing
		}
	}
	for _, child := range node.Children {
		addNegations(command.Sub[child.Name], child)
	}
}
