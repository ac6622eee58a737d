# Builds the localfleet program, with kubectl and all parts of a Kubernetes cluster in it, once per version of its sources.
# Include it from the repository's root:  include localfleet/build.mk
# The program goes to a cache outside of the repository, so that clean clones share it; bin/ gets links to it.

LOCALFLEET_KUBERNETES := 1.37.2

.PHONY: localfleet
localfleet: ## Build bin/localfleet and bin/kubectl: real Kubernetes parts for local clusters
	@LOCALFLEET_KUBERNETES=$(LOCALFLEET_KUBERNETES) sh localfleet/build.sh

# The flags are the build's: with others, Go would compile all of Kubernetes a second time.
.PHONY: localfleet-test
localfleet-test: localfleet ## Test localfleet with real processes
	cd localfleet && CGO_ENABLED=0 go vet -trimpath ./...
	cd localfleet && CGO_ENABLED=0 go test -trimpath -timeout 15m ./...
