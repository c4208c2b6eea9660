# Sourced by the benches that set ringside beside QEMU: medians, rows, and guests with a server.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154
# The bench has set qemu and accel, program and engine, and hello, the guest.  No more is used than
# busybox has: it runs in small machines, too.
dir=$(mktemp -d)
port=$((20000 + $$ % 20000))
guest=
stop() {
    [ -z "$guest" ] || { kill "$guest" && wait "$guest" || true; } 2>/dev/null
    guest=
}
trap 'stop; rm -rf "$dir"' EXIT

median() { # of the numbers in column $2 of file $1
    awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { if (a + 0 > 0 && b + 0 > 0) printf "%.2f", a / b; else print "-" }'
}
row() { # WHAT QEMU RINGSIDE RATIO
    printf '%-46s %12s %12s %9s\n' "$@"
}
symbol() { # NAME: its address, and the next symbol's
    nm -n "$hello" | awk -v name="$1" '
        found { print "0x" $1; exit } $3 == name { print "0x" $1; found = 1 }'
}

# Both run the small guest, if no other one is said, with a server on $port; 9 is its keyboard.
qemu_clock=
guest_start() { # qemu|ringside [RUN-OPTION...]
    side=$1
    shift
    [ $# != 0 ] || set -- -m 64 -k "$hello"
    port=$((port + 1))
    rm -f "$dir/keys"
    mkfifo "$dir/keys"
    exec 9<>"$dir/keys"
    : >"$dir/console"
    if [ "$side" = qemu ]; then
        # shellcheck disable=SC2086
        "$qemu" -accel "$accel" $qemu_clock -display none -monitor none -serial stdio -m 64 \
            -kernel "$hello" -gdb "tcp:127.0.0.1:$port" <"$dir/keys" >"$dir/console" 2>"$dir/said" 9>&- &
    else
        "$program" run -e "$engine" -G "$port" "$@" <"$dir/keys" >"$dir/console" 2>"$dir/said" 9>&- &
    fi
    guest=$!
    tries=0
    while ! grep -qE '^hello> |^[~/] # ' "$dir/console"; do
        kill -0 "$guest" 2>/dev/null || { cat "$dir/said" >&2; exit 1; }
        [ $tries != 3000 ] || { echo "$side: no prompt after five minutes" >&2; exit 1; }
        tries=$((tries + 1))
        sleep 0.1
    done
}
