package docs

import (
	"slices"
	"strings"
	"testing"
)

// namesOfFleet are what manifests, repositories, scripts and dashboards of Fleet's users name besides fields, and must find in a
// row. Where the name is an everyday word, the row says what it is, too.
var namesOfFleet = []struct{ of, word, names string }{
	{"kind", "", `Bundle BundleDeployment BundleNamespaceMapping Cluster ClusterGroup ClusterRegistration ClusterRegistrationToken Content
		GitRepo GitRepoRestriction HelmOp ImageScan Policy Schedule`},
	{"key of fleet.yaml", "fleet.yaml", `name labels annotations targetCustomizations overrideTargets
		imageScans.{name,tagName,image,interval,secretRef,suspend,policy}`},
	{"file of a repository", "", `fleet.yaml fleet.yml .fleetignore`},
	{"value of templates", "", `.Cluster{Name,Namespace,Labels,Annotations,Values} global.fleet.clusterLabels.NAME`},
	{"state", "state", `ErrApplied WaitApplied Modified OutOfSync Pending NotReady Ready GitUpdating WaitCheckIn`},
	{"condition", "condition", `Ready Processed Imported Installed Deployed Monitored Accepted GitPolling Reconciling Stalled ImageSynced
		ImageScanned Polled`},
	{"label", "", `fleet.cattle.io/{managed,cluster,cluster-namespace,bundle-name,bundle-namespace,content-name,commit,repo-name,
		fleet-helm-name,created-by-user-id,shard-ref,cluster-management,non-managed-agent,created-by-agent-pod,bundle-internal-secret,
		registration-token,gitrepo-generation,force-sync-generation,agent} management.cattle.io/cluster-display-name
		objectset.rio.cattle.io/hash app.kubernetes.io/managed-by`},
	{"annotation", "", `fleet.cattle.io/{cluster,cluster-namespace,bundle-id,service-account,agent-namespace,keep-resources,commit}
		objectset.rio.cattle.io/id meta.helm.sh/release-{name,namespace} helm.sh/{resource-policy,hook,hook-weight,hook-delete-policy}`},
	{"finalizer", "", `fleet.cattle.io/{gitrepo,helmop,bundle,bundle-deployment,cluster,schedule}-finalizer`},
	{"type of Secret", "", `fleet.cattle.io/{{bundle-values,bundle-deployment,bundle-oci-storage,bundle-helmops-access}/v1alpha1,
		cluster-registration-values,agent-credential} kubernetes.io/{basic-auth,ssh-auth}`},
	{"Secret", "", `gitcredential ocistorage gitjob-webhook fleet-agent fleet-agent-bootstrap import-token-<cluster> c-<hash>`},
	{"namespace or object", "", `cattle-fleet-{system,clusters-system} fleet-{local,default} local default known-hosts`},
	{"metric", "", `fleet_bundle_{ready,not_ready,wait_applied,err_applied,out_of_sync,modified,pending,desired_ready,state}
		fleet_bundledeployment_state
		fleet_cluster_{{desired_ready,ready}_{git_repos,helm_ops},state,
			resources_count_{desiredready,missing,modified,notready,orphaned,ready,unknown,waitapplied}}
		fleet_cluster_group_{cluster_count,non_ready_cluster_count,bundle_{desired_ready,ready},state,
			resource_count_{desired_ready,missing,modified,notready,orphaned,ready,unknown,waitapplied}}
		fleet_{gitrepo,helmop}_{{desired_ready,ready}_clusters,
			resources_{desired_ready,missing,modified,not_ready,orphaned,ready,unknown,wait_applied}}
		fleet_gitjobs_created_{success,failure}_total fleet_gitjob_duration_seconds{,_gauge}
		fleet_gitrepo_fetch_latest_commit_{{success,failure}_total,duration_seconds}`},
}

// commandsOfFleet are the commands with their flags.
var commandsOfFleet = []struct{ command, flags string }{
	{"fleet apply", `{label,targets-file,compress,service-account,sync-generation,target-namespace,paused,commit,username,password-file,
		cacerts-file,ssh-privatekey-file,helm-repo-url-regex,keep-resources,delete-namespace,helm-credentials-by-path-file,
		helm-basic-http,helm-insecure-skip-tls,correct-drift,correct-drift-force,correct-drift-keep-fail-history,oci-registry-secret,
		driven-scan,driven-scan-sep,bundle-creation-max-concurrency,imagescan-enabled,output,file,bundle-file,namespace}`},
	{"fleet target", `{bundle-file,dump-input-list,namespace}`},
	{"fleet deploy", `{input-file,dry-run,namespace,kube-version,agent-namespace}`},
	{"fleet test", `{quiet,group,name,label,group-label,target,file,bundle-file}`},
	{"fleet gitcloner", `{branch,revision,ca-bundle-file,username,password-file,ssh-private-key-file,insecure-skip-tls,github-app-id,
		github-app-installation-id,github-app-key-file}`},
	{"fleet bundlediff", `{bundle-deployment,bundle,json,fleet-yaml,namespace}`},
	{"fleet monitor", `{watch,interval,system,namespace}`},
	{"fleet analyze", `{all,diff,issues,detailed,json,compare,no-color}`},
	{"fleet dump", `{dump-path,fetch-limit,all-namespaces,gitrepo,bundle,helmop,with-secrets,with-secrets-metadata,with-content,
		with-content-metadata,namespace}`},
	{"fleet cleanup clusterregistration", `{min,max,factor,namespace}`},
	{"fleet cleanup gitjob", `{batch-size,namespace}`},
	{"fleet migrate gitrepo-helm-url-regex", ``},
}

func TestEveryNameOfFleetHasARow(t *testing.T) {
	rows := contract(t)
	for _, group := range namesOfFleet {
		named := map[string]bool{}
		for _, r := range rows {
			found := names(r.what)
			if group.of == "kind" {
				found = wordOf.FindAllString(r.what, -1)
			}
			for _, name := range found {
				named[name] = named[name] || strings.Contains(strings.ToLower(r.what), group.word)
			}
		}
		for _, name := range list(group.names) {
			if !named[name] {
				t.Errorf("%s `%s` has no row on any page of docs/compatibility", group.of, name)
			}
		}
	}
}

func TestEveryFlagOfFleetHasARow(t *testing.T) {
	rows := contract(t)
	for _, c := range commandsOfFleet {
		i := slices.IndexFunc(rows, func(r row) bool { return slices.Contains(names(r.what), c.command) })
		if i < 0 {
			t.Errorf("`%s` has no row on any page of docs/compatibility", c.command)
			continue
		}
		named := names(rows[i].what)
		for _, flag := range list(c.flags) {
			if !slices.Contains(named, "--"+flag) {
				t.Errorf("the row of `%s` does not name --%s", c.command, flag)
			}
		}
	}
}

// list are the words of a text, with braces written out.
func list(text string) (words []string) {
	depth, whole := 0, strings.Builder{}
	for _, c := range text { // a brace may go on in the next line
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case depth > 0 && strings.ContainsRune(" \t\n", c):
			continue
		}
		whole.WriteRune(c)
	}
	for word := range strings.FieldsSeq(whole.String()) {
		words = append(words, spellOut(word)...)
	}
	return words
}
