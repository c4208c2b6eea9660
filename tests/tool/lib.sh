# Sourced by the tests of the program: one check after another, in a directory of its own.
#
# Tests are called as TEST.sh RINGSIDE HELLO.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh

ringside=$(realpath "$1") hello=$(realpath "$2")
dir=$(mktemp -d "${TMPDIR:-/tmp}/ringside-test.XXXXXX")
cd "$dir" || exit 1
patience=100 # seconds, for whatever takes one or two
children=
bad=0
number=0

finish() {
    for child in $children; do
        kill "$child" 2>/dev/null
    done
    cd / && rm -rf "$dir"
}
trap finish EXIT

check() { # WHAT COMMAND...: the command must succeed
    what=$1
    shift
    number=$((number + 1))
    if "$@"; then
        echo "ok $number - $what"
    else
        echo "not ok $number - $what"
        bad=$((bad + 1))
    fi
}

need_engine() { # $engine: or the test is skipped
    "$ringside" run -e "$engine" -k nowhere 2>err
    grep -q "^ringside: nowhere:" err || {
        cat err
        exit 77
    }
}

eventually() { # COMMAND...
    deadline=$(($(date +%s) + patience))
    until "$@"; do
        [ "$(date +%s)" -lt $deadline ] || return 1
        sleep 0.1
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

done_testing() {
    echo "1..$number"
    [ $bad = 0 ]
    exit $?
}
