package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is what /proc counts CPU time in: USER_HZ, which Linux shows as 100 a second on every architecture.
const clockTick = 10 * time.Millisecond

// cpuTime is the user and system time that a process has used, from fields 14 and 15 of its stat file: see proc(5).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name before may have spaces
	fields := strings.Fields(after)
	const userTime, systemTime = 14 - 3, 15 - 3
	if len(fields) <= systemTime {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	var ticks int64
	for _, field := range []int{userTime, systemTime} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
