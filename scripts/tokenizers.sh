#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tokenizers.sh: builds .trimtab/lib/libtokenizers.a, the Rust half of github.com/daulet/tokenizers, where it is not there yet.
#
# The source is the module's own src/lib.rs, out of Go's module cache; cgo/tokenizers/rust has the manifest, the pinned versions
# and a stub for a dependency that is not needed. The stamp beside the library records what it was built from.
set -eu

cd "$(dirname "$0")/.."
store=.trimtab
module=github.com/daulet/tokenizers
rust=cgo/tokenizers/rust
library=$store/lib/libtokenizers.a
work=

fail() {
	echo "tokenizers: $*" >&2
	exit 1
}

# inputs lists every file that the library is made from, in a fixed order.
inputs() {
	echo "$source/src/lib.rs"
	find "$rust" -type f | LC_ALL=C sort
}

# stamp is one sum over those files and the kind of machine.
stamp() {
	{
		uname -sm
		inputs | while read -r f; do cksum <"$f"; done
	} | cksum
}

command -v go >/dev/null || fail "go is missing: install Go"
source=$(go list -m -f '{{.Dir}}' $module 2>/dev/null) || source=
if [ -z "$source" ]; then
	go mod download $module || fail "$module: go could not download it"
	source=$(go list -m -f '{{.Dir}}' $module)
fi
[ -f "$source/src/lib.rs" ] || fail "$module: its source has no src/lib.rs; this script is written for v1.24.0"

want=$(stamp)
if [ -f $library ] && [ -f $library.stamp ] && [ "$(cat $library.stamp)" = "$want" ]; then
	exit 0
fi

command -v cargo >/dev/null || fail "cargo is missing: install Rust (rustup.rs), or build without -tags tokenizers, which needs none of this"
command -v cc >/dev/null || fail "cc is missing: install a C compiler"

mkdir -p $store/lib
work=$(mktemp -d "$store/tokenizers.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
# A run that was killed could not sweep; a day is longer than any run that lives.
find $store -maxdepth 1 -name 'tokenizers.*' -mtime +0 -exec rm -rf {} +

cp -R $rust/. "$work"
mkdir "$work/src"
# The module cache is read-only, and so would be a copy that keeps its mode.
cat "$source/src/lib.rs" >"$work/src/lib.rs"

echo "tokenizers: building $library, about two minutes on one core" >&2
if ! (cd "$work" && cargo build --release --locked --quiet) >"$work/log" 2>&1; then
	mv -f "$work/log" $store/cargo.log
	fail "cargo could not build it; its own words are in $store/cargo.log"
fi
mv -f "$work/target/release/libtokenizers_static.a" $library
echo "$want" >"$work/stamp"
mv -f "$work/stamp" $library.stamp
