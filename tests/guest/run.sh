#!/bin/sh
# Run one guest on one machine and compare what it prints with its golden file.
# SPDX-License-Identifier: BSD-2-Clause
#
#   run.sh MACHINE NAME IMAGE DIRECTORY [RINGSIDE]
#
# MACHINE is intel or amd (RINGSIDE's software CPU) or qemu.  The golden file NAME.out in DIRECTORY
# is what the manuals say; qemu.txt there lists the lines in which QEMU's TCG says otherwise.
# Exit status: 0 as it should be, 77 cannot run here.
set -u
machine=$1 name=$2 image=$3 dir=$4 ringside=${5-}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

case $machine in
intel | amd)
    timeout 60 "$ringside" run -e soft --cpu "$machine" -m 64 -k "$image" --serial stdio \
        --exit-port >"$work/out" </dev/null
    status=$?
    ;;
qemu)
    command -v qemu-system-x86_64 >"$work/where" || { echo "no qemu-system-x86_64 here"; exit 77; }
    timeout 60 qemu-system-x86_64 -accel tcg -cpu max -m 64 -kernel "$image" -serial stdio \
        -display none -monitor none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 \
        >"$work/out" </dev/null
    status=$?
    ;;
*) echo "unknown machine $machine" >&2; exit 2 ;;
esac

# All but the lines whose name (what is before the colon) the table has for this guest.
without_differences() {
    awk -v guest="$name" '
        NR == FNR { if (split($0, f, / *\| */) >= 2 && f[1] == guest) known[f[2]]; next }
        { line = $0; sub(/^ +/, "", line)
          for (k in known) if (index(line, k ":") == 1) next
          print }' "$dir/qemu.txt" "$1"
}

tr -d '\r' <"$work/out" >"$work/got"
cp "$dir/$name.out" "$work/want" || exit 1
if [ "$machine" = qemu ]; then
    without_differences "$work/got" >"$work/g" && mv "$work/g" "$work/got"
    without_differences "$work/want" >"$work/w" && mv "$work/w" "$work/want"
fi
diff -u "$work/want" "$work/got" || { echo "$name on $machine: status $status"; exit 1; }
[ "$status" -eq 1 ] || { echo "$name on $machine: exit status $status, not 1"; exit 1; }
