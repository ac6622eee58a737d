package importer

import (
	"context"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: edge
contexts: [{name: edge, context: {cluster: edge, user: me}}]
clusters: [{name: edge, cluster: {server: "https://edge.example:6443"CLUSTER}}]
users: [{name: me, user: {token: secretUSER}}]
`

func TestAKubeconfigMayNotReachBeyondItself(t *testing.T) {
	for _, row := range []struct{ rule, cluster, user, wrong string }{
		{"a token is taken", "", "", ""},
		{"a command is not run", "", ", exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}", "exec"},
		{"a plugin is not run", "", ", auth-provider: {name: oidc}", "auth-provider"},
		{"a token's file is not read", "", ", tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token", "tokenFile"},
		{"a certificate's file is not read", "", ", client-certificate: /etc/x", "client-certificate"},
		{"a key's file is not read", "", ", client-key: /etc/x", "client-key"},
		{"a CA's file is not read", ", certificate-authority: /etc/x", "", "certificate-authority"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			config, err := Config([]byte(strings.NewReplacer("CLUSTER", row.cluster, "USER", row.user).Replace(kubeconfig)))
			switch {
			case row.wrong == "" && (err != nil || config.Host != "https://edge.example:6443" || config.BearerToken != "secret"):
				t.Errorf("got %v, %v", config, err)
			case row.wrong != "" && (err == nil || !strings.Contains(err.Error(), "a field "+row.wrong)):
				t.Errorf("got %v", err)
			}
		})
	}
	for _, broken := range []string{"{", "current-context: nowhere\n"} {
		if _, err := Config([]byte(broken)); err == nil {
			t.Errorf("%q is taken for a kubeconfig", broken)
		}
	}
}

func TestAProcessSaysWhyItFailed(t *testing.T) {
	for _, row := range []struct{ rule, script, want string }{
		{"all went well", "cat >/dev/null", ""},
		{"its last words are the error", "echo 'the server is away' >&2; exit 1", "the server is away"},
		{"without words its end is", "exit 3", "exit status 3"},
		{"it sees nothing of the hub's environment", `test -z "$FLOTILLA_SECRET" || { echo "it sees $FLOTILLA_SECRET" >&2; exit 1; }`, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			t.Setenv("FLOTILLA_SECRET", "secret")
			err := Process("/bin/sh", "-c", row.script)(t.Context(), Order{Kubeconfig: []byte("x")})
			if got := ""; err != nil {
				got = err.Error()
				if got != row.want {
					t.Errorf("got %q, want %q", got, row.want)
				}
			} else if row.want != "" {
				t.Errorf("no error, want %q", row.want)
			}
		})
	}
}

func TestAnOrderIsReadAndCarriedOut(t *testing.T) {
	order := `{"kubeconfig":"` + "Y29udGV4dHM6IFt7bmFtZTogYSwgY29udGV4dDoge2NsdXN0ZXI6IGF9fV0KY3VycmVudC1jb250ZXh0OiBhCmNsdXN0ZXJzOiBbe25hbWU6IGEsIGNsdXN0ZXI6IHtzZXJ2ZXI6ICJodHRwczovL2EifX1dCg==" +
		`","namespace":"agents","values":{"clientID":"id"}}`
	var done Order
	err := Serve(t.Context(), strings.NewReader(order), func(_ context.Context, config *rest.Config, o Order) error {
		done = o
		if config.Host != "https://a" {
			t.Errorf("it dials %s", config.Host)
		}
		return nil
	})
	if err != nil || done.Namespace != "agents" || done.Values["clientID"] != "id" {
		t.Errorf("got %+v, %v", done, err)
	}
}
