#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh TIME: runs each fuzz target of the module for TIME; the first that finds a failure ends it.
set -eu

cd "$(dirname "$0")/.."
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do
	# Only packages that hold a target are compiled: -list builds the test binary.
	targets=$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(f \*testing\.F).*/\1/p' "$dir"/*_test.go)
	for target in $targets; do
		echo "== ${dir#"$PWD"/} $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir" </dev/null
	done
done
