// Package source fetches trees of files at a revision: from Git over HTTP(S) and SSH and from local repositories, kept as bare
// mirrors on disk, and from plain directories.
//
// It is the only package that imports go-git, and it runs no other program. A mirror is a cache that only ever grows by
// whole, checked packs: a repository that was emptied, a branch that vanished or a transfer that broke off leaves every
// commit fetched before readable. Nothing read from a repository is trusted: sizes and counts are bounded (limits.go),
// links are followed inside the tree only, and no error carries a credential.
package source

import (
	"io/fs"
	"time"
)

// Tree is the files of one revision, or of one directory on disk.
//
// Paths are those of io/fs: slash-separated, relative, "." for the root. Opening, listing, reading and Stat follow
// symbolic links, inside the tree only; ReadDir and Lstat name a link as a link, so fs.WalkDir does not follow one.
// A link that leaves the tree or turns in a circle, a submodule, and a Git LFS pointer are each an *Error when they are
// opened, and harm nothing else. A Tree is safe for concurrent use and stays readable while its mirror moves on.
type Tree interface {
	fs.FS
	fs.StatFS
	fs.ReadDirFS
	fs.ReadFileFS
	fs.ReadLinkFS

	// Hash identifies what path holds: equal hashes, equal content and modes. It is Git's own tree or blob hash (for a
	// directory on disk a SHA-256 over names, modes and content), and a SHA-256 over that and what the links point to
	// where links below path lead out of it.
	Hash(path string) (string, error)
}

// Revision is a commit. Branch is the branch it was read from, "" when a tag or a commit was asked for by name.
type Revision struct {
	Commit, Author, Email, Subject string
	Time                           time.Time
	Branch                         string
	// OrEarlier: the history at hand ends here, so what LastChanged was asked for may be older than this commit.
	OrEarlier bool
}

// Auth says who we are to a server and whom we trust. The zero value is anonymous, with the system's CAs.
type Auth struct {
	Username, Password string
	CABundle           []byte // PEM, trusted besides the system's CAs
	Insecure           bool   // any certificate is taken
	// SSHKey is a private key, in PEM, and KnownHosts the servers' public keys, in lines of known_hosts; none is no server.
	SSHKey, KnownHosts []byte
	AnyHostKey         bool       // any server is taken for the one that was meant
	App                *GitHubApp // stands in for user and password
}

// Request names a repository and what to read of it.
//
// URL is http(s)://, ssh://, user@host:path, file:// or an absolute path; user:password@ in it stands in for an empty Auth. Revision, a tag or
// a commit of 40 digits, goes before Branch. With neither, the branch is Fleet's default `master` or, when the
// repository has none, the one its HEAD names.
type Request struct {
	URL, Branch, Revision string
	Auth                  Auth
}
