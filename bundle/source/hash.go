package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Hash identifies what name holds. Git's own hash of a directory says of a link only where it points; so where a link
// below name leads out of it, what it leads to is hashed in.
func (t *files) Hash(name string) (string, error) {
	n, err := t.walk("hash", name, true)
	if err != nil {
		return "", err
	}
	return t.hashNode(n, map[string]string{})
}

// hashNode hashes n and what is reached from it by links. done keeps the hashes of directories; one that is still being
// hashed, which links lead back to, is there with its own hash.
func (t *files) hashNode(n node, done map[string]string) (string, error) {
	if sum, ok := done[n.path]; ok {
		return sum, nil
	}
	own, err := t.from.hash(n)
	if err != nil || !n.mode.IsDir() {
		return own, err
	}
	done[n.path] = own
	outside := sha256.New()
	led := false
	err = t.eachLink(n, func(link node) error {
		end, what, err := t.follow(link)
		if err != nil {
			return err
		}
		target, err := t.from.read(link)
		if err != nil {
			return err
		}
		if within(n.path, path.Join(path.Dir(link.path), string(target))) && within(n.path, end.path) {
			return nil
		}
		if what == "" {
			if what, err = t.hashNode(end, done); err != nil {
				return err
			}
		}
		led = true
		fmt.Fprintf(outside, "%q %q %o %s\n", link.path, end.path, end.mode, what)
		return nil
	})
	if err != nil || !led {
		return own, err
	}
	io.WriteString(outside, own)
	done[n.path] = hex.EncodeToString(outside.Sum(nil))
	return done[n.path], nil
}

// follow finds what a link leads to. Where it leads to nothing that can be had, what says why.
func (t *files) follow(link node) (end node, what string, err error) {
	end, err = t.walk("hash", link.path, true)
	known := (*Error)(nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return node{path: ".."}, "nothing", nil
	case errors.As(err, &known):
		return node{path: ".."}, known.Reason + known.Message, nil
	}
	return end, "", err
}

// within says whether name is dir or below it.
func within(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, dir+"/") || dir == "." && name != ".." && !strings.HasPrefix(name, "../")
}

// eachLink visits the links below a directory, in order.
func (t *files) eachLink(dir node, visit func(node) error) error {
	nodes, err := t.from.list(dir)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		switch {
		case n.isLink():
			err = visit(n)
		case n.mode.IsDir():
			err = t.eachLink(n, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
