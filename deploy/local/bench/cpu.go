package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is what /proc counts CPU time in: USER_HZ, which Linux shows as 100 a second on every architecture.
const clockTick = 10 * time.Millisecond

// Fields of /proc/PID/stat, counted from the one after the name, which is the third: see proc(5).
const (
	statParent = 4 - 3
	statUser   = 14 - 3
	statSystem = 15 - 3
	statWaited = 16 - 3 // user and system time of children that have ended
)

// cpuTime is the user and system time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	fields, err := readStat(strconv.Itoa(pid))
	if err != nil {
		return 0, err
	}
	return ticks(fields, statUser, statSystem)
}

// treeTime is cpuTime of a process and of all its children, those that have ended included.
func treeTime(pid int) (time.Duration, error) {
	fields, err := readStat(strconv.Itoa(pid))
	if err != nil {
		return 0, err
	}
	sum, err := ticks(fields, statUser, statSystem, statWaited, statWaited+1)
	if err != nil {
		return 0, err
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, process := range processes {
		fields, err := readStat(filepath.Base(process))
		if err != nil || fields[statParent] != strconv.Itoa(pid) {
			continue // it may have ended by now
		}
		used, err := ticks(fields, statUser, statSystem)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// readStat returns the fields after the name, in which there may be spaces.
func readStat(pid string) ([]string, error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, err
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if len(fields) <= statWaited+1 {
		return nil, fmt.Errorf("/proc/%s/stat has %d fields after the name", pid, len(fields))
	}
	return fields, nil
}

func ticks(fields []string, numbers ...int) (time.Duration, error) {
	var sum int64
	for _, number := range numbers {
		n, err := strconv.ParseInt(fields[number], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading CPU time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}

// residentSize is how many bytes of a process are in memory, from the second field of its statm file.
func residentSize(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0, fmt.Errorf("/proc/%d/statm: %w", pid, err)
	}
	return resident * int64(os.Getpagesize()), nil
}
