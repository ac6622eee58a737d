package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Scripts that call fleet name commands, flags and shorthands, and rely on defaults: each flag is name[,shorthand][=default].
var flagsOfFleet = []struct{ command, flags string }{
	{"apply", "file,f bundle-file,b output,o label,l=[] targets-file compress,c=false service-account,a " +
		"sync-generation=0 target-namespace paused=false commit username password-file cacerts-file " +
		"ssh-privatekey-file helm-repo-url-regex keep-resources=false delete-namespace=false " +
		"helm-credentials-by-path-file helm-basic-http=false helm-insecure-skip-tls=false " +
		"correct-drift=false correct-drift-force=false correct-drift-keep-fail-history=false " +
		"oci-registry-secret driven-scan=false driven-scan-sep=: bundle-creation-max-concurrency=4 " +
		"imagescan-enabled=false namespace,n=fleet-local debug=false debug-level=0 kubeconfig"},
	{"target", "bundle-file,b dump-input-list,l=false namespace,n kubeconfig"},
	{"deploy", "input-file,i dry-run,d=false namespace,n kube-version agent-namespace,a kubeconfig"},
	{"test", "quiet,q=false group,g name,N label,l=[] group-label,L=[] target,t file,f bundle-file,b"},
	{"gitcloner", "branch,b revision ca-bundle-file username,u password-file ssh-private-key-file " +
		"insecure-skip-tls=false github-app-id=0 github-app-installation-id=0 github-app-key-file"},
	{"bundlediff", "bundle-deployment bundle,b json=false fleet-yaml=false namespace,n=fleet-local debug=false " +
		"debug-level=0 kubeconfig"},
	{"monitor", "watch=false interval=60 system=cattle-fleet-system namespace,n=fleet-local debug=false " +
		"debug-level=0 kubeconfig"},
	{"analyze", "all=false diff=false issues=false detailed=false json=false compare no-color=false"},
	{"dump", "dump-path,p fetch-limit,l=500 all-namespaces,A=false gitrepo bundle helmop with-secrets=false " +
		"with-secrets-metadata=false with-content=false with-content-metadata=false " +
		"namespace,n=fleet-local debug=false debug-level=0 kubeconfig"},
	{"cleanup clusterregistration", "min=10ms max=3s factor=1.05 namespace,n=fleet-local debug=false debug-level=0 kubeconfig"},
	{"cleanup gitjob", "batch-size=5000 namespace,n=fleet-local debug=false debug-level=0 kubeconfig"},
	{"migrate gitrepo-helm-url-regex", "system-namespace debug=false debug-level=0"},
}

func TestFlagsOfFleet(t *testing.T) {
	for _, name := range []string{"NAMESPACE", "COMMIT", "HELM_USERNAME", "FLEET_BUNDLE_CREATION_MAX_CONCURRENCY"} {
		t.Setenv(name, "")
	}
	all := root()
	for _, row := range flagsOfFleet {
		t.Run(row.command, func(t *testing.T) {
			cmd, rest, err := all.Find(strings.Fields(row.command))
			if err != nil || len(rest) > 0 {
				t.Fatal("there is no such command")
			}
			for flag := range strings.FieldsSeq(row.flags) {
				declared, value, _ := strings.Cut(flag, "=")
				name, shorthand, _ := strings.Cut(declared, ",")
				t.Run("--"+name, func(t *testing.T) { hasFlag(t, cmd, name, shorthand, value) })
			}
		})
	}
}

func hasFlag(t *testing.T, cmd *cobra.Command, name, shorthand, value string) {
	t.Helper()
	f := cmd.Flags().Lookup(name)
	if f == nil {
		t.Fatal("there is no such flag")
	}
	if f.Shorthand != shorthand {
		t.Errorf("its shorthand is %q, want %q", f.Shorthand, shorthand)
	}
	if f.DefValue != value {
		t.Errorf("its default is %q, want %q", f.DefValue, value)
	}
	if f.Usage == "" {
		t.Error("its usage is empty")
	}
}

func TestEnvironmentOfFleet(t *testing.T) {
	for _, c := range []struct{ env, value, command, flag string }{
		{"NAMESPACE", "fleet-default", "apply", "namespace"},
		{"NAMESPACE", "fleet-default", "dump", "namespace"},
		{"COMMIT", "4c0ffee", "apply", "commit"},
		{"HELM_USERNAME", "ci", "apply", "username"},
		{"FLEET_BUNDLE_CREATION_MAX_CONCURRENCY", "9", "apply", "bundle-creation-max-concurrency"},
	} {
		t.Run(c.env+" is the default of "+c.command+" --"+c.flag, func(t *testing.T) {
			t.Setenv(c.env, c.value)
			cmd, _, err := root().Find([]string{c.command})
			if err != nil {
				t.Fatal(err)
			}
			if f := cmd.Flags().Lookup(c.flag); f.DefValue != c.value {
				t.Errorf("it is %q, want %q", f.DefValue, c.value)
			}
		})
	}
}

func TestEachCommandIsExplained(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Hidden {
				continue
			}
			if c.HasSubCommands() {
				walk(c)
				continue
			}
			t.Run(c.CommandPath(), func(t *testing.T) {
				if c.Short == "" {
					t.Error("it has no short text")
				}
				if c.Example == "" && c.Name() != "gitjob" && c.Name() != "demo" {
					t.Error("it has no example")
				}
			})
		}
	}
	walk(root())
}
