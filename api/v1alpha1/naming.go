package v1alpha1

import (
	"crypto/md5" // Fleet's names are made with it; it protects nothing
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// MaxReleaseNameLen is the longest name of a Helm release, and so of a bundle.
const MaxReleaseNameLen = 53

var (
	notNameCharacters = regexp.MustCompile(`[^a-zA-Z0-9-]+`)
	dashes            = regexp.MustCompile(`-+`)
	dnsLabel          = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// BundleName is the name of the bundle that directory path of GitRepo repo makes, as Fleet names it. With "options" files, path
// is the directory, a slash, and the file's path without its extension.
func BundleName(repo, path string) string {
	return HelmReleaseName(repo + "/" + path)
}

// HelmReleaseName makes a DNS label of at most 53 characters out of any text, as Fleet does. Whatever had to be changed beyond
// "/" leaves a hash in the name, so that texts that look alike stay apart.
func HelmReleaseName(text string) string {
	name := strings.ReplaceAll(text, "/", "-")
	if name != strings.ToLower(name) || notNameCharacters.MatchString(name) {
		name += "-" + md5Hex(name, 8)
	}
	name = notNameCharacters.ReplaceAllString(strings.ToLower(name), "-")
	name = strings.Trim(dashes.ReplaceAllString(name, "-"), "-")
	if !dnsLabel.MatchString(name) {
		return md5Hex(text, 24)
	}
	return Limit(name, MaxReleaseNameLen)
}

// Limit cuts a name that is longer than max, ending it in a dash and 5 digits of its hash. A max below 7 has no room for the
// hash; the name is then only cut.
func Limit(name string, max int) string {
	const hashLen = 5
	if len(name) <= max {
		return name
	}
	if max <= hashLen+1 {
		return name[:max]
	}
	return strings.TrimSuffix(name[:max-hashLen-1], "-") + "-" + md5Hex(name, hashLen)
}

func md5Hex(text string, length int) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])[:length]
}

// SafeConcatName joins parts with dashes into a name of at most 63 characters, as Fleet does; a longer one ends in a dash and
// digits of its hash.
func SafeConcatName(parts ...string) string {
	const max, cut = 63, 57
	name := strings.Join(parts, "-")
	if len(name) <= max {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	digits := hex.EncodeToString(sum[:])
	if last := name[cut-1]; 'a' <= last && last <= 'z' || '0' <= last && last <= '9' {
		return name[:cut] + "-" + digits[:5]
	}
	return name[:cut-1] + "-" + digits[:6]
}

// KeyHash is 12 hex digits of the hash of the first 100 bytes of a text, as Fleet makes them.
func KeyHash(text string) string {
	sum := sha256.Sum256([]byte(text[:min(len(text), 100)]))
	return hex.EncodeToString(sum[:])[:12]
}

// ClusterNamespace is the namespace on the hub for the BundleDeployments of the cluster of that name, registered in workspace.
func ClusterNamespace(workspace, cluster string) string {
	return SafeConcatName("cluster", workspace, cluster, KeyHash(workspace+"::"+cluster))
}

// ClusterNameFromClientID is the name of a cluster that registers without naming itself.
func ClusterNameFromClientID(clientID string) string {
	return "cluster-" + KeyHash(clientID)
}
