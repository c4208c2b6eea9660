#!/bin/sh
# Debugs the project's own guest kernel with gdb and checks every part of it.
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "$(dirname "$0")/.."
. scripts/session.sh
HELLO=${HELLO:-build/guests/hello/hello}

echo '== ringside run -k hello -G w127.0.0.1:0 --exit-port (held at its first instruction)'
guest_start -k "$HELLO" -m 32 --exit-port

gdb_start "$HELLO" <<END
target remote $address
info registers rip cs cr0 efer
x/i \$pc
hbreak kernel_main
continue
info registers cs cr0 cr3 efer
set var hello_banner[0] = 'J'
x/s hello_banner
break square if n == 3
continue
backtrace
p ticks > 0
x/2i \$pc
stepi
nexti
finish
delete
break sum_of_squares
continue
next
next
step
info registers rip rsp rbp eflags
p \$ss
p/x \$xmm0
watch breakpoints
delete 3
continue
delete
echo until Ctrl-C\n
continue
backtrace -1
p ticks
tbreak timer_interrupt
continue
backtrace
set var ticks = 1000000
detach
END
console_shows 'hello> ' && type_line 'sum 5' && console_shows '^sum 55' && type_line 'sum 7' &&
    type_line int3
# Everything else runs by itself up to the last "continue", which only Ctrl-C ends.
console_shows 'breakpoints 1' && gdb_interrupt
gdb_ends

expect 'held at the first instruction' '^=> .*cli'
expect 'hardware breakpoint before the kernel is in long mode' '^Breakpoint 1.*kernel_main'
expect 'control registers: paging and long mode are on' '^cr0 .*PE.*PG'
expect 'memory through the page tables, changed' '"Jello: a small'
expect 'software breakpoint with a condition' '^Breakpoint 2.*square \(n.*=3\)'
expect 'backtrace' '^#1 .*sum_of_squares \(n=5'
expect 'backtrace to its end' '^#4 .*kernel_main'
expect 'variables' '^\$1 = 1'
expect 'stepi' '^\+stepi'
expect 'nexti' '^\+nexti'
expect 'finish, with the value returned' '^Value returned is .* = 9'
expect 'breakpoint with the others deleted' '^Breakpoint 3.*sum_of_squares \(n.*=7\)'
expect 'step into a function' '^square \(n.*=1\)'
expect 'registers' '^rip .*square'
expect 'a segment register' '= 16'
expect 'an SSE register' '^\$[0-9]+ = \{'
expect 'watchpoint: the change the guest made' '^New value = 1'
expect 'Ctrl-C' 'received signal SIGINT'
expect 'the outermost frame' '^#[0-9]+ .*upper_half'
expect 'backtrace out of an interrupt handler' '^#2 .*get_char'
expect 'detach' '^\[Inferior 1 .* detached\]'

console_shows '^Jello: a small'
part $? 'the guest printed the changed string'
console_shows '^sum 55' && console_shows '^sum 140'
part $? 'the guest calculated as if nobody had stopped it'
console_has '^breakpoints 1'
part $? "the guest's own breakpoint instruction reached the guest"
type_line ticks
console_shows '^ticks 1000'
part $? 'after detach: a command is answered, with the number that was set'
type_line exit 3
until_true gone "$ringside_pid"
wait "$ringside_pid"
[ $? = 7 ]
part $? 'the guest ended the program through the exit port'
session_verdict
