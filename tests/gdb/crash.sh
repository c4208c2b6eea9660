#!/bin/sh
# A triple fault with real gdb: it stops before the machine resets, goes no further, and detaching resets.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/hello.sh"

gdb_start "$HELLO" <<END
target remote $address
hbreak kernel_main
continue
delete
break square
continue
x/i \$pc
backtrace 2
print \$idtr_limit
monitor info vcpus
x/s hello_banner
stepi
continue
detach
END
console_shows 'hello> ' && type_line crash
gdb_ends

expect 'a line says what happened' '^vCPU 0: triple fault'
expect 'SIGABRT' 'received signal SIGABRT'
expect 'at the instruction that could not be handled' '=> 0x[0-9a-f]+ <crash\+[0-9]+>:[[:space:]]+ud2'
expect 'its caller' '^#1 .* run_command \(line=.*"crash"'
expect 'the registers as they were' '= 0$'
expect 'the processor is shut down' '^\* vCPU 0: shut down'
expect 'the memory is there' '"hello: a small kernel'
expect 'a step goes no further' '^vCPU 0: triple fault'
expect 'SIGABRT' 'received signal SIGABRT'
expect 'nor does it run' '^vCPU 0: triple fault'
expect 'SIGABRT' 'received signal SIGABRT'
expect 'detach' '^\[Inferior 1 .* detached\]'
until_true gone "$ringside_pid"
part $? 'then the machine resets'
grep -q 'the guest reset the machine' "$ringside_log"
part $? 'as without a debugger'
session_verdict
