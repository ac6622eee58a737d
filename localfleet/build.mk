# Builds the localfleet program, with kubectl and all parts of a Kubernetes cluster in it, once per version of its sources.
# Include it from the repository's root:  include localfleet/build.mk
# The program goes to a cache outside of the repository, so that clean clones share it; bin/ gets links to it.

LOCALFLEET_KUBERNETES := 1.37.2

.PHONY: localfleet
localfleet: ## Build bin/localfleet and bin/kubectl: real Kubernetes parts for local clusters
	@LOCALFLEET_KUBERNETES=$(LOCALFLEET_KUBERNETES) sh localfleet/build.sh

# Only the package that steers clusters, which imports nothing of Kubernetes: to vet or test ./... Go would first compile and
# vet all of Kubernetes anew, for 20 minutes. The build above checks the rest, and the tests run it.
.PHONY: localfleet-test
localfleet-test: localfleet ## Test localfleet with real processes
	cd localfleet && go vet . && go test -timeout 15m .
