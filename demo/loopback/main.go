// Command loopback tells before a long build whether programs can talk to each other on this machine: the demo opens some
// thirty ports of 127.0.0.1, any that are free. It is run from source, so it needs the standard library only.
package main

import (
	"fmt"
	"net"
	"os"
)

// ports is how many the demo has open at once, with some to spare.
const ports = 40

func main() {
	if err := try(ports); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v; the demo needs %d free ports of 127.0.0.1 that its programs can reach\n", err, ports)
		os.Exit(1)
	}
}

// try listens on n ports at once and dials each.
func try(n int) error {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening on loopback: %w", err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return fmt.Errorf("dialling a port of loopback: %w", err)
		}
		defer c.Close()
	}
	return nil
}
