package gitserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Who makes the commits of Seed.
const (
	authorName  = "Flotilla Demo"
	authorEmail = "demo@flotilla.io"
)

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// check says what is wrong with the name of a repository.
func (s *Server) check(name string) error {
	if !validName.MatchString(name) || strings.Contains(name, ".git") {
		return fmt.Errorf("naming a repository %q: use letters, digits, '.', '_' and '-', parted by '/', without .git", name)
	}
	return nil
}

func (s *Server) path(name string) string {
	return filepath.Join(s.dir, filepath.FromSlash(name)+".git")
}

// Create makes an empty repository whose default branch is main. One that is there is left as it is.
func (s *Server) Create(name string) error {
	if err := s.check(name); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.path(name), "HEAD")); err == nil {
		return nil
	}
	if _, err := s.run(nil, "init", "--quiet", "--bare", "--initial-branch=main", "--template=", s.path(name)); err != nil {
		return err
	}
	_, err := s.run(nil, "--git-dir", s.path(name), "config", "http.receivepack", "true")
	return err
}

// Seed commits the files below dir to branch main of a repository, which is made when it is not there, and returns the
// commit. What main holds already makes no commit; a .gitignore in dir counts, those of the user do not.
func (s *Server) Seed(name, dir string) (string, error) {
	if err := s.Create(name); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp("", "gitserver-seed-")
	if err != nil {
		return "", fmt.Errorf("making room for an index: %w", err)
	}
	defer os.RemoveAll(scratch)
	work, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolving %q: %w", dir, err)
	}
	env := []string{
		"GIT_DIR=" + s.path(name), "GIT_WORK_TREE=" + work, "GIT_INDEX_FILE=" + filepath.Join(scratch, "index"),
		"GIT_AUTHOR_NAME=" + authorName, "GIT_AUTHOR_EMAIL=" + authorEmail,
		"GIT_COMMITTER_NAME=" + authorName, "GIT_COMMITTER_EMAIL=" + authorEmail,
	}
	if _, err := s.runIn(work, env, "add", "--all", "."); err != nil {
		return "", err
	}
	tree, err := s.run(env, "write-tree")
	if err != nil {
		return "", err
	}
	return s.commit(name, tree, env)
}

// commit puts tree on top of main, when main does not hold it already.
func (s *Server) commit(name, tree string, env []string) (string, error) {
	head := s.refs(name)["refs/heads/main"]
	args := []string{"commit-tree", tree, "-m", "Seed the repository"}
	if head != "" {
		held, err := s.run(env, "rev-parse", head+"^{tree}")
		if err != nil {
			return "", err
		}
		if held == tree {
			return head, nil
		}
		args = append(args, "-p", head)
	}
	commit, err := s.run(env, args...)
	if err != nil {
		return "", err
	}
	_, err = s.run(env, "update-ref", "refs/heads/main", commit, head)
	return commit, err
}

// refs of a repository and what they point to; none when they cannot be read.
func (s *Server) refs(name string) map[string]string {
	out, err := s.run(nil, "--git-dir", s.path(name), "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		if object, ref, found := strings.Cut(strings.TrimSpace(line), " "); found {
			refs[ref] = object
		}
	}
	return refs
}

func (s *Server) run(env []string, args ...string) (string, error) {
	return s.runIn(s.dir, env, args...)
}

func (s *Server) runIn(dir string, env []string, args ...string) (string, error) {
	command := exec.Command(s.git, args...)
	command.Dir = dir
	command.Env = append(append(s.environment(), "PATH="+os.Getenv("PATH")), env...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("running git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// environment keeps every gitconfig, ignore file and hook of the user and the machine out.
func (s *Server) environment() []string {
	return []string{
		"HOME=" + s.dir, "XDG_CONFIG_HOME=" + s.dir,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
	}
}
