package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each of these may be killed at any time, and is started again by the stack.
var mortals = map[string][]string{
	"worker":   {"sluice", "worker"},
	"api":      {"sluice", "api"},
	"postgres": {"postgres"},
	"clamd":    {"clamd"},
}

// deathsEach is how often each is killed.
const deathsEach = 4

func TestNothingIsLostWhenAProcessDies(t *testing.T) {
	for name, command := range mortals {
		t.Run(name, func(t *testing.T) {
			killed := make(chan int)
			go func() { killed <- kill(t.Context(), command) }()
			ids := sendSteadily(t, name, 24)
			deaths := <-killed
			if deaths != deathsEach {
				t.Errorf("killed %d times, want %d", deaths, deathsEach)
			}
			for id, want := range ids {
				if u := wait(t, id, settled); u.State != want {
					t.Errorf("upload %s ended as %s (%+v), want %s", id, u.State, u.Reason, want)
				}
			}
			t.Logf("%d uploads, %d deaths", len(ids), deaths)
		})
	}
}

// sendSteadily uploads photographs, each third one infected, and returns the outcome that each must have.
func sendSteadily(t *testing.T, name string, n int) map[string]string {
	t.Helper()
	good := photo(t)
	want := map[string]string{}
	for i := range n {
		body, outcome := withComment(good, fmt.Sprint(name, i)), "ready"
		if i%3 == 2 {
			body, outcome = withComment(body, marker), "infected"
		}
		want[persist(t, body)] = outcome
		time.Sleep(200 * time.Millisecond)
	}
	return want
}

// persist begins and sends an upload as a patient client would: an API that is down is asked again.
func persist(t *testing.T, body []byte) string {
	t.Helper()
	for deadline := time.Now().Add(uploadLimit); ; {
		b, err := tryBegin(t, "image/jpeg", len(body))
		if err == nil {
			if code := put(t, b, body, nil); code != 200 {
				t.Fatalf("PUT answered %d", code)
			}
			return b.ID
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(pollEvery)
	}
}

// kill kills the command's processes a few times at random moments and returns how often it could. They are given
// the time to come back: the stack makes longer and longer pauses for what keeps dying.
func kill(ctx context.Context, command []string) (deaths int) {
	for range deathsEach {
		select {
		case <-ctx.Done():
			return deaths
		case <-time.After(time.Duration(500+rand.IntN(1500)) * time.Millisecond):
		}
		pids := children(command)
		for len(pids) == 0 && ctx.Err() == nil {
			time.Sleep(pollEvery)
			pids = children(command)
		}
		for _, pid := range pids {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				deaths++
			}
		}
	}
	return deaths
}

// children finds the stack's own children by how their command lines begin.
func children(command []string) (pids []int) {
	parent := stack.process.Process.Pid
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range entries {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !begins(strings.Split(string(line), "\x00"), command) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func begins(args, command []string) bool {
	if len(args) < len(command) || filepath.Base(args[0]) != command[0] {
		return false
	}
	for i, word := range command[1:] {
		if args[i+1] != word {
			return false
		}
	}
	return true
}
