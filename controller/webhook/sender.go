package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// Keys of a push hook's Secret, as Fleet has them: which kind of Git server knows what.
const (
	keyGitHub          = "github"
	keyGitLab          = "gitlab"
	keyGogs            = "gogs"
	keyBitbucket       = "bitbucket"
	keyBitbucketServer = "bitbucket-server"
	keyAzureUsername   = "azure-username"
	keyAzurePassword   = "azure-password"
)

// sent is a push as it came.
type sent struct {
	header http.Header
	body   []byte
}

// sender is a kind of Git server.
type sender struct {
	read  func(body []byte) (push, error)
	knows func(secret map[string][]byte, m sent) bool // whether what was sent proves it
}

// senderOf tells by its headers who sends.
func senderOf(h http.Header) sender {
	switch {
	case h.Get("X-Gitlab-Event") != "":
		return sender{plain, gitLab}
	case h.Get("X-Event-Key") == "repo:push":
		return sender{bitbucketCloud, bitbucketOfCloud}
	case h.Get("X-Event-Key") != "":
		return sender{bitbucketServer, bitbucketOfServer}
	case h.Get("X-Vss-Activityid") != "" || h.Get("X-Vss-Subscriptionid") != "":
		return sender{azureDevOps, azure}
	}
	return sender{plain, gitHub}
}

// gitHub: GitHub signs the body, and Gitea, Forgejo and Gogs do so in a header of theirs too.
func gitHub(secret map[string][]byte, m sent) bool {
	return signed(secret[keyGitHub], m.body, m.header.Get("X-Hub-Signature-256")) ||
		signed(secret[keyGogs], m.body, m.header.Get("X-Gogs-Signature"))
}

// gitLab sends the secret itself.
func gitLab(secret map[string][]byte, m sent) bool {
	return same(secret[keyGitLab], m.header.Get("X-Gitlab-Token"))
}

// bitbucketOfCloud signs the body where it was given a secret; the UUID of the hook, which Fleet goes by, is one too.
func bitbucketOfCloud(secret map[string][]byte, m sent) bool {
	return signed(secret[keyBitbucket], m.body, m.header.Get("X-Hub-Signature")) || same(secret[keyBitbucket], m.header.Get("X-Hook-Uuid"))
}

func bitbucketOfServer(secret map[string][]byte, m sent) bool {
	return signed(secret[keyBitbucketServer], m.body, m.header.Get("X-Hub-Signature"))
}

// azure sends name and password.
func azure(secret map[string][]byte, m sent) bool {
	username, password, ok := (&http.Request{Header: m.header}).BasicAuth()
	name, word := same(secret[keyAzureUsername], username), same(secret[keyAzurePassword], password)
	return ok && name && word
}

// signed tells whether a signature, "sha256=" and hex or hex alone, is that of the body by a secret. No secret signs nothing.
func signed(secret, body []byte, sign string) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(sign, "sha256="))
	if err != nil || len(secret) == 0 {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// same compares in a time that tells nothing. No secret is the same as nothing.
func same(secret []byte, got string) bool {
	a, b := sha256.Sum256(secret), sha256.Sum256([]byte(got))
	return len(secret) > 0 && hmac.Equal(a[:], b[:])
}
