SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# How many packages are tested at a time: each starts servers of its own.
P ?= 2
# Bounds of one package's tests; generous, for small machines under the race detector.
TIMEOUT ?= 30m
# How long each fuzz target runs, and which do: a pattern of their files and names. 100000x counts
# executions: Go 1.26 can fail a target whose time runs out (go.dev/issue/75804).
FUZZTIME ?= 30s
FUZZ ?= .
# Packages and benchmarks that `make bench` runs.
BENCH ?= ./...
BENCHES ?= .

# The flags of deploy/Dockerfile: the tests run that program, and all commands share one build cache.
SHIPPED := CGO_ENABLED=0 GOFLAGS="$${GOFLAGS-} -trimpath"

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## run everything in one process, data under ./data
	@go run ./cmd/callvault standalone

.PHONY: demo
demo: ## a tenant, real clips, a night's archives, a verified download
	@go run ./cmd/callvault demo

.PHONY: test
test: tools ## all tests under the race detector, after big archives and memory without it
	@$(SHIPPED) go test -p $(P) -timeout $(TIMEOUT) ./archiver/... ./internal/bench
	@CGO_ENABLED=1 go test -race -p $(P) -timeout $(TIMEOUT) ./...

.PHONY: test-short
test-short: tools ## the quick tests, without the race detector
	@$(SHIPPED) go test -short -p $(P) -timeout $(TIMEOUT) ./...

.PHONY: lint
lint: tools ## gofmt, go vet and golangci-lint
	@unformatted=$$(gofmt -l .); if [[ -n $$unformatted ]]; then printf 'run gofmt -w on:\n%s\n' "$$unformatted"; exit 1; fi
	@$(SHIPPED) go vet ./...
	@$(SHIPPED) bin/golangci-lint run ./...

.PHONY: bench
bench: tools ## benchmarks; BENCH=./archiver/... BENCHES=Build narrows them
	@$(SHIPPED) go test -run '^$$' -bench '$(BENCHES)' -benchmem -p 1 -timeout $(TIMEOUT) $(BENCH)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME=30s or 100000x; FUZZ='auth/|FuzzCursor' narrows them
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | grep -E '$(FUZZ)' | sort | while IFS=: read -r file func; do \
	  echo "== $${func#func } in $$file"; \
	  $(SHIPPED) go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s "$$(dirname "$$file")" </dev/null; \
	done

# Without coverage instrumentation, because compiling all imported packages with it would take longer
# than the fuzzing. One execution of FuzzCursor makes four HTTP requests.
.PHONY: fuzz-ci
fuzz-ci: ## fuzz access and link tokens, days and cursors, about 5 s each, without coverage
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | grep -E 'internal/auth/|FuzzUTCDay|FuzzCursor' | sort | while IFS=: read -r file func; do \
	  echo "== $${func#func } in $$file"; \
	  $(SHIPPED) go test -c -o "$$scratch/fuzz.test" "$$(dirname "$$file")"; \
	  case $$func in *FuzzCursor) executions=60000 ;; *) executions=1000000 ;; esac; \
	  (cd "$$(dirname "$$file")" && timeout 120 "$$scratch/fuzz.test" -test.run '^$$' -test.fuzz "^$${func#func }\$$" -test.fuzztime "$${executions}x" \
	    -test.fuzzminimizetime 5s -test.fuzzcachedir "$$scratch/corpus" </dev/null); \
	done

.PHONY: cover
cover: tools ## coverage over all packages, as coverage.html
	@$(SHIPPED) go test -p $(P) -timeout $(TIMEOUT) -coverpkg=./... -coverprofile=coverage.out ./...
	@go tool cover -html=coverage.out -o coverage.html
	@go tool cover -func=coverage.out | tail -n 1

.PHONY: up
up: ## production's parts and roles in containers
	@deploy/make-secrets
	@docker compose up --build --detach --wait

.PHONY: down
down: ## stop the containers; their data stays
	@docker compose down

.PHONY: config-page
config-page: ## write docs/configuration.md from the settings
	@go test ./internal/config -run '^TestPage$$' -update

.PHONY: tools
tools: ## install what tests and lint need and this machine lacks
	@bash .ci/tools
