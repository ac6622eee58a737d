# Flotilla: two commands do everything on a fresh machine.
#   make demo   a hub and two clusters on real API servers
#   make test   all tests
include localfleet/build.mk

.DEFAULT_GOAL := build
GO ?= go
export CGO_ENABLED = 0

.PHONY: build
build: ## Build the three programs into bin/
	@echo "building flotilla, flotilla-controller and flotilla-agent (4 minutes the first time on 2 cores, then seconds)"
	@mkdir -p bin
	@$(GO) build -ldflags "-s -w" -o bin/ ./cmd/...

.PHONY: check-machine
check-machine:
	@sh demo/check-machine.sh

.PHONY: demo
demo: check-machine localfleet build ## Run a fleet here; ONCE=1 ends when everything is Healthy
	@exec bin/flotilla demo $(if $(ONCE),--once)

.PHONY: test
test: localfleet build vet ## Run all tests
	$(GO) test -timeout 30m ./...
	$(MAKE) localfleet-test

.PHONY: vet
vet:
	$(GO) vet ./...

.PHONY: generate
generate: ## Make generated files anew: deepcopy, CRDs
	$(GO) generate ./...

.PHONY: bench
bench: ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./bundle/...

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'
