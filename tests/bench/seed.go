// SPDX-License-Identifier: MIT
//
// seed.go - the program that sole brings to Unix processes, as it is in Go: one
// goroutine owns a map, the others ask it through channels, in one process.
//
// It is the peer to beat on its own workload, so nothing here is made slower
// than it need be: a reply channel is made once for each goroutine and not for
// each request, and a pause of nothing is not called at all.
package main

import (
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

type readOp struct {
	key   int
	reply chan int
}

type writeOp struct {
	key, value int
	reply      chan bool
}

// own is the one place where the map is touched.
func own(reads <-chan readOp, writes <-chan writeOp) {
	state := make(map[int]int)
	for {
		select {
		case op := <-reads:
			op.reply <- state[op.key]
		case op := <-writes:
			state[op.key] = op.value
			op.reply <- true
		}
	}
}

// chooser tells which key to ask for the i-th time: in turn, or by xorshift64.
func chooser(random bool, keys, who int) func(int) int {
	if !random {
		return func(i int) int { return i % keys }
	}
	dice := uint64(who+1) * 0x9e3779b97f4a7c15
	return func(int) int {
		dice ^= dice << 13
		dice ^= dice >> 7
		dice ^= dice << 17
		return int(dice % uint64(keys))
	}
}

func main() {
	readers := flag.Int("readers", 100, "goroutines that read")
	writers := flag.Int("writers", 10, "goroutines that write")
	keys := flag.Int("keys", 5, "how many keys there are")
	pause := flag.Duration("pause", time.Millisecond, "after each request; 0 is none")
	random := flag.Bool("random", false, "ask for keys at random, not one after the other")
	duration := flag.Duration("duration", time.Second, "from start to stop")
	flag.Parse()
	if flag.NArg() > 0 || *readers < 0 || *writers < 0 || *keys < 1 || *pause < 0 || *duration < 0 {
		fmt.Fprintln(os.Stderr, "seed-go: counts and times are not negative, keys are at least 1, "+
			"and there are no operands; see seed-go -help")
		os.Exit(64)
	}

	reads := make(chan readOp)
	writes := make(chan writeOp)
	var readTotal, writeTotal uint64

	go own(reads, writes)
	for r := 0; r < *readers; r++ {
		next := chooser(*random, *keys, r)
		go func() {
			op := readOp{reply: make(chan int)}
			for i := 0; ; i++ {
				op.key = next(i)
				reads <- op
				<-op.reply
				atomic.AddUint64(&readTotal, 1)
				if *pause > 0 {
					time.Sleep(*pause)
				}
			}
		}()
	}
	for w := 0; w < *writers; w++ {
		next := chooser(*random, *keys, *readers+w)
		go func() {
			op := writeOp{reply: make(chan bool)}
			for i := 0; ; i++ {
				op.key, op.value = next(i), i
				writes <- op
				<-op.reply
				atomic.AddUint64(&writeTotal, 1)
				if *pause > 0 {
					time.Sleep(*pause)
				}
			}
		}()
	}

	time.Sleep(*duration)
	fmt.Printf("reads: %d, writes: %d\n", atomic.LoadUint64(&readTotal), atomic.LoadUint64(&writeTotal))
}
