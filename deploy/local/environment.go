package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// environment is the variables that Sluice's processes are started with, in the order they are written.
type environment []variable

type variable struct {
	name, value string
}

func (e *environment) set(name, value string) {
	for i := range *e {
		if (*e)[i].name == name {
			(*e)[i].value = value
			return
		}
	}
	*e = append(*e, variable{name, value})
}

// get returns a variable's value, or "".
func (e environment) get(name string) string {
	for _, v := range e {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// inherit adds the SLUICE_ variables of the operator's own environment that e does not set, a webhook's for instance.
func (e *environment) inherit(inherited []string) {
	for _, assignment := range inherited {
		name, value, _ := strings.Cut(assignment, "=")
		if strings.HasPrefix(name, "SLUICE_") && !strings.HasPrefix(name, "SLUICE_LOCAL_") && !e.has(name) {
			e.set(name, value)
		}
	}
}

func (e environment) has(name string) bool {
	return slices.ContainsFunc(e, func(v variable) bool { return v.name == name })
}

// over returns the inherited environment with e on top, as os/exec takes it. Credentials, profiles and endpoints of
// another cloud account are left out: they would take precedence here and there.
func (e environment) over(inherited []string) []string {
	var all []string
	for _, assignment := range inherited {
		name, _, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, "AWS_") && !e.has(name) {
			all = append(all, assignment)
		}
	}
	for _, v := range e {
		all = append(all, v.name+"="+v.value)
	}
	return all
}

// text renders e so that a POSIX shell and dotenv parsers read the same: in single quotes, within which neither
// interprets anything.
func (e environment) text() (string, error) {
	var text strings.Builder
	text.WriteString("# Written anew at each start. In a shell: set -a; . FILE; set +a\n")
	for _, v := range e {
		if strings.ContainsAny(v.value, "'\n\r\x00") {
			return "", fmt.Errorf("the value of %s has a quote or a line break", v.name)
		}
		fmt.Fprintf(&text, "%s='%s'\n", v.name, v.value)
	}
	return text.String(), nil
}

// write puts e into the file, whole or not at all, for the owner's eyes only.
func (e environment) write(path string) error {
	text, err := e.text()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}
