//go:build !linux

package embedded

import "syscall"

func endsWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
