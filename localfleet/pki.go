package localfleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long certificates hold: longer than anyone keeps a local fleet.
const validity = 10 * 365 * 24 * time.Hour

// authority is a certificate authority whose files lie in a folder: ca.crt and ca.key, and NAME.crt and NAME.key for each
// certificate it issued. Files that are there are kept, so that clients go on trusting a cluster that was restarted.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openAuthority loads the authority in dir, or makes one.
func openAuthority(dir, name string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &authority{dir: dir}
	cert, key, err := a.load("ca")
	if errors.Is(err, fs.ErrNotExist) {
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		}
		cert, key, err = a.issue("ca", template)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the certificate authority in %s: %w", dir, err)
	}
	a.cert, a.key = cert, key
	return a, nil
}

// server issues, or keeps, a certificate for a server under the given names and addresses, also good as a client.
func (a *authority) server(file string, names []string) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: file}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if cert, _, err := a.load(file); err == nil && cert.CheckSignatureFrom(a.cert) == nil && covers(cert, names) {
		return nil
	}
	_, _, err := a.issue(file, template)
	return err
}

func covers(cert *x509.Certificate, names []string) bool {
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// client issues, or keeps, a certificate that a client shows: user is who it is, group what it belongs to ("" for none).
func (a *authority) client(file, user, group string) error {
	if cert, _, err := a.load(file); err == nil && cert.CheckSignatureFrom(a.cert) == nil {
		return nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: user}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	_, _, err := a.issue(file, template)
	return err
}

// issue completes template, signs it (with its own key if there is no authority yet) and writes certificate and key.
func (a *authority) issue(file string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks differ a little
	template.NotAfter = template.NotBefore.Add(validity)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	if err := a.writeKey(file+".key", key); err != nil {
		return nil, nil, err
	}
	if err := a.writePEM(file+".crt", "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// signingKey makes, or keeps, the key pair that signs service accounts' tokens: NAME.key and NAME.pub.
func (a *authority) signingKey(file string) error {
	if _, err := os.Stat(a.path(file + ".pub")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := a.writeKey(file+".key", key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return a.writePEM(file+".pub", "PUBLIC KEY", der)
}

// load reads a certificate and its key.
func (a *authority) load(file string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certDER, err := readPEM(a.path(file + ".crt"))
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := readPEM(a.path(file + ".key"))
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	return cert, key, err
}

func (a *authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *authority) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return a.writePEM(file, "EC PRIVATE KEY", der)
}

func (a *authority) writePEM(file, kind string, der []byte) error {
	return os.WriteFile(a.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("reading %s: no PEM block in it", path)
	}
	return block.Bytes, nil
}
