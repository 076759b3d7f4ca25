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

func main() {
	readers := flag.Int("readers", 100, "goroutines that read")
	writers := flag.Int("writers", 10, "goroutines that write")
	keys := flag.Int("keys", 5, "how many keys there are")
	pause := flag.Duration("pause", time.Millisecond, "after each request; 0 is none")
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
		go func() {
			op := readOp{reply: make(chan int)}
			for i := 0; ; i++ {
				op.key = i % *keys
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
		go func() {
			op := writeOp{reply: make(chan bool)}
			for i := 0; ; i++ {
				op.key, op.value = i%*keys, i
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
