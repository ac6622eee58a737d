package localfleet

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// serviceRange is the range of Services' addresses, and serviceIP its first: that of the Service kubernetes.
const (
	serviceRange = "10.96.0.0/16"
	serviceIP    = "10.96.0.1"
)

// auditPolicy records who asked what of which object, once per request, and no bodies: those would hold Secrets.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// serverNames are the names and addresses that an API server's certificate is good for.
func serverNames(opts ClusterOptions) []string {
	names := []string{"127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", serviceIP}
	if ip := net.ParseIP(opts.Listen); ip != nil && !ip.IsUnspecified() {
		names = append(names, opts.Listen)
	}
	return append(names, opts.Names...)
}

// apiServer are the arguments of the cluster's kube-apiserver. It writes its audit policy, if it needs one.
func (c *Cluster) apiServer() ([]string, error) {
	args := append(c.store.serverFlags(c.prefix()),
		"--bind-address="+c.opts.Listen, "--secure-port="+strconv.Itoa(c.port), "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // the Service kubernetes leads nowhere: there are no pods that could call it
		"--service-cluster-ip-range="+serviceRange,
		"--client-ca-file="+c.ca.path("ca.crt"),
		"--tls-cert-file="+c.ca.path("kube-apiserver.crt"), "--tls-private-key-file="+c.ca.path("kube-apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+c.ca.path("service-accounts.key"),
		"--service-account-key-file="+c.ca.path("service-accounts.pub"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--profiling=false",
	)
	if c.opts.AuditLog {
		policy := filepath.Join(c.dir, "audit-policy.yaml")
		if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+c.AuditLogPath(),
			"--audit-log-mode=blocking-strict", "--audit-log-maxsize=4096")
	}
	return append(args, c.opts.ExtraAPIServerArgs...), nil
}

// controllerManager are the arguments of the cluster's kube-controller-manager.
func (c *Cluster) controllerManager() []string {
	return []string{
		"--kubeconfig=" + c.componentConfig(KubeControllerManager), "--leader-elect=false", "--secure-port=0", "--profiling=false",
		"--use-service-account-credentials=true", "--service-account-private-key-file=" + c.ca.path("service-accounts.key"),
		"--root-ca-file=" + c.ca.path("ca.crt"),
		"--cluster-signing-cert-file=" + c.ca.path("ca.crt"), "--cluster-signing-key-file=" + c.ca.path("ca.key"),
		"--kube-api-qps=500", "--kube-api-burst=1000", // the defaults make its start 4 s longer, and collecting slow
		"--node-monitor-grace-period=2m", // kwok's nodes beat every 20 to 45 s, later on a loaded machine
	}
}

// scheduler are the arguments of the cluster's kube-scheduler.
func (c *Cluster) scheduler() []string {
	return []string{
		"--kubeconfig=" + c.componentConfig(KubeScheduler), "--leader-elect=false", "--secure-port=0", "--profiling=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
	}
}

// kwok are the arguments of the cluster's kwok.
//
// Without leases for its nodes a new kwok takes over from a killed one at once, and the cluster has fewer writes.
func (c *Cluster) kwok() []string {
	return []string{"--kubeconfig=" + c.componentConfig(Kwok), "--manage-all-nodes=true", "--node-lease-duration-seconds=0"}
}

// componentConfig is the path of the kubeconfig that a part of the cluster uses.
func (c *Cluster) componentConfig(part Part) string {
	return filepath.Join(c.ca.dir, string(part)+".kubeconfig")
}

// credentials issues what the cluster's parts and its administrator need, and writes their kubeconfigs.
func (c *Cluster) credentials() error {
	if err := c.ca.server("kube-apiserver", serverNames(c.opts)); err != nil {
		return err
	}
	if err := c.ca.signingKey("service-accounts"); err != nil {
		return err
	}
	for _, who := range []struct{ file, user, group, config string }{
		{"admin", "kubernetes-admin", "system:masters", c.Kubeconfig()},
		{string(KubeControllerManager), "system:kube-controller-manager", "", c.componentConfig(KubeControllerManager)},
		{string(KubeScheduler), "system:kube-scheduler", "", c.componentConfig(KubeScheduler)},
		{string(Kwok), "kwok", "system:masters", c.componentConfig(Kwok)}, // it plays every node, and acts for others
	} {
		if err := c.ca.client(who.file, who.user, who.group); err != nil {
			return err
		}
		id, err := c.ca.identity(c.name, c.Host(), who.file)
		if err != nil {
			return err
		}
		if err := replaceFile(who.config, kubeconfig(id)); err != nil {
			return err
		}
	}
	return nil
}
