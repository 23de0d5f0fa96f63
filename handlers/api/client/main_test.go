package client_test

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// onStack leaves the environment as it is: that of a whole stack that runs.
const onStack = "SLUICE_TEST_ON_STACK"

// TestMain has the examples find a service where the programs that they are examples for do: the real API, with a
// pipeline that lets everything pass.
func TestMain(m *testing.M) {
	if os.Getenv(onStack) != "" {
		os.Exit(m.Run())
	}
	p := &process{}
	b := newTestBundle(p)
	b.passing = true
	for name, value := range map[string]string{"SLUICE_URL": b.url, "SLUICE_TOKEN": b.token} {
		if err := os.Setenv(name, value); err != nil {
			p.Fatal(err)
		}
	}
	code := m.Run()
	p.clean()
	os.Exit(code)
}

// process is to helpers of tests what a test is, for as long as all tests run.
type process struct {
	testing.TB
	cleanups []func()
}

// Helper implements testing.TB.
func (*process) Helper() {}

// Context implements testing.TB.
func (*process) Context() context.Context { return context.Background() }

// Cleanup implements testing.TB.
func (p *process) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

// Fatal implements testing.TB.
func (p *process) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	p.clean()
	os.Exit(1)
}

// Fatalf implements testing.TB.
func (p *process) Fatalf(format string, args ...any) { p.Fatal(fmt.Sprintf(format, args...)) }

// Error implements testing.TB.
func (p *process) Error(args ...any) { fmt.Fprintln(os.Stderr, args...) }

func (p *process) clean() {
	for len(p.cleanups) > 0 {
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		last()
	}
}
