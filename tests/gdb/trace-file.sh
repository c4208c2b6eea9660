#!/bin/sh
# Steps after tracepoints, and a trace saved to a file and read back, with real gdb.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/hello.sh"

gdb_start "$HELLO" <<END
set remotelogfile $work/packets
target remote $address
hbreak kernel_main
continue
delete
set breakpoint condition-evaluation target
tvariable \$calls = 100
break show_ticks
trace square
actions
collect \$regs
while-stepping 3
collect \$rax, \$rip, ticks
end
end
trace sum_of_squares
actions
collect n, hello_banner
teval \$calls = \$calls + 1
collect \$calls
end
tstart
continue
tstop
tstatus
tfind tracepoint 4
tfind tracepoint 3
print \$pc == square
tfind
print \$pc > square && \$pc < square + 16
print ticks >= 0
print \$rdi
tfind
tfind
tfind
print \$pc == square
tsave $work/frames
tfind none
condition 2 \$calls == 101
info breakpoints
continue
detach
target tfile $work/frames
tstatus
tfind start
print hello_banner
print n
print \$calls
tfind
print \$pc == square
print n
tfind
print \$pc > square && \$pc < square + 16
print ticks >= 0
tfind tracepoint 9
tfind none
END
console_shows 'hello> ' && type_line 'sum 2' && console_shows '^sum 5' && type_line 'ticks' &&
    console_shows '^ticks' && type_line 'ticks'
gdb_ends

expect 'the guest stops at the breakpoint' '^Breakpoint 2, .*show_ticks'
expect 'frames: one call of the sum, two squares with three steps each' '^Collected 9 trace frames'
expect 'the call' '^Found trace frame 0, tracepoint 4'
expect 'the first square' '^Found trace frame 1, tracepoint 3'
expect 'at its first instruction' '= 1$'
expect 'a step' '^Found trace frame 2, tracepoint 3'
expect 'is behind it' '= 1$'
expect 'with what steps collect' '= 1$'
expect 'and no more' '<unavailable>'
expect 'three steps' '^Found trace frame 4, tracepoint 3'
expect 'the next square' '^Found trace frame 5, tracepoint 3'
expect 'at its first instruction' '= 1$'
expect 'a condition on a trace state variable is true' '^Breakpoint 2, .*show_ticks'
expect 'it is read' '^Using a trace file'
expect 'all frames are there' '^Collected 9 trace frames'
expect 'the first' '^Found trace frame 0, tracepoint 4'
expect 'memory' 'hello: a small kernel'
expect 'the trace state variable' '= 101$'
expect 'the next' '^Found trace frame 1, tracepoint 3'
expect 'its place' '= 1$'
expect 'its argument' '= 1$'
expect 'a step' '^Found trace frame 2, tracepoint 3'
expect 'its place' '= 1$'
expect 'its memory' '= 1$'
expect 'no more' '^No trace frame found'
grep -qE '\$Z0,[0-9a-f]+,1;X[0-9a-f]+,2c0001' "$work/packets"
part $? 'the server evaluates the condition'
type_line poweroff
until_true gone "$ringside_pid"
part $? 'the guest goes on without the debugger'
session_verdict
