# SPDX-License-Identifier: Apache-2.0
#
# Every target can be run first: what it needs is fetched or built into .trimtab/, which git ignores.

GO    ?= go
MODEL ?= .trimtab/models/SmolLM2-135M-Instruct.Q4_1.gguf
ARGS  ?=
COUNT ?= 1
FUZZTIME ?= 20s

# PURE is what must build and pass without cgo, the tokenizer library or ONNX Runtime.
PURE := ./hooks/... ./steering/... ./models/...

# Only the linker hears of the tokenizer library's folder: CGO_LDFLAGS would compile every cgo package a second time.
TOKENIZERS := -tags tokenizers -ldflags "-extldflags '-L$(CURDIR)/.trimtab/lib'"

# The tools have a module file of their own, so that a user of the library never inherits what they require.
TOOL := $(GO) tool -modfile=tools.mod

.DEFAULT_GOAL := help
.PHONY: help setup tokenizers build chat test check smoke race sanitize fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## fetch ONNX Runtime's library and the model into .trimtab/
	@scripts/setup.sh

tokenizers: ## build the tokenizer library that tests compare with (cargo)
	@scripts/require.sh go cc cargo
	@scripts/tokenizers.sh

build: ## build the command to ./trimtab
	@scripts/require.sh go cc
	$(GO) build -o trimtab ./cmd/trimtab

chat: setup build ## chat with the model; MODEL=FILE for another, ARGS="--steer …" for flags
	./trimtab chat $(MODEL) $(ARGS)

test: setup tokenizers ## every test; a missing native part fails
	CGO_ENABLED=0 $(GO) build ./...
	CGO_ENABLED=0 $(GO) vet $(PURE)
	CGO_ENABLED=0 $(GO) test $(PURE)
	TRIMTAB_REQUIRE_NATIVE=1 $(GO) test -timeout 20m $(TOKENIZERS) ./...

check: ## format, vet, staticcheck, go.mod, and the rules of rules_test.go
	@scripts/require.sh go cc
	@unformatted=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then printf 'not formatted (gofumpt -w):\n%s\n' "$$unformatted"; exit 1; fi
	$(GO) mod tidy -diff
	$(GO) test .
	$(GO) vet ./...
	$(GO) vet -tags tokenizers ./...
	$(TOOL) staticcheck ./...

smoke: setup build ## run the command as a script would
	scripts/smoke.sh ./trimtab $(MODEL)

race: setup ## every test under the race detector
	TRIMTAB_REQUIRE_NATIVE=1 $(GO) test -race -short -timeout 30m ./...

# Leaks of operators are not looked for: what ONNX Runtime keeps until the process ends, and what the Go heap alone points to, would count as some.
SANITIZED = CGO_CFLAGS="-g -fsanitize=undefined -fno-sanitize-recover=all" CGO_LDFLAGS="-fsanitize=undefined" $(GO) test -asan -short -timeout 30m
sanitize: setup ## the tests of kernels and operators under the address and undefined-behaviour sanitizers (gcc or clang, Linux; minutes)
	@scripts/require.sh go cc
	$(SANITIZED) ./cgo/kernels
	ASAN_OPTIONS=detect_leaks=0 $(SANITIZED) ./cgo/ort

fuzz: ## each fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh $(FUZZTIME)

bench: setup ## every Go benchmark; COUNT=10 for benchstat
	TRIMTAB_REQUIRE_NATIVE=1 $(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 60m ./...

clean: ## remove what was built; .trimtab/ stays
	rm -f trimtab
	find . -path ./.git -prune -o -path ./.trimtab -prune -o -type f \( -name '*.test' -o -name '*.out' \) -exec rm -f {} +
