//go:build !linux

package localfleet

import "syscall"

// processAttributes put a part in a process group of its own, so that a terminal's Ctrl-C reaches only the launcher.
//
// Only Linux can kill a part with its parent. Elsewhere the lifeline alone does it, also for a part that is paused when the
// launcher is killed: a kernel wakes a stopped process whose group has lost its last tie to the session.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
