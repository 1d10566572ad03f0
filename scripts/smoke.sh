#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# smoke.sh COMMAND MODEL: runs the built command through pipes, as scripts do, and looks at what it prints.
set -eu

trimtab=$1
model=$2

fail() {
	echo "smoke: $*" >&2
	exit 1
}

answer=$("$trimtab" generate "$model" --prompt 'The capital of France is' -n 6 --temp 0 --json)
case $answer in
*Paris*) ;;
*) fail "generate: Paris is missing in: $answer" ;;
esac

answer=$(printf 'What is the capital of France?\n' | "$trimtab" chat "$model" --temp 0)
case $answer in
*Paris*) ;;
*) fail "chat through a pipe: Paris is missing in: $answer" ;;
esac

"$trimtab" inspect "$model" --json >/dev/null || fail "inspect ended with status $?"
if "$trimtab" inspect "$model.absent" 2>/dev/null; then
	fail "inspect of an absent file ended with status 0"
fi
echo "smoke: ok"
