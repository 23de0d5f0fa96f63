package sqs

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// TestALeaseTakenWhileOthersExpireExpiresToo: it stands behind those that expire, whose alarm has rung.
func TestALeaseTakenWhileOthersExpireExpiresToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		take := func(table *leaseTable) *lease {
			l := newLease(context.Background(), message.NewMessage("", nil), "")
			table.add(time.Now().Add(time.Minute), []*lease{l})
			return l
		}
		var table *leaseTable
		var last *lease
		table = newLeaseTable(func(l *lease) {
			if last == nil {
				last = take(table)
			}
			table.end(ErrLeaseLost, l)
		})
		take(table)
		time.Sleep(time.Hour)
		synctest.Wait()
		if last == nil || last.cause != ErrLeaseLost { //nolint:errorlint // it is kept as it is
			t.Error("the lease is still held")
		}
	})
}

// TestLeasesExpireInTurn: whichever order leases are taken, extended and ended in, each expires at its own time.
func TestLeasesExpireInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var expired []string
		began := time.Now()
		var table *leaseTable
		table = newLeaseTable(func(l *lease) {
			if len(table.end(ErrLeaseLost, l)) == 1 {
				mu.Lock()
				defer mu.Unlock()
				expired = append(expired, l.msg.UUID+" after "+time.Since(began).String())
			}
		})
		take := func(name string, length time.Duration) *lease {
			l := newLease(context.Background(), message.NewMessage(name, nil), "")
			table.add(began.Add(length), []*lease{l})
			return l
		}
		first, second := take("first", 10*time.Second), take("second", 12*time.Second)
		take("earlier", 8*time.Second)
		take("between", 11*time.Second)
		table.extend(first, began.Add(20*time.Second))
		time.Sleep(9 * time.Second)
		if ended := table.end(errSettled, second, second); !slices.Equal(ended, []*lease{second}) {
			t.Error("a lease does not end once")
		}
		if renewed := table.beginRenewals([]*lease{first, second}); !slices.Equal(renewed, []*lease{first}) {
			t.Error("a lease that has ended is renewed, or one that has not is not")
		}
		table.extend(second, began.Add(time.Minute))
		time.Sleep(time.Minute)
		take("last", 70*time.Second)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := []string{"earlier after 8s", "between after 11s", "first after 20s", "last after 1m10s"}
		if !slices.Equal(expired, want) {
			t.Errorf("expired: %q, want %q", expired, want)
		}
		if left := table.all(); len(left) != 0 {
			t.Errorf("%d leases left", len(left))
		}
	})
}
