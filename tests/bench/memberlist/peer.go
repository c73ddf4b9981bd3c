// SPDX-License-Identifier: MIT

// A member of a memberlist cluster with DefaultLANConfig, to be measured beside p2pnode.
//
// One line per event goes to the file of -events: "<wall clock in ns> <event> <subject>", where the
// event is alive, dead (memberlist does not tell a death from a good-bye) or message. Commands come on
// standard input: "send ID" spreads a message of 70 bytes, "leave" says good-bye and ends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const messageSize = 70

// peer is what memberlist talks to: it tells events, and passes messages on as serf does, that is, to
// its own queue at their first arrival.
type peer struct {
	events *os.File
	queue  memberlist.TransmitLimitedQueue
	alive  int32
	lock   sync.Mutex
	known  map[string]bool
}

func (p *peer) tell(event, subject string) {
	fmt.Fprintf(p.events, "%d %s %s\n", time.Now().UnixNano(), event, subject)
}

func (p *peer) NotifyJoin(node *memberlist.Node) {
	atomic.AddInt32(&p.alive, 1)
	p.tell("alive", node.Name)
}

func (p *peer) NotifyLeave(node *memberlist.Node) {
	atomic.AddInt32(&p.alive, -1)
	p.tell("dead", node.Name)
}

func (p *peer) NotifyUpdate(*memberlist.Node) {}

func (p *peer) NodeMeta(int) []byte           { return nil }
func (p *peer) LocalState(bool) []byte        { return nil }
func (p *peer) MergeRemoteState([]byte, bool) {}
func (p *peer) GetBroadcasts(overhead, limit int) [][]byte {
	return p.queue.GetBroadcasts(overhead, limit)
}

// spread queues the message unless it is known; false: it was.
func (p *peer) spread(text string) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.known[text] {
		return false
	}
	p.known[text] = true
	p.queue.QueueBroadcast(message(text))
	return true
}

func (p *peer) NotifyMsg(bytes []byte) {
	text := string(bytes)
	if p.spread(text) {
		p.tell("message", strings.TrimRight(text, "."))
	}
}

type message string

func (m message) Message() []byte                       { return []byte(m) }
func (m message) Invalidates(memberlist.Broadcast) bool { return false }
func (m message) Finished()                             {}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// obey reads commands until there are no more.
func (p *peer) obey(list *memberlist.Memberlist) {
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		verb, id, _ := strings.Cut(input.Text(), " ")
		switch verb {
		case "send":
			p.spread(id + strings.Repeat(".", messageSize-len(id)))
		case "leave":
			if err := list.Leave(5 * time.Second); err != nil {
				fail(err)
			}
			os.Exit(0)
		}
	}
}

func main() {
	config := memberlist.DefaultLANConfig()
	seed := flag.String("join", "", "address of a member to join")
	events := flag.String("events", "/dev/stdout", "where events go")
	flag.StringVar(&config.Name, "name", "", "own name")
	flag.StringVar(&config.BindAddr, "address", "127.0.0.1", "own address")
	flag.Parse()

	file, err := os.OpenFile(*events, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0600)
	if err != nil {
		fail(err)
	}
	p := &peer{events: file, known: make(map[string]bool)}
	config.AdvertiseAddr = config.BindAddr
	config.LogOutput = io.Discard
	config.Events, config.Delegate = p, p
	p.queue.RetransmitMult = config.RetransmitMult
	p.queue.NumNodes = func() int { return int(atomic.LoadInt32(&p.alive)) }
	list, err := memberlist.Create(config)
	if err != nil {
		fail(err)
	}
	for *seed != "" {
		if _, err = list.Join([]string{*seed}); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.obey(list)
}
