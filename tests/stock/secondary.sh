#!/bin/sh
# The real gdb on the stock kernel with two vCPUs: breakpoints and watchpoints of both kinds, set before the
# second one is started, hold on it.
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "$(dirname "$0")/../.."
. scripts/session.sh
need_stock_kernel
"$RINGSIDE" symbols .cache/vmlinuz -o "$work/symbols" || exit 1

guest_start -k .cache/vmlinuz -i .cache/initrd -a 'console=ttyS0 poweroff' -m 256 -c 2
gdb_start "$work/symbols" <<END
target remote $address
set breakpoint always-inserted on
info threads
hbreak start_secondary
break cpu_startup_entry thread 2
monitor breakpoints
continue
info threads
set \$at = \$rsp - 8
watch *(unsigned long *) \$at
continue
print/x \$pc
delete 3
continue
backtrace
delete
monitor catch hlt
continue
monitor catch delete
monitor info vcpus
continue
END
gdb_ends

expect 'the second one is not started' 'Thread 1\.2.*\(.*wait.*\)'
expect 'waiting for its page' '^breakpoint 0xffffffff8.* not mapped'
expect 'a hardware breakpoint on it' '^Thread 2 .*hit Breakpoint 1, .* start_secondary'
expect 'it is the one' '^\* 2 '
expect 'a watchpoint on its stack' '^Thread 2 .*hit Hardware watchpoint 3'
expect 'a software breakpoint on it' '^Thread 2 .*hit Breakpoint 2, .* cpu_startup_entry'
expect 'called by the kernel' '^#1 .* start_secondary'
expect 'HLT of one' '^vCPU [01]: HLT'
expect 'the guest powers off' '^\[Inferior 1 .* exited'
session_verdict
