package localfleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// store is an etcd: the one that clusters of a fleet share, each under its prefix, or a cluster's own.
//
// It asks every client for a certificate of its own authority, for it holds all Secrets in the clear.
type store struct {
	*runner
	dir    string // data/, pki/ and etcd.log
	url    string
	client *http.Client
}

// openStore makes an etcd in dir ready to start. of names whose it is, for messages. With fsync it survives a crash of the
// machine, and is slow; without, it survives only crashes of processes.
func openStore(binary, dir, of string, fsync bool) (*store, error) {
	ca, err := openAuthority(filepath.Join(dir, "pki"), of+"-etcd")
	if err != nil {
		return nil, err
	}
	if err := ca.server("server", []string{"127.0.0.1", "localhost"}); err != nil {
		return nil, err
	}
	if err := ca.client("client", "localfleet", ""); err != nil {
		return nil, err
	}
	port, err := keptPort(filepath.Join(dir, "port"), 0)
	if err != nil {
		return nil, err
	}
	client, err := ca.httpClient("client")
	if err != nil {
		return nil, err
	}
	s := &store{dir: dir, url: "https://127.0.0.1:" + strconv.Itoa(port), client: client}
	s.runner = &runner{
		part: Etcd, of: of, binary: binary, dir: dir, log: filepath.Join(dir, "etcd.log"), port: port,
		args: s.arguments(ca, fsync),
		ready: func(ctx context.Context) error {
			_, err := call(ctx, s.client, http.MethodGet, s.url+"/health", nil)
			return err
		},
	}
	return s, nil
}

func (s *store) arguments(ca *authority, fsync bool) []string {
	// There are no peers; the port that etcd wants for them is any free one, closed to whoever is not of this authority.
	const peers = "https://127.0.0.1:2380"
	return []string{
		"--name=localfleet", "--data-dir=" + s.data(),
		"--listen-client-urls=" + s.url, "--advertise-client-urls=" + s.url,
		"--client-cert-auth", "--trusted-ca-file=" + ca.path("ca.crt"),
		"--cert-file=" + ca.path("server.crt"), "--key-file=" + ca.path("server.key"),
		"--listen-peer-urls=https://127.0.0.1:0", "--initial-advertise-peer-urls=" + peers, "--initial-cluster=localfleet=" + peers,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + ca.path("ca.crt"),
		"--peer-cert-file=" + ca.path("server.crt"), "--peer-key-file=" + ca.path("server.key"),
		"--heartbeat-interval=20", "--election-timeout=100", // alone, it need not wait a second for other voices
		"--unsafe-no-fsync=" + strconv.FormatBool(!fsync),
		"--quota-backend-bytes=8589934592", "--log-level=warn",
	}
}

// serverFlags are an API server's flags to keep its objects here under prefix.
func (s *store) serverFlags(prefix string) []string {
	pki := filepath.Join(s.dir, "pki")
	return []string{
		"--etcd-servers=" + s.url, "--etcd-prefix=" + prefix, "--etcd-cafile=" + filepath.Join(pki, "ca.crt"),
		"--etcd-certfile=" + filepath.Join(pki, "client.crt"), "--etcd-keyfile=" + filepath.Join(pki, "client.key"),
	}
}

func (s *store) data() string { return filepath.Join(s.dir, "data") }

// drop deletes every key below prefix, which begins and does not end with a slash.
func (s *store) drop(ctx context.Context, prefix string) error {
	if !s.alive() {
		return fmt.Errorf("deleting what etcd holds under %s: etcd of %s does not run; start it first", prefix, s.of)
	}
	body, err := json.Marshal(map[string][]byte{"key": []byte(prefix + "/"), "range_end": []byte(prefix + "0")}) // 0 follows /
	if err != nil {
		return err
	}
	if _, err := call(ctx, s.client, http.MethodPost, s.url+"/v3/kv/deleterange", body); err != nil {
		return fmt.Errorf("deleting what etcd holds under %s: %w", prefix, err)
	}
	return nil
}

// copyTo copies the data to a new folder. The etcd must not run.
func (s *store) copyTo(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("copying the data of %s: %s exists", s.of, dir)
	}
	return os.CopyFS(dir, os.DirFS(s.data()))
}

// replace puts the data in dir, a copy that copyTo made, in the place of what is there. The etcd must not run.
func (s *store) replace(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "member")); err != nil {
		return fmt.Errorf("restoring the data of %s: %s is no snapshot: %w", s.of, dir, err)
	}
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	return os.CopyFS(s.data(), os.DirFS(dir))
}

// call makes one HTTP request, with a JSON body if there is one, and returns the answer's body, of at most 32 MiB. An answer
// that is not 2xx is a *statusError.
func call(ctx context.Context, client *http.Client, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &statusError{code: resp.StatusCode, url: url, body: string(data[:min(len(data), 8192)])}
	}
	return data, nil
}

// statusError is an HTTP answer that was no success.
type statusError struct {
	code int
	url  string
	body string // its first 8 KiB
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.url, e.code, http.StatusText(e.code), e.body)
}

// answered tells whether err is an HTTP answer with this code.
func answered(err error, code int) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == code
}
