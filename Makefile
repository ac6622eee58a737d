# Flotilla: two commands do everything on a fresh machine.
#   make demo   a hub and two clusters on real API servers
#   make test   all tests
include localfleet/build.mk

.DEFAULT_GOAL := build
export CGO_ENABLED = 0

# One after the other, also with -j: the machine is checked before anything is built, and builds use all cores by themselves.
.NOTPARALLEL:

.PHONY: build
build: ## Build the three programs into bin/
	@sh demo/build.sh

.PHONY: check-machine
check-machine: ## Tell what this machine lacks for the demo
	@sh demo/check-machine.sh

.PHONY: demo
demo: check-machine localfleet build ## Run a fleet here; ONCE=1 ends when everything is Healthy
	@exec bin/flotilla demo $(if $(ONCE),--once)

# Most tests wait for something half of the time, so there are half as many packages again under test as there are cores.
.PHONY: test
test: localfleet build vet ## Run all tests
	go test -p $$(($$(nproc) * 3 / 2)) -timeout 30m ./...
	$(MAKE) localfleet-test

# The real controllers are modules of their own, which the first run builds: half an hour on 2 cores, later nothing.
.PHONY: packs
packs: localfleet build ## Push the packs to four clusters with real controllers; RUN=Istio takes one of them
	go test -tags packs -count=1 -v -timeout 120m -run 'TestPacks/^($(or $(RUN),.*))$$' ./integrationtests/packs

.PHONY: vet
vet:
	go vet ./...

# Programs for images know their version, that of the charts, and nothing of the machine that they were built on.
.PHONY: images
images: ## Build the images of hub and agent into dist/images; REGISTRY=HOST pushes them too
	@for arch in amd64 arm64; do \
		echo "flotilla: building for linux/$$arch; the first time that takes some minutes"; \
		GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=auto \
			-ldflags "-s -w -X main.version=$$(sed -n 's/^appVersion: //p' charts/flotilla/Chart.yaml)" \
			-o dist/programs/linux-$$arch/ ./cmd/flotilla-controller ./cmd/flotilla-agent || exit 1; \
	done
	@go run ./images -push "$(REGISTRY)" -release "$(RELEASE)"

.PHONY: generate
generate: ## Make generated files anew: deepcopy, CRDs
	go generate ./...

.PHONY: bench
bench: localfleet build ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./bundle/... ./controller/metrics
	go test -run '^$$' -bench . -benchtime 1x ./integrationtests/bench

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'
