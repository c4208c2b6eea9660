#!/bin/sh
# Conditions and dprintf with real gdb, evaluated by the server: no stop that is not wanted.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/hello.sh"

gdb_start "$HELLO" <<END
set remotelogfile $work/packets
target remote $address
set breakpoint condition-evaluation target
set dprintf-style agent
hbreak kernel_main if ticks == 0
continue
break square if n == 700
dprintf sum_of_squares,"sum of %lu, %s\n", n, &hello_banner[0]
continue
info breakpoints
backtrace 1
print ticks > 0
condition 2 n % 1000 == 0 && n > 1000
continue
delete 2
break run_command if *line == 'i'
continue
x/s line
detach
END
console_shows 'hello> ' && type_line 'sum 900' && console_shows '^sum 243405150' &&
    type_line 'sum 2500' && console_shows '^sum 5211458750' && type_line int3
gdb_ends

expect 'a hardware breakpoint with a condition that is true' '^Breakpoint 1.*kernel_main'
expect 'dprintf in the server' '^sum of 900, hello: a small kernel'
expect 'the one call of it' '^Breakpoint 2.*square \(n.*=700\)'
expect 'the server evaluates' 'stop only if n == 700 \(target evals\)'
expect 'a backtrace at it' '^#0 .*square \(n.*=700\)'
expect 'a variable' '= 1'
expect 'dprintf again' '^sum of 2500, hello'
expect 'the condition was changed' '^Breakpoint 2.*square \(n.*=2000\)'
expect 'a condition on memory' '^Breakpoint 4.*run_command'
expect 'the memory' '"int3"'
grep -qE '\$Z0,[0-9a-f]+,1;X[0-9a-f]+,' "$work/packets"
part $? 'the condition went over the wire'
grep -qE '\$Z0,[0-9a-f]+,1;cmds:1,X[0-9a-f]+,' "$work/packets"
part $? 'so did the command'
[ "$(grep -cE 'T05(swbreak|hwbreak)' "$work/packets")" = 4 ]
part $? 'four stops in all'
type_line poweroff
until_true gone "$ringside_pid"
part $? 'the guest goes on without the debugger'
session_verdict
