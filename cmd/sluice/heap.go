package main

// ballastSize is what the collector takes to be in use besides what is, in bytes. What the API and a worker have in use is
// a few megabytes, since files do not pass through the heap, and with Go's default they would collect a hundred times a
// second under load. A larger GOGC would do for that as well, but would have the heap of an API with thousands of streams
// grow to many times what they need.
const ballastSize = 64 << 20

// ballast is memory that is never written, and so only takes addresses. It counts for as long as it is referred to.
func ballast() []byte { return make([]byte, ballastSize) }
