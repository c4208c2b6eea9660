#!/bin/sh
# Debuggers come and go: by Unix socket, one at a time, lost, killed; and LLDB.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.sh"
command -v gdb >/dev/null || {
    echo 'gdb is not installed'
    exit 77
}

# start NAME RUN-OPTION...: the small guest with its keys on descriptor 9
start() {
    : >err
    : >console # what the last one left would be taken for this one's
    mkfifo keys."$1"
    exec 9<>keys."$1"
    name=$1
    shift
    "$ringside" run -e soft -k "$hello" -m 16 "$@" <keys."$name" >console 2>err 9>&- &
    pid=$!
    children="$children $pid"
    eventually grep -q 'target remote' err
    address=$(sed -n 's/.*target remote //p' err)
}
attach() { # OUTPUT GDB-COMMAND...: in a gdb that is attached
    output=$1
    shift
    set -- "$@" _
    while [ "$1" != _ ]; do
        set -- "$@" -ex "$1"
        shift
    done
    shift
    timeout $patience gdb -nx -batch -ex 'set confirm off' -ex "target remote $address" "$@" "$hello" \
        </dev/null >"$output" 2>&1 9>&-
}
answers() {
    printf 'sum 3\r' >&9
    eventually grep -q 'sum 14' console
}

start unix -G wunix:socket
check 'a Unix socket' attach out 'break kernel_main' 'continue' 'detach'
check 'stopped there' grep -q 'Breakpoint 1, kernel_main' out
check 'the guest goes on after detach' answers
attach out 'break square' 'kill'
check 'kill ends the program' eventually gone $pid
wait $pid
check 'with status 0' test $? = 0
check 'and removes the socket' test ! -e socket

start lost -G w0
# A debugger that dies with breakpoints set.
gdb -nx -batch -ex "target remote $address" -ex 'break get_char' -ex continue -ex 'printf "there\n"' \
    -ex 'shell sleep 60' "$hello" </dev/null >out 2>&1 9>&- &
gdb_pid=$!
children="$children $gdb_pid"
check 'a breakpoint is hit' eventually grep -q there out
check 'the guest stands' sh -c '! grep -q "sum 14" console'
# While it is attached, a second one is told so.
attach second 'info registers rip'
check 'a second debugger is turned away' sh -c '! grep -q "^rip" second'
kill -KILL $gdb_pid
check 'the guest goes on when its debugger dies' answers
check 'the next debugger is let in' attach out 'info registers rip' 'detach'
check 'and sees registers' grep -q '^rip' out
attach out 'compare-sections .text' 'detach'
check 'no breakpoint stayed in memory' grep -q '^Section .text.*: matched' out
printf 'poweroff\r' >&9
check 'power-off with a server' eventually gone $pid

if command -v lldb >/dev/null; then
    start lldb -G w0
    timeout $patience lldb -b -o "gdb-remote $address" -o 'breakpoint set -H -n kernel_main' -o continue \
        -o 'register read rip cr3' -o 'thread step-inst' -o 'breakpoint set -n square' -o continue \
        -o bt -o 'memory region square' -o 'expression ticks > 0' -o detach "$hello" </dev/null >out 2>&1 9>&- &
    lldb_pid=$!
    children="$children $lldb_pid"
    eventually grep -q 'hello> ' console && printf 'sum 3\r' >&9
    wait $lldb_pid
    check 'LLDB attaches and stops at a breakpoint' grep -qE 'stop reason = breakpoint' out
    check 'LLDB steps' grep -qE 'stop reason = instruction step' out
    check 'LLDB walks the stack' grep -qE 'frame #1: .*sum_of_squares' out
    check 'LLDB sees what is mapped' grep -qE '^\[0x[0-9a-f]+-0x[0-9a-f]+\) r.x' out
    check 'the guest goes on after LLDB' eventually grep -q 'sum 14' console
    [ $bad = 0 ] || sed 's/^/# /' out
else
    echo '# lldb is not installed'
fi
done_testing
