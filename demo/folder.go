package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// mark is the file that tells a demo's folder. The process that runs the demo holds a lock on it.
const mark = ".flotilla-demo"

// takeFolder takes dir for this process, which holds it until the file that it returns is closed, and empties it. A folder
// that another demo runs in is left alone, and so is one that holds what no demo made.
func takeFolder(dir string) (*os.File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking into the demo's folder: %w", err)
	}
	ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == mark })
	if len(entries) > 0 && !ours {
		return nil, fmt.Errorf("%s holds things that no demo made, and a demo empties its folder: give --dir an empty one", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	lock, err := lock(filepath.Join(dir, mark))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() != mark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("emptying the demo's folder: %w", err), lock.Close())
	}
	return lock, nil
}

// lock locks a file and writes the process into it. The kernel unlocks it when the process ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the demo's folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path) // without it the message is only less helpful
		return nil, errors.Join(fmt.Errorf("a demo runs already in %s (process %s); Ctrl-C in its terminal ends it",
			filepath.Dir(path), strings.TrimSpace(string(pid))), f.Close())
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taking the demo's folder: %w", err), f.Close())
	}
	return f, nil
}
