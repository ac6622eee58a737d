package api_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// The fields of every kind. A name stands for a string; what follows it says otherwise:
//
//	name:b bool   name:i integer   name:is integer or string   name:m map of strings   name:t time   name:d duration
//	name:x bytes  name:free any map, kept as it is             name:k8s a type of Kubernetes, not looked into
//	name{…} object   name[] list of what name says   name<> map of what name says   @name the fields of a shared group
//
// Fields of Fleet stand first, in the order of Fleet's contract; what Flotilla adds stands behind "+".
var shared = map[string]string{
	"opts": `defaultNamespace namespace
		helm{chart repo version releaseName timeoutSeconds:i values:free templateValues:m
			valuesFrom[]{configMapKeyRef{name namespace key + optional:b} secretKeyRef{name namespace key + optional:b}} valuesFiles[]
			force:b takeOwnership:b maxHistory:i waitForJobs:b atomic:b disablePreProcess:b disableDNS:b skipSchemaValidation:b
			disableDependencyUpdate:b}
		yaml{overlays[]} kustomize{dir + patches[]{path patch target{group version kind name namespace annotationSelector labelSelector}
				options{allowNameChange:b allowKindChange:b}}
			images[]{name newName tagSuffix newTag digest} replicas[]{name count:is} namePrefix}
		serviceAccount createNamespace:b forceSyncGeneration:i
		diff{comparePatches[]{apiVersion kind name namespace jsonPointers[] operations[]{op path value}}}
		keepResources:b deleteNamespace:b deleteCRDResources:b ignore{conditions[]:m}
		@correctDrift namespaceLabels:m namespaceAnnotations:m downstreamResources[]{kind name}
		overwrites[]{name namespace kind} allowedTargetNamespaceSelector:k8s
		+ health{rules[]{group kind healthy ready failed message} probes[]{name http{url status:i} tcp{address} job{namespace name}
			object{apiVersion kind namespace name} value interval timeout failureThreshold:i}}`,
	"correctDrift": `correctDrift{enabled:b force:b keepFailHistory:b}`,
	"pick":         `name clusterName clusterSelector:k8s clusterGroup clusterGroupSelector:k8s`,
	"dependsOn":    `dependsOn[]{name selector:k8s acceptedStates[]}`,
	"helmOp":       `helmOpSecretName helmOpInsecureSkipTLSVerify:b helmOpCABundle:x`,
	"bundle": `@opts paused:b
		rolloutStrategy{maxUnavailable:is maxUnavailablePartitions:is autoPartitionSize:is autoPartitionThreshold:i maxNew:i
			partitions[]{@pick maxUnavailable:is}}
		resources[]{name content encoding} targetCustomizationMode targets[]{@opts @pick doNotDeploy:b}
		targetRestrictions[]{@pick} @dependsOn contentsId helmOpOptions{@helmOp} valuesHash
		+ outputs[]{name object{@looked} value forEach{clusterSelector:k8s} generate{bytes:i} sensitive:b grants[]{workspace bundle}}
		inputs[]{name from{bundle workspace output fact} clusters clusterSelector:k8s healthy:b optional:b default:free
			into{kind namespace name type key}}`,
	"object":     `apiVersion kind namespace name`,
	"looked":     `@object labelSelector:k8s`,
	"conditions": `conditions[]{type status reason message lastUpdateTime lastTransitionTime}`,
	"summary": `summary{ready:i desiredReady:i notReady:i waitApplied:i errApplied:i outOfSync:i modified:i pending:i
		nonReadyResources[]{name bundleState message @modifiedStatus @nonReadyStatus} + unknown:i unverified:i}`,
	"modifiedStatus": `modifiedStatus[]{kind apiVersion namespace name missing:b exist:b delete:b patch}`,
	"nonReadyStatus": `nonReadyStatus[]{uid kind apiVersion namespace name summary{state error:b transitioning:b message[]}}`,
	"counts":         `ready:i desiredReady:i waitApplied:i modified:i orphaned:i missing:i unknown:i notReady:i`,
	"statusBase": `readyClusters:i desiredReadyClusters:i @summary display{readyBundleDeployments state message error:b} @conditions
		resources[]{apiVersion kind type id namespace name incompleteState:b state error:b transitioning:b message
			perClusterState{ready[] waitApplied[] pending[] modified[] orphaned[] missing[] unknown[] notReady[]}}
		resourceCounts{@counts} perClusterResourceCounts<>{@counts}`,
	"hold": `hold{reason message}`,
}

