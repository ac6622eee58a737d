package hub

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	fleet "flotilla.io/flotilla/api/v1alpha1"
	"flotilla.io/flotilla/integrationtests/world"
)

// deadServer takes connections and never says a word.
type deadServer struct {
	net.Listener
	mu   sync.Mutex
	open int
}

func (d *deadServer) serve() {
	for {
		connection, err := d.Accept()
		if err != nil {
			return
		}
		d.add(1)
		go func() {
			defer connection.Close()
			buffer := make([]byte, 1<<10)
			for {
				if _, err := connection.Read(buffer); err != nil { // the hub gave it up
					d.add(-1)
					return
				}
			}
		}()
	}
}

func (d *deadServer) add(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += n
}

func (d *deadServer) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// 200 GitRepos, 20 of which name a server that never answers: all of those are waited for at once, and the others are read meanwhile.
func TestADeadSourceDelaysNoOther(t *testing.T) {
	const all, dead = 200, 20
	w := world.New(t, world.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.Check(err)
	server := &deadServer{Listener: listener}
	defer server.Close()
	go server.serve()
	for i := range dead {
		w.GitRepo(fmt.Sprintf("dead-%d", i), fmt.Sprintf("http://%s/dead-%d.git", listener.Addr(), i), nil)
	}
	w.Eventually("the hub waiting for all dead servers at once", func() error {
		if n := server.waiting(); n < dead {
			return fmt.Errorf("it waits for %d of %d", n, dead)
		}
		return nil
	})

	url := w.Repo("shop", map[string]string{"app/fleet.yaml": "defaultNamespace: app\n", "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
	for i := range all - dead {
		w.GitRepo(fmt.Sprintf("shop-%d", i), url, nil)
	}
	commit := w.Push("shop", map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n"})
	w.Eventually("every GitRepo of a server that answers", func() error {
		repos := &fleet.GitRepoList{}
		if err := w.Hub.Client.List(context.Background(), repos, client.InNamespace(world.Workspace)); err != nil {
			return err
		}
		read := 0
		for i := range repos.Items {
			if repos.Items[i].Status.Commit == commit {
				read++
			}
		}
		if read != all-dead {
			return fmt.Errorf("%d of %d are read", read, all-dead)
		}
		return nil
	})
}
