# The measuring part of bench/kvm, sourced after bench/lib.sh; busybox does, so it runs in any machine.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034,SC2086,SC2154
# Set are rounds, qemu, program, client and hello, the address of its function square, and begin and
# end of spin.
accel=kvm engine=kvm

# --- Beside QEMU ---

# The guest in a loop and the client on it; what that prints goes to a file, nothing if it fails.
measure() { # SIDE FILE TYPED ARGUMENTS-OF-THE-CLIENT...
    file=$2.$1 typed=$3
    guest_start "$1"
    shift 3
    printf '%s\r' "$typed" >&9
    sleep 0.3
    timeout 10 "$client" "$port" "$@" >>"$dir/$file" 2>/dev/null || true
    stop
}
figure() { # FILE [COLUMN]: the median, or "-"
    if [ -s "$dir/$1" ]; then median "$dir/$1" "${2:-1}"; else echo -; fi
}
compare() { # WHAT QEMU'S-FILE RINGSIDE'S-FILE [COLUMN OF IT]
    q=$(figure "$2.qemu") r=$(figure "$3.ringside" "${4:-1}")
    row "$1" "$q" "$r" "$(ratio "$r" "$q")"
}

for round in $(seq "$rounds"); do
    for side in qemu ringside; do
        measure $side steps 'sum 100000000000' steps 2
        measure $side hardware 'sum 100000000000' stops 1 "$square" 2
        measure $side software 'sum 100000000000' stops 0 "$square" 2
        measure $side memory 'sum 100000000000' memory 0x100000 0x2f00000 1
    done
    measure ringside range 'spin 100000000000' range $spin 1
done
row "(median of $rounds rounds)" QEMU ringside ratio
compare 'single steps a second' steps steps
compare 'stops a second, hardware breakpoint' hardware hardware
compare 'stops a second, software breakpoint' software software
compare 'memory read by m, MB a second' memory memory
compare 'memory read by x (QEMU: by m), MB a second' memory memory 2
compare 'range step (QEMU: single), steps a second' steps range

# --- What a server costs that nobody uses ---

work=$dir/work
{
    for line in $(seq 100); do printf 'help\r'; done
    printf 'sum 100000\rpoweroff\r'
} >"$work"
count() { # FILE RUN-OPTION...: entries and exits, to the file
    file=$1
    shift
    : >"$dir/said" # what the one before said
    "$program" run -e kvm -m 16 -k "$hello" --report "$@" <"$work" >/dev/null 2>"$dir/said" &
    guest=$!
    if [ "$file" = gone ]; then
        while ! grep -q 'target remote' "$dir/said"; do sleep 0.1; done
        "$client" "$port" steps 0.2 >/dev/null || exit 1
    fi
    wait "$guest"
    guest=
    awk '$2 == "report:" { print $4, $6 }' "$dir/said" >>"$dir/$file"
}
least() { # FILE COLUMN
    awk -v c="$2" '{ print $c }' "$dir/$1" | sort -n | head -n 1
}

for round in $(seq "$rounds"); do
    port=$((port + 1))
    count without
    count unused -G $port
    count gone -G w$port
done
echo
row "(least of $rounds rounds)" 'no server' 'unused' 'was used'
row 'entries into the guest' "$(least without 1)" "$(least unused 1)" "$(least gone 1)"
row 'exits from the guest' "$(least without 2)" "$(least unused 2)" "$(least gone 2)"
