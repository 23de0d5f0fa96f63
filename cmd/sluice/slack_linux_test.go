package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestThreadsHaveSlack asks for that of one thread, which like all others has it from the first.
func TestThreadsHaveSlack(t *testing.T) {
	runtime.LockOSThread() // of others, only the privileged may ask
	defer runtime.UnlockOSThread()
	slack, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", syscall.Gettid()))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(slack)); got != "4000000" {
		t.Errorf("%s ns", got)
	}
}
