package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADemoEmptiesOnlyWhatADemoMade(t *testing.T) {
	for _, row := range []struct {
		rule    string
		holds   []string
		refused bool
	}{
		{"a folder that is not there is made", nil, false},
		{"a demo's folder is emptied", []string{mark, "git/HEAD", "kubeconfig"}, false},
		{"a folder with anything else is refused", []string{"letter.txt"}, true},
		{"also when it looks like a demo's", []string{"git/HEAD", "kubeconfig"}, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			for _, name := range row.holds {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
				must(t, os.WriteFile(filepath.Join(dir, name), []byte("dear"), 0o600))
			}
			lock, err := takeFolder(dir)
			if (err != nil) != row.refused {
				t.Fatalf("taking it gives %v", err)
			}
			if err == nil {
				defer lock.Close()
			}
			left, err := os.ReadDir(dir)
			must(t, err)
			if !row.refused && (len(left) != 1 || left[0].Name() != mark) {
				t.Errorf("it was not emptied: %v", left)
			}
			for _, name := range row.holds {
				if _, err := os.Stat(filepath.Join(dir, name)); row.refused && err != nil {
					t.Errorf("a refused folder lost something: %v", err)
				}
			}
		})
	}
}

func TestOneDemoToAFolder(t *testing.T) {
	dir := t.TempDir()
	lock, err := takeFolder(dir)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "kubeconfig"), nil, 0o600))
	_, err = takeFolder(dir)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second demo in the folder gets %v; want the first one's process named", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kubeconfig")); err != nil {
		t.Errorf("a second demo took something from the first: %v", err)
	}
	must(t, lock.Close())
	lock, err = takeFolder(dir)
	must(t, err)
	must(t, lock.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
