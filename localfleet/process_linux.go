package localfleet

import "syscall"

// processAttributes put a part in a process group of its own, so that a terminal's Ctrl-C reaches only the launcher, and
// have the kernel kill it when the launcher's starter thread goes.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
