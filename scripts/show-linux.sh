#!/bin/sh
# Boots the stock Debian kernel under gdb and checks every part of the session.
# usage: show-linux.sh [-c CPUS]
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "$(dirname "$0")/.."
. scripts/session.sh
KERNEL=${KERNEL:-.cache/vmlinuz}
INITRD=${INITRD:-.cache/initrd}
SYMBOLS=${SYMBOLS:-$work/vmlinux.symbols}

[ -s "$KERNEL" ] && [ -s "$INITRD" ] || {
    echo 'no stock kernel in .cache/: scripts/stock-kernel.sh says why'
    exit 77
}
if [ ! -f "$SYMBOLS" ]; then
    echo "== ringside symbols $KERNEL"
    "$RINGSIDE" symbols "$KERNEL" -o "$SYMBOLS" || exit 1
fi

echo "== ringside run -k $KERNEL -i $INITRD -a console=ttyS0 -G w127.0.0.1:0 $*"
guest_start -k "$KERNEL" -i "$INITRD" -a 'console=ttyS0' -m 512 --exit-port "$@"
gdb_start "$SYMBOLS" <<END
target remote $address
info registers rip cs cr0 cr3
x/i \$pc
hbreak start_kernel
continue
backtrace
info registers cr3 efer gs_base
x/s &linux_banner
set {int} &linux_banner = 0x676e6952
x/s &linux_banner
x/3i \$pc
stepi
nexti
p/x \$xmm1
delete
break run_init_process
continue
x/s \$rdi
backtrace
finish
delete
break vfs_statx
continue
backtrace
info registers rip rsp rbp eflags cs ss ds es fs gs
p/x \$cr3
nexti
nexti
stepi
watch *(unsigned long *) &jiffies_64
continue
delete
info threads
echo until Ctrl-C\n
continue
backtrace
stepi
stepi
detach
END
# The last "continue" ends by Ctrl-C, when the shell waits.
console_shows '[~/] # ' && gdb_interrupt
gdb_ends

expect 'held at the first instruction' '^=> '
expect 'hardware breakpoint, set before the kernel is mapped' 'Breakpoint 1, .* start_kernel'
expect 'backtrace' '^#1 .*(x86_64_start_kernel|secondary_startup_64)'
expect 'registers: long mode, paging' '^efer .*LMA'
expect 'memory through the page tables' '"Linux version'
expect 'memory changed' '"Ringx version'
expect 'instructions' '^=> .*<start_kernel'
expect 'stepi' '^0x[0-9a-f]+ in (__fentry__|start_kernel)'
expect 'nexti' '^0x[0-9a-f]+ in start_kernel'
expect 'SSE registers' 'v4_int32'
expect 'software breakpoint' 'Breakpoint 2, .* run_init_process'
expect 'the argument of a function' '"/init"'
expect 'backtrace of a kernel thread' '^#[1-9].* kernel_init '
expect 'finish' '^0x[0-9a-f]+ in kernel_init '
expect 'breakpoint in a system call' 'Breakpoint 3, .* vfs_statx'
expect 'backtrace from a system call' '^#[1-9].* do_syscall_64 '
expect 'segment registers' '^cs +0x10 '
expect 'watchpoint: the clock ticks' '^New value = '
expect 'a thread for each processor' '^[* ] 1 .*vCPU 0'
expect 'Ctrl-C' 'received signal SIGINT'
expect 'backtrace of where it was' '^#1 '
expect 'stepi in the idle kernel' '^\+stepi'
expect 'detach' '^\[Inferior 1 .* detached\]'

console_has 'Ringx version 6'
part $? 'the kernel printed the changed banner'
console_has 'init: user space is up'
part $? 'init ran'
type_line 'echo six times seven is $((6*7))'
console_shows '^six times seven is 42'
part $? 'after detach: the shell answers a command'
type_line 'poweroff -f'
until_true gone "$ringside_pid"
wait "$ringside_pid"
part $? 'the guest powered off'
session_verdict
