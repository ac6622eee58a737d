package localfleet

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// freePort picks a loopback port that nobody listens on.
//
// It stays below the range that systems hand out to outgoing connections, so that a port is still free when a stopped part
// comes back for it.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if portFree(port) {
			return port, nil
		}
	}
	return 0, errors.New("finding a free port between 20000 and 30000 on 127.0.0.1: 100 tries were all taken")
}

// awaitPort waits a moment for a port to become free: a part of an earlier launcher may be dying yet.
func awaitPort(port int) error {
	for range 50 {
		if portFree(port) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("port " + strconv.Itoa(port) + " on 127.0.0.1 is taken by another program; end that one or choose another port")
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// keptPort is the port written in file, or one that it picks (want, unless that is 0) and writes there.
func keptPort(file string, want int) (int, error) {
	if data, err := os.ReadFile(file); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && (want == 0 || want == port) {
			return port, nil
		}
	}
	if want == 0 {
		var err error
		if want, err = freePort(); err != nil {
			return 0, err
		}
	}
	return want, replaceFile(file, []byte(strconv.Itoa(want)+"\n"))
}
