#!/bin/sh
# Links the core alone and fails if it asks its host for more than four functions or has data that
# can change.
# usage: freestanding.sh LD NM ARCHIVE OUTPUT
# SPDX-License-Identifier: BSD-2-Clause
set -eu
ld=$1 nm=$2 archive=$3 output=$4

fail() {
    echo "the core is not freestanding: it $1:" $2 >&2
    rm -f "$output"
    exit 1
}

"$ld" -r --whole-archive "$archive" -o "$output"
asks=$("$nm" -u "$output" | awk '$NF !~ /^(memcpy|memmove|memset|memcmp)$/ { print $NF }')
[ -z "$asks" ] || fail 'asks for' "$asks"
# Two servers in one process would share it.
data=$("$nm" "$output" | awk '$2 ~ /^[BbCDdGgSs]$/ { print $3 }')
[ -z "$data" ] || fail 'has mutable data' "$data"
