//go:build !linux

package localfleet

import "syscall"

// processAttributes put a part in a process group of its own, so that a terminal's Ctrl-C reaches only the launcher.
//
// Only Linux can kill a part with its parent. Elsewhere the lifeline alone does it: a part that is paused when the launcher
// is killed ends as soon as it is resumed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
