#!/bin/sh
# Boots the stock Debian kernel to its init and on to power-off.
# usage: boot.sh RINGSIDE CPUS VENDOR
# SPDX-License-Identifier: BSD-2-Clause
set -eu
ringside=$(realpath "$1") cpus=$2 vendor=$3
cd "$(dirname "$0")/../.."
[ -s .cache/vmlinuz ] && [ -s .cache/initrd ] || {
    echo 'no stock kernel in .cache/: scripts/stock-kernel.sh says why'
    exit 77
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$ringside" run -e soft -k .cache/vmlinuz -i .cache/initrd -a 'console=ttyS0 poweroff' -m 256 \
    -c "$cpus" --cpu "$vendor" --report </dev/null | tr -d '\r' >"$log"
for line in 'Linux version' "init: $cpus CPUs" 'reboot: Power down'; do
    grep -q "$line" "$log" || {
        tail -n 20 "$log"
        echo "never printed: $line"
        exit 1
    }
done
# Nothing that a sound machine would not make it print.
if grep -nE 'Oops|BUG:|WARNING:|Call Trace|unchecked MSR|Kernel panic|soft lockup|Firmware Bug' "$log"
then
    exit 1
fi
