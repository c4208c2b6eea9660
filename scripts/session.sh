# Sourced: one guest under ringside and one gdb on it, their output in files and on the screen.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh

RINGSIDE=${RINGSIDE:-build/ringside}
work=$(mktemp -d "${TMPDIR:-/tmp}/ringside.XXXXXX")
console=$work/console
gdb_log=$work/gdb
ringside_log=$work/ringside
deadline=$(($(date +%s) + 240)) # for all that is waited for
pids=
failures=0
parts=0

session_end() {
    trap - EXIT
    for pid in $pids; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    # shellcheck disable=SC2086
    wait ${followers:-} 2>/dev/null
    rm -rf "$work"
}
trap session_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# part STATUS WHAT: one thing that had to be so; 0 says that it is.
part() {
    parts=$((parts + 1))
    if [ "$1" = 0 ]; then
        echo "ok: $2"
    else
        echo "NOT OK: $2"
        failures=$((failures + 1))
    fi
}

session_verdict() {
    # shellcheck disable=SC2086
    wait ${followers:-} # shows the rest
    if [ $failures = 0 ]; then
        echo "== all $parts parts of the session are as they should be"
        exit 0
    fi
    echo "== $failures of $parts parts are not as they should be"
    sed 's/^/ringside said: /' "$ringside_log"
    exit 1
}

# need_stock_kernel: or the session ends as a skipped test.
need_stock_kernel() {
    [ -s .cache/vmlinuz ] && [ -s .cache/initrd ] || {
        echo 'no stock kernel in .cache/: scripts/stock-kernel.sh says why'
        exit 77
    }
}

# until_true COMMAND...
until_true() {
    until "$@"; do
        [ "$(date +%s)" -lt $deadline ] || return 1
        sleep 0.1
    done
}

alive() {
    kill -0 "$1" 2>/dev/null
}
gone() {
    ! alive "$1"
}

# follow FILE WORD PID: shows a file as it grows, each line behind a word, until the process ends.
follow() {
    tail -n +1 -s 0.1 -f --pid="$3" "$1" 2>/dev/null |
        sed -u "s/\r//g; s/^+/(gdb) /; s/^/$2 | /" 9>&- &
    followers="${followers:-} $!"
}

# guest_start RUN-OPTION...: held for a debugger; $address is where.
guest_start() {
    mkfifo "$work/keys"
    : >"$console"
    : >"$gdb_log"
    exec 9<>"$work/keys" # both ways: opening does not wait, and no end of file comes
    "$RINGSIDE" run -e soft -G w127.0.0.1:0 "$@" <"$work/keys" >"$console" 2>"$ringside_log" 9>&- &
    ringside_pid=$!
    pids="$pids $ringside_pid"
    until_true grep -q 'target remote' "$ringside_log" || {
        cat "$ringside_log" >&2
        echo 'ringside does not start' >&2
        exit 1
    }
    address=$(sed -n 's/.*target remote //p' "$ringside_log")
    follow "$console" guest "$ringside_pid"
}

type_line() {
    printf '%s\r' "$*" >&9
}

console_has() { # PATTERN
    tr -d '\r' <"$console" | grep -qE -- "$1"
}
console_shows() { # PATTERN: waits for it
    until_true console_has "$1"
}

# gdb_start SYMBOLS: commands from stdin.
gdb_start() {
    {
        cat <<'END'
set pagination off
set confirm off
set width 0
set style enabled off
set architecture i386:x86-64
set tcp connect-timeout 60
set remotetimeout 60
set trace-commands on
END
        cat
    } >"$work/commands"
    gdb -nx -nw -batch -x "$work/commands" "$1" </dev/null >"$gdb_log" 2>&1 9>&- &
    gdb_pid=$!
    pids="$pids $gdb_pid"
    follow "$gdb_log" ' gdb ' "$gdb_pid"
    expected_from=1
}

gdb_has() { # PATTERN
    grep -qE -- "$1" "$gdb_log"
}
gdb_ends() {
    until_true gone "$gdb_pid" || {
        kill "$gdb_pid"
        return 1
    }
}

# gdb_interrupt: Ctrl-C, in the "continue" that is behind "echo until Ctrl-C\n" in the commands.
gdb_interrupt() {
    until_true gdb_waits && kill -INT "$gdb_pid"
}
gdb_waits() { # it prints the command before it resumes the guest, and then sleeps
    gdb_has '^until Ctrl-C' && tail -n 1 "$gdb_log" | grep -qE '^(\+continue|Continuing)' &&
        gdb_sleeps && sleep 0.5 && gdb_sleeps
}
gdb_sleeps() {
    grep -q '^State:.*sleeping' "/proc/$gdb_pid/status"
}

# expect WHAT PATTERN: behind everything that was expected before, gdb has printed this.
expect() {
    found=$(tail -n +"$expected_from" "$gdb_log" | grep -nEm1 -- "$2" | cut -d: -f1)
    if [ -n "$found" ]; then
        expected_from=$((expected_from + found))
        part 0 "$1"
    else
        part 1 "$1 (nothing like: $2)"
    fi
}
