package main

import (
	"io"
	"os"
	"strconv"
	"syscall"

	"flotilla.io/flotilla/localfleet"
)

// followLauncher ends this process as soon as the one that started it is gone.
//
// The launcher holds the write end of a pipe for as long as it lives and hands each part the read end; the kernel closes
// the write end even when the launcher is killed. Nothing is ever written. Started by hand, without the pipe, a part lives
// on its own.
func followLauncher() {
	fd, err := strconv.Atoi(os.Getenv(localfleet.LifelineEnv))
	if err != nil {
		return
	}
	_ = os.Unsetenv(localfleet.LifelineEnv)
	syscall.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "lifeline")
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
}
