#!/bin/sh
# Tracepoints with real gdb: what they collect is looked at afterwards, and the guest never stops.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/hello.sh"

gdb_start "$HELLO" <<END
set remotelogfile $work/packets
target remote $address
hbreak kernel_main
continue
delete
tvariable \$calls = 100
trace square
actions
collect \$regs, ticks, hello_banner
teval \$calls = \$calls + 1
collect \$calls
end
trace sum_of_squares if n > 10
actions
collect n, *(unsigned long *)\$rsp@2
end
trace run_command
actions
collect \$rip, line, *line@8
end
set trace-buffer-size 65536
tstart
break show_ticks
continue
tstatus
tstop
tfind
tfind tracepoint 2
print n
print \$calls
print hello_banner
backtrace 1
tdump
tfind
print n
print spins
tfind tracepoint 3
print n
tdump
tfind start
print *line@8
tfind none
print \$calls
x/s hello_banner
passcount 9 2
tstart
continue
tstatus
tfind tracepoint 3
detach
END
console_shows 'hello> ' && type_line 'sum 7' && console_shows '^sum 140' &&
    type_line 'sum 12' && console_shows '^sum 650' && type_line 'ticks' && console_shows '^ticks' &&
    type_line 'sum 9' && console_shows '^sum 285' && type_line 'ticks'
gdb_ends

expect 'the trace runs while the guest does' '^Trace is running on the target'
expect 'as many frames as hits' '^Collected 23 trace frames'
expect 'the first frame' '^Found trace frame 0, tracepoint 4'
expect 'the first of one tracepoint' '^Found trace frame 1, tracepoint 2'
expect 'an argument, from the registers' '= 1$'
expect 'a trace state variable as it was' '= 101$'
expect 'collected memory' 'hello: a small kernel'
expect 'where it was' '^#0 .*square \(n=1'
expect 'all of the frame: registers' '^rip .*<square>'
expect 'all of the frame: system registers' '^cr3 .*0x102000'
expect 'all of the frame: memory' '^ticks = '
expect 'all of the frame: variables' '^\$calls = 101'
expect 'the next frame' '^Found trace frame 2, tracepoint 2'
expect 'and its argument' '= 2$'
expect 'memory that was not collected is not there' '<unavailable>'
expect 'the condition kept out what it should' '^Found trace frame 9, tracepoint 3'
expect 'what an expression collected' '^\*\(unsigned long \*\)\$rsp@2 = \{184467440'
expect 'a string through a pointer' '"sum 7'
expect 'back to the guest' '= 119$'
expect 'and to its memory' '"hello: a small kernel'
expect 'a pass count ends the trace' '^Trace stopped by tracepoint 2'
expect 'after so many of its hits' '^Collected 10 trace frames'
[ "$(grep -cE "T05(swbreak|hwbreak)" "$work/packets")" = 3 ]
part $? 'the guest was stopped by breakpoints only'
type_line 'sum 3'
console_shows '^sum 14'
part $? 'the guest goes on without the debugger'
type_line poweroff
until_true gone "$ringside_pid"
part $? 'and ends'
session_verdict
