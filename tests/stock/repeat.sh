#!/bin/sh
# Two boots with the same inputs end after the same instructions in the same state.
# usage: repeat.sh RINGSIDE
# SPDX-License-Identifier: BSD-2-Clause
set -eu
ringside=$(realpath "$1")
cd "$(dirname "$0")/../.."
[ -s .cache/vmlinuz ] && [ -s .cache/initrd ] || {
    echo 'no stock kernel in .cache/: scripts/stock-kernel.sh says why'
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for run in one two; do
    "$ringside" run -e soft -k .cache/vmlinuz -i .cache/initrd -a 'console=ttyS0 poweroff' -m 256 -c 2 \
        --report --serial "file:$dir/$run.console" </dev/null 2>"$dir/$run.report"
    grep report "$dir/$run.report"
done
cmp "$dir/one.report" "$dir/two.report"
cmp "$dir/one.console" "$dir/two.console"
