package main

/*
#include <sys/prctl.h>

// The kernel may wake a thread 4 ms later than it asked for, instead of 50 us, and so serve several wakes by one. Nothing
// here is that pressed. But the thread with which Go's runtime watches over the others asks, under load, for a wake every
// 20 us, which is a fifth of the API's CPU time. Threads have the slack of those that start them, so this runs before the
// runtime. See prctl(2).
__attribute__((constructor)) static void allow_slack(void) {
	prctl(PR_SET_TIMERSLACK, 4 * 1000 * 1000);
}
*/
import "C"
