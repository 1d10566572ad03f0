#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# require.sh TOOL...: says which of the tools are missing and what each is for; status 1 when one is.
# Tools: go cc python3 pip cargo
set -u

compiler() {
	# go env knows the compiler that go build will call; without Go the usual name is asked for.
	cc=$(go env CC 2>/dev/null) && [ -n "$cc" ] || cc=${CC:-cc}
	command -v "${cc%% *}" >/dev/null 2>&1
}

present() {
	case $1 in
	cc) compiler ;;
	pip) python3 -m pip --version >/dev/null 2>&1 ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

purpose() {
	case $1 in
	go) echo "Go 1.26 or newer, which builds trimtab" ;;
	cc) echo "a C compiler (gcc or clang), which compiles the layer between Go and ONNX Runtime" ;;
	python3) echo "Python 3, which unpacks what pip fetches" ;;
	pip) echo "Python's pip, which fetches ONNX Runtime's library and the model" ;;
	cargo) echo "Rust's cargo, which builds the tokenizer library that tests compare with; only 'make test' needs it" ;;
	*) echo "unknown tool" ;;
	esac
}

status=0
for tool in "$@"; do
	present "$tool" && continue
	echo "set-up: $tool is missing: install $(purpose "$tool")" >&2
	status=1
done
exit $status