var fields = map[string]string{
	"Bundle": `spec{@bundle}
		status{@conditions @summary newlyCreated:i unavailable:i unavailablePartitions:i maxUnavailable:i maxUnavailablePartitions:i
			partitions[]{name count:i maxUnavailable:i unavailable:i @summary} display{readyClusters state}
			resourceKey[]{kind apiVersion namespace name} ociReference observedGeneration:i resourcesSha256Sum
			+ sharedLayers[] unTarget{count:i total:i plan} renderAliases[]{base asked[]{question answer} manifest}}`,

	"BundleDeployment": `spec{paused:b stagedOptions{@opts} stagedDeploymentID options{@opts} deploymentID @dependsOn @correctDrift
			ociContents:b helmChartOptions{@helmOp} valuesHash downstreamResourcesGeneration:i offSchedule:b waitingForValues:b
			+ sequence:i renderKey renderBase asked[]{question answer} layers[]{id chunks:i key:x objects:i bytes:i}
			deletion{revision reason by policy} valueOrigins[]{path from}
			outputs[]{name object{@looked} value each[] sensitive:b}}
		status{@conditions appliedDeploymentID release ready:b nonModified:b @nonReadyStatus @modifiedStatus incompleteState:b
			display{deployed monitored state} syncGeneration:i resources[]{kind apiVersion namespace name createdAt:t}
			resourceCounts{@counts} downstreamResourcesGeneration:i
			+ health observedSequence:i readyDeploymentID drift[]{kind apiVersion namespace name path wanted found manager at:t} @hold deletion kept[]
			outputs[]{name each value:free sealed:x error} once[]{kind apiVersion namespace name spec result}}`,

	"GitRepo": `spec{repo branch revision targetNamespace clientSecretName helmSecretName helmSecretNameForPaths helmRepoURLRegex
			caBundle:x insecureSkipTLSVerify:b paths[] paused:b serviceAccount targets[]{@pick + @opts doNotDeploy:b}
			pollingInterval:d forceSyncGeneration:i imageScanInterval:d imageScanCommit{authorName authorEmail messageTemplate}
			keepResources:b deleteNamespace:b @correctDrift disablePolling:b ociRegistrySecret webhookSecret
			bundles[]{base options}}
		status{@statusBase observedGeneration:i updateGeneration:i commit webhookCommit lastWebhookTime:t pollingCommit
			gitJobStatus lastSyncedImageScanTime:t lastPollingTriggered:t + walk:i}`,

	"HelmOp": `spec{@bundle labels:m pollingInterval:d helmSecretName insecureSkipTLSVerify:b}
		status{@statusBase lastPollingTriggered:t version}`,

	"Cluster": `spec{paused:b clientID kubeConfigSecret kubeConfigSecretNamespace redeployAgentGeneration:i agentEnvVars[]:k8s
			agentNamespace privateRepoURL templateValues:free agentTolerations[]:k8s agentAffinity:k8s agentResources:k8s
			hostNetwork:b
			agentSchedulingCustomization{priorityClass{value:i preemptionPolicy} podDisruptionBudget{minAvailable maxUnavailable}}
			agentPullSecrets[]{name}}
		status{@conditions namespace @summary resourceCounts{@counts} readyGitRepos:i desiredReadyGitRepos:i readyHelmOps:i
			desiredReadyHelmOps:i agentEnvVarsHash agentPrivateRepoURL agentHostNetwork:b agentDeployedGeneration:i agentMigrated:b
			agentNamespaceMigrated:b cattleNamespaceMigrated:b agentAffinityHash agentResourcesHash agentTolerationsHash
			agentConfigChanged:b apiServerURL apiServerCAHash agentTLSMode display{readyBundles state}
			agent{lastSeen:t namespace} garbageCollectionInterval agentSchedulingCustomizationHash scheduled:b activeSchedule:b
			+ agentPullSecretsHash}`,

	"ClusterGroup": `spec{selector:k8s}
		status{clusterCount:i nonReadyClusterCount:i nonReadyClusters[] @conditions @summary
			display{readyClusters readyBundles state} resourceCounts{@counts}}`,

	"ClusterRegistration": `spec{clientID clientRandom clusterLabels:m + clusterName publicKey:x proof:x approved:b}
		status{clusterName granted:b + credential:x @conditions}`,

	"ClusterRegistrationToken": `spec{ttl:d + uses:i approval allowedLabels:m}
		status{expires:t secretName + used:i usedBy[] @conditions}`,

	"Content": `content:x sha256sum status{referenceCount:i}`,

	"GitRepoRestriction": `defaultServiceAccount allowedServiceAccounts[] allowedRepoPatterns[] defaultClientSecretName
		allowedClientSecretNames[] allowedTargetNamespaces[] allowedTargetNamespaceSelector:k8s`,

	"Policy": `requireServiceAccount:b allowedServiceAccounts[] allowNamespaceCreation:b
		gitRepo{defaultServiceAccount defaultClientSecretName allowedClientSecretNames[] allowedRepoPatterns[]}
		helmOp{defaultServiceAccount defaultHelmSecretName allowedHelmSecretNames[] allowedHelmRepoPatterns[] allowedChartPatterns[]}`,

	"BundleNamespaceMapping": `bundleSelector:k8s namespaceSelector:k8s`,

	"ImageScan": `spec{tagName gitrepoName image interval:d secretRef{name} suspend:b policy{semver{range} alphabetical{order}}}
		status{@conditions lastScanTime:t latestImage latestTag latestDigest observedGeneration:i canonicalImageName}`,

	"Schedule": `spec{schedule duration:d location targets{clusters[]{@pick}}}
		status{active:b nextStartTime:t @conditions matchingClusters[]}`,

	"Agent": `+ spec{hubUID leaseSeconds:i publicKey:x}
		status{version namespace kubernetesVersion apis[] @hold startCounter:i @conditions
			facts{apiServer caBundle:x nodes:i readyNodes:i allocatable{cpu memory pods:i} requested{cpu memory pods:i} architectures[] providers[] regions[] zones[]
				podCIDRs[] serviceCIDRs[] loadBalancers:b}}`,
}

