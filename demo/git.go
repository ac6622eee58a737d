package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"flotilla.io/flotilla/demo/gitserver"
)

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (d *run) startGit(ctx context.Context) error {
	var err error
	d.git, err = gitserver.New(gitserver.Options{Dir: filepath.Join(d.Dir, "git"), OnPush: d.tellHub})
	if err != nil {
		return err
	}
	if _, err := d.git.Seed(repoName, d.Examples); err != nil {
		return err
	}
	return d.git.Start(ctx)
}

// tellHub sends what a Git server sends after a push, signed.
func (d *run) tellHub(_, ref, commit string) {
	body, err := json.Marshal(map[string]any{"ref": ref, "after": commit, "repository": map[string]any{"clone_url": d.git.URL(repoName)}})
	if err != nil {
		return
	}
	mac := hmac.New(sha256.New, []byte(d.secret))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, "http://"+d.hook+"/", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	if resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req); err == nil {
		_ = resp.Body.Close() // the next poll finds what the hook could not bring
	}
}
