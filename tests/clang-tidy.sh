#!/bin/sh
# Checks that clang-tidy finds none of the mistakes that .clang-tidy lists.
# usage: clang-tidy.sh SOURCE-ROOT BUILD-ROOT
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "$1" || exit 1
if ! command -v clang-tidy >/dev/null; then
    echo 'clang-tidy is not installed'
    exit 77
fi
# Warnings of the compiler are for the build with clang.
find src tool -name '*.c' | xargs -n 20 -P 2 clang-tidy -p "$2" --quiet --extra-arg=-w 2>/dev/null
