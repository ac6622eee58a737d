package localfleet

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// identity is a context of a kubeconfig: a cluster and who one is there.
type identity struct {
	context string // also the cluster's name
	server  string
	user    string
	ca      []byte // PEM, like the other two
	cert    []byte
	key     []byte
}

// identity reads the credentials that the authority issued as file.
func (a *authority) identity(context, server, file string) (identity, error) {
	id := identity{context: context, server: server, user: file}
	for name, data := range map[string]*[]byte{"ca.crt": &id.ca, file + ".crt": &id.cert, file + ".key": &id.key} {
		content, err := os.ReadFile(a.path(name))
		if err != nil {
			return identity{}, err
		}
		*data = content
	}
	return id, nil
}

// httpClient is a client that trusts the authority and shows the certificate that it issued as file.
func (a *authority) httpClient(file string) (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(a.path(file+".crt"), a.path(file+".key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, // parts come and go, and a part that stops waits for its connections
	}}, nil
}

// kubeconfig is the text of a kubeconfig with a context for each identity, the first one current. Names are quoted: y and
// null are good names for a cluster, but no strings in YAML.
func kubeconfig(ids ...identity) []byte {
	var clusters, contexts, users strings.Builder
	for _, id := range ids {
		encode := base64.StdEncoding.EncodeToString
		user := id.context + "-" + id.user
		fmt.Fprintf(&clusters, "- name: %q\n  cluster:\n    server: %s\n    certificate-authority-data: %s\n",
			id.context, id.server, encode(id.ca))
		fmt.Fprintf(&contexts, "- name: %q\n  context:\n    cluster: %q\n    user: %q\n", id.context, id.context, user)
		fmt.Fprintf(&users, "- name: %q\n  user:\n    client-certificate-data: %s\n    client-key-data: %s\n",
			user, encode(id.cert), encode(id.key))
	}
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Config\ncurrent-context: %q\nclusters:\n%scontexts:\n%susers:\n%s",
		ids[0].context, &clusters, &contexts, &users)
}

// replaceFile writes a file that only its owner may read, whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".localfleet-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
