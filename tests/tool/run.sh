#!/bin/sh
# How a run ends, what it leaves behind, and where the console goes; on one engine.
#
# usage: run.sh RINGSIDE HELLO ENGINE
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.sh"
engine=$3
need_engine

# guest STATUS COMMAND [OPTION]...: types the command at the prompt; the program exits with STATUS
guest() {
    expected=$1 command=$2
    shift 2
    : >console
    mkfifo keys 2>/dev/null
    exec 9<>keys
    timeout $patience "$ringside" run -e "$engine" -k "$hello" -m 16 "$@" <keys >console 2>err 9>&- &
    pid=$!
    children=$pid
    eventually grep -q 'hello> ' console
    printf '%s\r' "$command" >&9
    wait $pid
    status=$?
    exec 9>&-
    [ $status = "$expected" ] || {
        echo "# status $status: $(cat err)"
        return 1
    }
}
check 'power-off ends with 0' guest 0 poweroff
check 'reset ends with 0' guest 0 reset
check 'the exit port: (3 << 1) | 1' guest 7 'exit 3' --exit-port
check 'the exit port elsewhere' guest 7 'exit 3' --exit-port=0xf4
check 'without the option that port is nothing' guest 0 "$(printf 'exit 3\rpoweroff')"
check 'the console went to stdout' grep -q 'a small kernel' console

# Keys that were there before the guest looked wait for it; what is in the 16550 itself when the
# guest clears its FIFO is lost, as on any PC.
printf '\rsum 4\rpoweroff\r' >typed
check 'input from a file' timeout $patience "$ringside" run -e "$engine" -k "$hello" -m 16 <typed >console 2>err
check 'the guest answered it' grep -q 'sum 30' console
timeout $patience "$ringside" run -e "$engine" -k "$hello" -m 16 <typed >both 2>&1
check 'what the guest said last comes before its end is told' \
    sh -c 'tail -n 1 both | grep -qx "ringside: the guest powered off"'

if [ "$engine" = soft ]; then # its runs are the same to the instruction
    report() { # FILE OPTION...
        report=$1
        shift
        timeout $patience "$ringside" run -e "$engine" -k "$hello" -m 16 --report --serial file:console "$@" \
            </dev/null 2>"$report"
    }
    check 'a limit ends the run' report one --limit 3000000
    check 'the report counts them' grep -q 'instructions 3000000 ' one
    check 'and once more' report two --limit 3000000
    check 'both runs ended in the same state' cmp -s one two
    check 'one instruction more' report three --limit 3000001
    check 'is another state' sh -c '! cmp -s one three'
    check 'the console went to the file' grep -q 'a small kernel' console
    typed_report() {
        timeout $patience "$ringside" run -e "$engine" -k "$hello" -m 16 --report <typed >console 2>"$1"
    }
    check 'a run with input' typed_report four
    check 'the same run with input' typed_report five
    check 'is the same to the instruction' cmp -s four five
fi

# Who reads the console late loses nothing, and the program sleeps until then.
chatter() { # LINES: more than the pipe takes; descriptor 8 is its end
    { yes help | head -n "$1"; echo poweroff; } | tr '\n' '\r' >typed
    rm -f console.late
    mkfifo console.late
    "$ringside" run -e "$engine" -k "$hello" -m 16 <typed >console.late 2>err &
    pid=$!
    children=$pid
    exec 8<console.late
    eventually sleeps $pid
}
processor_time() { # PID: in ticks
    awk '{ print $14 + $15 }' /proc/"$1"/stat
}
rests() { # PID: none of its threads runs, nor waits for a processor
    ! cat /proc/"$1"/task/*/status | grep -q '^State:.*running'
}
sleeps() { # PID: for half a second
    rests "$1" || return 1
    before=$(processor_time "$1")
    sleep 0.5
    rests "$1" && [ "$(processor_time "$1")" -le $((before + 2)) ]
}
check 'a program whose console nobody reads sleeps' chatter 1500
cat <&8 >console
exec 8<&-
wait $pid
check 'and ends well when it is read' test $? = 0
check 'with all that was written' test "$(grep -c 'help, banner' console)" = 1499

# What is read only after the guest has ended: the pipe and the queue take it.
check 'a guest that has ended waits for its reader' chatter 900
cat <&8 >console
exec 8<&-
check 'and all that it wrote is there' test "$(grep -c 'help, banner' console)" = 899
if [ "$engine" = soft ]; then
    chatter 900
    kill -TERM $pid
    wait $pid
    check 'a signal ends the wait' test $? = 143
    exec 8<&-
fi

# Signals: it dies of them, and its sockets are gone.
for signal in INT:130 TERM:143 HUP:129; do
    expected=${signal#*:} signal=${signal%:*}
    mkfifo keys.$signal
    exec 9<>keys.$signal
    # A shell's background job would ignore SIGINT, and what nohup started SIGHUP.
    env --default-signal=INT,TERM,HUP "$ringside" run -e "$engine" -k "$hello" -m 16 -G unix:debug.$signal --serial unix:serial.$signal \
        <keys.$signal >/dev/null 2>err.$signal 9>&- &
    pid=$!
    children=$pid
    eventually test -S serial.$signal
    kill -$signal $pid
    wait $pid
    status=$?
    check "SIG$signal ends it" test $status = "$expected"
    check "no socket stays behind after SIG$signal" test ! -e debug.$signal -a ! -e serial.$signal
    exec 9>&-
done

# A terminal is raw while the guest runs, and as it was afterwards.
if command -v script >/dev/null; then
    cat >inner <<END
stty >before 2>&1
stty -a | grep -c -- '-icanon' >cooked
"$ringside" run -e "$engine" -k "$hello" -m 16
echo \$? >status
stty >after 2>&1
END
    (
        eventually grep -q 'hello> ' typescript
        printf 'sum 3\r'
        eventually grep -q 'sum 14' typescript
        printf '\001h'
        eventually grep -q 'quit' typescript
        printf '\001x'
        eventually test -s after
    ) | timeout $patience script -q -f -c 'sh inner' typescript >/dev/null 2>&1
    check 'keys reach the guest' grep -q 'sum 14' typescript
    check 'Ctrl-A h helps' grep -q 'Ctrl-A x  quit' typescript
    check 'Ctrl-A x quits' test "$(cat status)" = 0
    check 'the terminal is as it was' cmp -s before after
fi
done_testing
