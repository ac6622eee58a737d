package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// check-machine.sh tells before a long build what is missing, and each thing by itself.
func TestTheMachineIsCheckedFirst(t *testing.T) {
	fine := map[string]string{
		"go":    "case $1 in env) echo go1.26.3;; esac",
		"git":   "echo git version 2.43.0.windows.1",
		"uname": "echo Linux",
		"df":    "echo Filesystem 1024-blocks Used Available Capacity Mounted on; echo /dev/vda 99999999 9 33333333 9% /",
	}
	for _, row := range []struct {
		rule    string
		program string
		says    string // by the program; "-" takes the program away
		want    string // "" for a machine that will do
	}{
		{"a machine with everything will do", "", "", ""},
		{"no go", "go", "-", "there is no go on PATH"},
		{"an old go", "go", "echo go1.25.9", "Go is 1.25.9; 1.26 or newer is needed"},
		{"a newer go will do", "go", "case $1 in env) echo go1.30rc1;; esac", ""},
		{"no loopback", "go", "case $1 in env) echo go1.26;; run) echo demo: listening on loopback: no >&2; exit 1;; esac", "listening on loopback"},
		{"no git", "git", "-", "there is no git on PATH"},
		{"an old git", "git", "echo git version 2.9.5", "this is git version 2.9.5; 2.28 or newer is needed"},
		{"another system", "uname", "echo MINGW64_NT", "this is MINGW64_NT; the demo runs on Linux and macOS"},
		{"a full disk", "df", "echo Filesystem; echo /dev/vda 99999999 9 999999 9% /", "0 GB are free on this disk; 12 are needed"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			path := t.TempDir()
			for name, text := range fine {
				if name == row.program {
					text = row.says
				}
				if text != "-" {
					must(t, os.WriteFile(filepath.Join(path, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
				}
			}
			script, err := os.ReadFile("check-machine.sh") // by the test itself, so that its result is not kept over a change
			must(t, err)
			cmd := exec.Command("/bin/sh", "-c", string(script))
			cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + path}
			out, err := cmd.CombinedOutput()
			if row.want == "" && (err != nil || len(out) > 0) {
				t.Errorf("it is refused: %v\n%s", err, out)
			}
			if row.want != "" && (err == nil || !strings.Contains(string(out), row.want) || strings.Count(string(out), "\n") != 1) {
				t.Errorf("it ends with %v and says\n%s\nwant just: %s", err, out, row.want)
			}
		})
	}
}