// TestEveryFieldIsServed compares the contract with the generated schemas, both ways.
func TestEveryFieldIsServed(t *testing.T) {
	for _, crd := range allCRDs(t) {
		kind := crd.Spec.Names.Kind
		t.Run(kind, func(t *testing.T) {
			want := parse(t, fields[kind])
			have := map[string]string{}
			describe(openAPI(crd), "", have)
			maps.DeleteFunc(have, func(path, _ string) bool {
				return path == "apiVersion" || path == "kind" || path == "metadata" || withinK8s(path, want)
			})
			for _, path := range slices.Sorted(maps.Keys(want)) {
				switch got, ok := have[path]; {
				case !ok:
					t.Errorf("%s: field %s of the contract is missing", kind, path)
				case want[path] != got && want[path] != "k8s":
					t.Errorf("%s: field %s is %q, the contract says %q", kind, path, got, want[path])
				}
				delete(have, path)
			}
			for _, path := range slices.Sorted(maps.Keys(have)) {
				t.Errorf("%s: field %s stands in no contract; add it here behind +, and to docs/compatibility.md", kind, path)
			}
		})
	}
}

// describe writes the type of each field below s to have, in the words of the contract.
func describe(s *apiextensionsv1.JSONSchemaProps, path string, have map[string]string) {
	if path != "" {
		have[path] = typeOf(s)
	}
	for name, p := range s.Properties {
		describe(&p, strings.TrimPrefix(path+"."+name, "."), have)
	}
	if s.Items != nil {
		describe(s.Items.Schema, path+"[]", have)
	}
	if a := s.AdditionalProperties; a != nil && a.Schema != nil && a.Schema.Type == "object" {
		describe(a.Schema, path+"<>", have)
	}
}

func typeOf(s *apiextensionsv1.JSONSchemaProps) string {
	switch {
	case s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields:
		return "free"
	case s.XIntOrString:
		return "is"
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema.Type == "string":
		return "m"
	case s.Format == "date-time":
		return "t"
	case s.Format == "byte":
		return "x"
	case s.Type == "string" && len(s.XValidations) > 0:
		return "d"
	}
	return map[string]string{"boolean": "b", "integer": "i", "string": "", "object": "{}", "array": "[]"}[s.Type]
}

// withinK8s tells whether path lies within a field that the contract does not look into.
func withinK8s(path string, want map[string]string) bool {
	for outer, kind := range want {
		if kind == "k8s" && path != outer && strings.HasPrefix(path, outer) && strings.ContainsAny(path[len(outer):][:1], ".[<") {
			return true
		}
	}
	return false
}

// parse turns the notation above into field path -> type.
func parse(t *testing.T, text string) map[string]string {
	t.Helper()
	p := &parser{want: map[string]string{}}
	p.list(expand(t, text), "")
	return p.want
}

func expand(t *testing.T, text string) []string {
	var tokens []string
	for _, token := range strings.Fields(strings.NewReplacer("{", " { ", "}", " } ").Replace(text)) {
		group, isGroup := strings.CutPrefix(token, "@")
		switch {
		case token == "+":
		case !isGroup:
			tokens = append(tokens, token)
		case shared[group] == "":
			t.Fatalf("no shared group %q", group)
		default:
			tokens = append(tokens, expand(t, shared[group])...)
		}
	}
	return tokens
}

type parser struct{ want map[string]string }

// list reads fields of the object at path up to its closing brace and returns the tokens behind it.
func (p *parser) list(tokens []string, path string) []string {
	for len(tokens) > 0 {
		token := tokens[0]
		tokens = tokens[1:]
		if token == "}" {
			return tokens
		}
		open := len(tokens) > 0 && tokens[0] == "{"
		inner := p.field(strings.TrimPrefix(path+"."+token, "."), open)
		if open {
			tokens = p.list(tokens[1:], inner)
		}
	}
	return tokens
}

// field records one field and returns the path below which its own fields stand.
func (p *parser) field(path string, isObject bool) string {
	path, kind, _ := strings.Cut(path, ":")
	if isObject {
		kind = "{}"
	}
	p.want[path] = kind
	if outer, ok := strings.CutSuffix(path, "[]"); ok {
		p.want[outer] = "[]"
	}
	if outer, ok := strings.CutSuffix(path, "<>"); ok {
		p.want[outer] = "{}"
	}
	return path
}
