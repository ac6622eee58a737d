package gitserver

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// SSH serves the repositories of a Server for reading, by git's own upload-pack. One key may sign in, as any user.
type SSH struct {
	server   *Server
	config   *ssh.ServerConfig
	host     ssh.PublicKey
	listener net.Listener
	key      []byte

	mu   sync.Mutex
	open map[net.Conn]bool
}

// StartSSH listens on any free port of loopback and serves until ctx ends or Close.
func (s *Server) StartSSH(ctx context.Context) (*SSH, error) {
	host, _, err := newKey()
	if err != nil {
		return nil, err
	}
	user, key, err := newKey()
	if err != nil {
		return nil, err
	}
	out := &SSH{server: s, host: host.PublicKey(), key: key, open: map[net.Conn]bool{}}
	allowed := string(user.PublicKey().Marshal())
	out.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != allowed {
			return nil, fmt.Errorf("this key may not sign in")
		}
		return nil, nil
	}}
	out.config.AddHostKey(host)
	if out.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listening for Git over SSH: %w", err)
	}
	go out.accept()
	context.AfterFunc(ctx, out.Close)
	return out, nil
}

func newKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key for SSH: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, fmt.Errorf("writing a key for SSH: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	return signer, pem.EncodeToMemory(block), err
}

// URL of a repository over SSH.
func (s *SSH) URL(name string) string {
	return "ssh://git@" + s.listener.Addr().String() + "/" + name + ".git"
}

// Key is the private key that may sign in, in PEM.
func (s *SSH) Key() []byte { return s.key }

// KnownHosts is the line of known_hosts for this server.
func (s *SSH) KnownHosts() []byte {
	return []byte(knownhosts.Line([]string{s.listener.Addr().String()}, s.host) + "\n")
}

// Close stops listening and ends what is under way. It may be called more than once.
func (s *SSH) Close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for connection := range s.open {
		connection.Close()
	}
}

func (s *SSH) accept() {
	for {
		connection, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(connection)
	}
}

func (s *SSH) serve(connection net.Conn) {
	s.mu.Lock()
	s.open[connection] = true
	s.mu.Unlock()
	defer func() {
		connection.Close()
		s.mu.Lock()
		delete(s.open, connection)
		s.mu.Unlock()
	}()
	_, channels, requests, err := ssh.NewServerConn(connection, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			offered.Reject(ssh.UnknownChannelType, "only sessions are served") //nolint:errcheck // the client sees it or is gone
			continue
		}
		if channel, requests, err := offered.Accept(); err == nil {
			go s.session(channel, requests)
		}
	}
}

// session runs the one command that is served.
func (s *SSH) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for req := range requests {
		var asked struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &asked) != nil {
			req.Reply(false, nil) //nolint:errcheck // the client sees it or is gone
			continue
		}
		req.Reply(true, nil) //nolint:errcheck // the same
		status := s.run(channel, asked.Command)
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{status})) //nolint:errcheck // the same
		return
	}
}

func (s *SSH) run(channel ssh.Channel, asked string) (status uint32) {
	path, isFetch := strings.CutPrefix(asked, "git-upload-pack '/")
	name, isRepo := strings.CutSuffix(path, ".git'")
	if !isFetch || !isRepo || s.server.check(name) != nil {
		fmt.Fprintf(channel.Stderr(), "ERROR: only fetching is served here\n")
		return 1
	}
	command := exec.Command(s.server.git, "upload-pack", s.server.path(name))
	command.Env = s.server.environment()
	command.Stdout, command.Stderr = channel, channel.Stderr()
	in, err := command.StdinPipe()
	if err != nil || command.Start() != nil {
		return 128
	}
	go io.Copy(in, channel) //nolint:errcheck // what the client does not say git waits for
	if command.Wait() != nil {
		return 128
	}
	return 0
}
