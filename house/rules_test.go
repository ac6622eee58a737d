package house

// room is a part of the house and what of ours it may import, itself aside. What stands in no room (commands, the demo,
// the tests' world) may import any room; no room imports it.
type room struct {
	name string
	may  []string
}

var rooms = []room{
	{"api", nil},
	{"bundle", []string{"api"}},
	{"controller", []string{"api", "bundle"}},
	{"agent", []string{"api", "bundle"}},
}

// reach is what a room must not get, neither itself nor through a library.
type reach struct {
	rule   string
	from   []string
	never  []string          // import paths, and all below them
	beyond map[string]string // libraries that reach it and are known not to use it for us, and why
	only   []use             // names of a forbidden package that say no more than a type
}

var reaches = []reach{
	{
		rule:  "the API is types only, for anyone to import",
		from:  our("api"),
		never: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime/pkg/client"},
	},
	{
		rule:  "bundle is pure functions and knows no cluster connection",
		from:  our("bundle"),
		never: append(connections, "sigs.k8s.io/controller-runtime", "helm.sh/helm/v3/pkg/action", "helm.sh/helm/v3/pkg/kube"),
		beyond: map[string]string{
			"helm.sh/helm/v3/pkg/engine": "its lookup function takes a client; we give it one that asks our parent",
		},
		only: []use{
			// The types in Helm's ClientProvider, which whoever answers lookup has to write down.
			{Package: "k8s.io/client-go/dynamic", Name: "NamespaceableResourceInterface", Where: module + "/bundle/render"},
			{Package: "k8s.io/client-go/dynamic", Name: "ResourceInterface", Where: module + "/bundle/render"},
		},
	},
	{
		rule: "an agent keeps no cache of whole kinds, serves nothing and fetches no source",
		from: our("agent", "cmd/flotilla-agent"),
		never: []string{
			"sigs.k8s.io/controller-runtime/pkg/cache/internal", "sigs.k8s.io/controller-runtime/pkg/manager",
			"sigs.k8s.io/controller-runtime/pkg/metrics/server", "sigs.k8s.io/controller-runtime/pkg/webhook",
			"net/http/pprof", "net/http/httptest", module + "/bundle/source",
		},
	},
}

// connections are the packages of client-go that talk to a cluster.
var connections = []string{
	"k8s.io/client-go/rest", "k8s.io/client-go/kubernetes/typed", "k8s.io/client-go/dynamic", "k8s.io/client-go/metadata",
	"k8s.io/client-go/discovery", "k8s.io/client-go/tools/clientcmd", "k8s.io/client-go/tools/cache",
}

// home is where a library that carries load is used.
type home struct {
	library string
	may     []string // who of ours may import any part of it; nil: the reaches say who may not
	at      string   // the room where its load is
	carries string   // the package of it that carries the load, and that the room must import
}

var homes = []home{
	{"github.com/go-git/go-git/v5", our("bundle/source"), "bundle/source", "github.com/go-git/go-git/v5"},
	{"helm.sh/helm/v3", our("bundle/render"), "bundle/render", "helm.sh/helm/v3/pkg/engine"},
	{"sigs.k8s.io/kustomize/api", our("bundle/render"), "bundle/render", "sigs.k8s.io/kustomize/api/krusty"},
	{"github.com/fluxcd/pkg/ssa", our("agent"), "agent", "github.com/fluxcd/pkg/ssa"},
	{"k8s.io/client-go", nil, "agent", "k8s.io/client-go/dynamic"},
	// Our own images are made with it. What it carries on the hub, OCI artifacts and ocistorage, comes with issue 6.
	{"github.com/google/go-containerregistry", our("bundle/source", "bundle/layer", "images"), "images", "github.com/google/go-containerregistry/pkg/v1/mutate"},
}

// abstention is a list of names that some packages of ours, and those of ours that they import, do not use.
type abstention struct {
	rule  string
	from  []string
	but   []string
	never map[string][]string // names by package; none: the package itself must not be imported
}

var abstentions = []abstention{
	{
		rule: "rendering starts no program; only the worker starts itself",
		from: our("bundle"),
		but:  our("bundle/render/worker"),
		never: map[string][]string{
			"os/exec": nil,
			"os":      {"StartProcess"},
			"syscall": {"Exec", "ForkExec", "StartProcess"},
		},
	},
	{
		rule: "agents only dial out",
		from: our("agent", "cmd/flotilla-agent"),
		never: map[string][]string{
			"net/http":   {"Server", "ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS", "NewServeMux", "ServeMux", "Handle", "HandleFunc"},
			"net":        {"Listen", "ListenConfig", "ListenTCP", "ListenUDP", "ListenUnix", "ListenUnixgram", "ListenIP", "ListenPacket", "ListenMulticastUDP", "FileListener"},
			"crypto/tls": {"Listen", "NewListener"},
		},
	},
}
