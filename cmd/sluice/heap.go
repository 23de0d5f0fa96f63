package main

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is in use before it is collected. What the API and a worker have in
// use is a few megabytes, since files do not pass through the heap, and Go's default would collect them a hundred times
// a second under load.
const gcPercent = 400

// collectSeldom sets gcPercent, unless GOGC is in the environment.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
