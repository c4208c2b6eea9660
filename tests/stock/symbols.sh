#!/bin/sh
# The stock kernel's own symbols: gdb takes the file, and it says what the kernel's tables say.
# usage: symbols.sh RINGSIDE
# SPDX-License-Identifier: BSD-2-Clause
set -eu
ringside=$(realpath "$1")
cd "$(dirname "$0")/../.."
[ -s .cache/vmlinuz ] || {
    echo 'no stock kernel in .cache/: scripts/stock-kernel.sh says why'
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$ringside" symbols .cache/vmlinuz -o "$dir/symbols"
gdb -q -nx -batch -ex 'info symbol start_kernel' -ex 'info symbol do_syscall_64' \
    -ex 'info address linux_banner' -ex 'info symbol init_task' -ex 'maint info sections' \
    "$dir/symbols" >"$dir/gdb" 2>&1
readelf -wf "$dir/symbols" >"$dir/frames"

bad=0
expect() { # PATTERN FILE
    grep -qE "$1" "$2" || {
        echo "no $1"
        bad=1
    }
}
expect '^start_kernel in section .init.text' "$dir/gdb"
expect '^do_syscall_64 in section .text' "$dir/gdb"
expect 'linux_banner.* is at 0xffffffff8' "$dir/gdb"
expect ' \.text .*ALLOC.*CODE' "$dir/gdb"
expect 'DW_CFA_def_cfa: r6 \(rbp\)|DW_CFA_def_cfa_register' "$dir/frames"
expect 'Augmentation: +"zS"' "$dir/frames"
# A kernel has tens of thousands of functions, and a frame for about each of them.
[ "$(grep -c ' FDE ' "$dir/frames")" -gt 10000 ] || bad=1

# Cut off anywhere the kernel is refused, and nothing is left behind.
for size in 600 1000 100000 5000000; do
    head -c "$size" .cache/vmlinuz >"$dir/cut"
    status=0
    "$ringside" symbols "$dir/cut" -o "$dir/none" 2>"$dir/err" || status=$?
    [ "$status" = 2 ] && [ ! -e "$dir/none" ] && [ "$(wc -l <"$dir/err")" = 1 ] || {
        echo "cut off after $size bytes: status $status"
        cat "$dir/err"
        bad=1
    }
done
exit $bad
