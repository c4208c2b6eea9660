#!/bin/sh
# The real gdb on the stock kernel: breakpoints where nothing is mapped yet, in a module's start and
# in one process, a watchpoint on the clock, and all that "monitor catch" and "guest-int3" stop at.
# usage: breakpoints.sh
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "$(dirname "$0")/../.."
. scripts/session.sh
need_stock_kernel
[ -s .cache/module.ko ] || {
    echo 'no module of the stock kernel in .cache/: scripts/stock-kernel.sh says why'
    exit 77
}
"$RINGSIDE" symbols .cache/vmlinuz -o "$work/symbols" || exit 1

# The kernel takes several archives, one after the other.
mkdir "$work/root"
cp .cache/module.ko "$work/root/module.ko"
(cd "$work/root" && echo module.ko | cpio --quiet -o -H newc -R 0:0) >"$work/module.cpio"
cat .cache/initrd "$work/module.cpio" >"$work/initrd"
entry=$(readelf -h "$(command -v busybox)" | sed -n 's/.*Entry point address: *//p')
init=$(nm .cache/module.ko | sed -n 's/^\([0-9a-f]*\) . init_module$/\1/p')

guest_start -k .cache/vmlinuz -i "$work/initrd" -a 'console=ttyS0' -m 512
gdb_start "$work/symbols" <<END
target remote $address
set breakpoint always-inserted on
break start_kernel
break run_init_process
monitor breakpoints
monitor guest-int3 stop
continue
continue
monitor breakpoints
x/i \$pc - 1
backtrace
monitor guest-int3 pass
set \$pc = \$pc - 1
continue
x/s \$rdi
delete
monitor catch exception 14
monitor catch
continue
info symbol \$pc
backtrace
monitor catch delete exception 14
monitor catch interrupt 236
continue
info symbol \$pc
monitor catch delete
monitor catch cr 3
continue
x/2i \$pc - 3
stepi
monitor catch delete
monitor catch port 0x3f8
continue
monitor catch delete
monitor catch msr 0x6e0
continue
monitor catch delete
break *$entry
continue
p \$cs & 3
delete
watch *(unsigned long *) &jiffies
continue
continue
delete
monitor catch hlt
continue
monitor info vcpus
monitor catch delete
monitor catch
echo until Ctrl-C\n
continue
break do_one_initcall
continue
eval "add-symbol-file .cache/module.ko -s .init.text %#lx", \$rdi - 0x$init
break *\$rdi
continue
backtrace
detach
END
# The last "continue" but two ends by Ctrl-C, when the shell waits.
console_shows '[~/] # ' && gdb_interrupt
type_line 'insmod /module.ko; cat /sys/class/net/dummy0/operstate'
gdb_ends

expect 'a breakpoint before its page is mapped' '^breakpoint 0xffffffff8.* not mapped'
expect 'it is met' 'Breakpoint 1, .* start_kernel'
expect 'the kernel tests INT3: told instead of delivered' "^vCPU 0: the guest's own INT3"
expect 'as a trap' 'received signal SIGTRAP'
expect 'by now the breakpoints stand in memory' '^breakpoint 0xffffffff8.* at physical 0x'
expect 'RIP is behind it' 'int3'
expect 'the kernel gets it after all' 'Breakpoint 2, .* run_init_process'
expect 'and goes on' '"/init"'
expect 'what is caught' '^exception 14 \(#PF\)'
expect 'a page fault' '^vCPU 0: exception 14 \(#PF\), error code 0x[0-9a-f]+, returns to 0x'
expect 'at its handler' '^asm_exc_page_fault in section'
expect 'the backtrace goes on to where it happened' '^#1 .* in '
expect 'a timer interrupt' '^vCPU 0: interrupt 236, returns to 0x'
expect 'at its handler' '^asm_sysvec_apic_timer_interrupt in section'
expect 'a write of CR3' '^vCPU 0: write of CR3: 0x[0-9a-f]+'
expect 'it is done' 'mov +%r[a-z0-9]+,%cr3'
expect 'a byte for the console' '^vCPU 0: port 0x3f8, (written|read) 0x'
expect 'the timer is set' '^vCPU 0: write of MSR 0x6e0: 0x'
expect 'the first instruction of a program' "^Breakpoint 3, 0x0*${entry#0x} in"
expect 'in ring 3' '= 3$'
expect 'the clock ticks' '^New value = '
expect 'and ticks' '^New value = '
expect 'HLT' '^vCPU 0: HLT'
expect 'the processor sleeps' '^\* vCPU 0: halted'
expect 'nothing else is caught' '^triple fault \(always\)'
expect 'Ctrl-C' 'received signal SIGINT'
expect 'what the kernel calls when a module starts' 'Breakpoint 5, .* do_one_initcall'
expect 'the start of the module' 'Breakpoint 6, .* in (dummy_)?init_module'
expect 'called by the kernel' '^#1 .* do_one_initcall'
expect 'detach' '^\[Inferior 1 .* detached\]'

console_shows '^(down|unknown)'
part $? 'the module works'
type_line 'poweroff -f'
until_true gone "$ringside_pid"
wait "$ringside_pid"
part $? 'the guest powered off'
session_verdict
