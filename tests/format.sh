#!/bin/sh
# Checks that clang-format would change nothing and that every file has its licence line.
# SPDX-License-Identifier: BSD-2-Clause
set -u
cd "${1:-$(dirname "$0")/..}"
files=$(find src include tool guests bench tests -name '*.[ch]')
for file in $files $(find src guests tests -name '*.S') scripts/*.sh tests/*.sh tests/*/*.sh demo check; do
    head -n 12 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' || {
        echo "$file: no licence line" >&2
        status=1
    }
done
if ! command -v clang-format >/dev/null; then
    [ "${status:-0}" = 0 ] || exit 1
    echo 'clang-format is not installed'
    exit 77
fi
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files 2>&1 | grep error: | sort | uniq | head -n 40 >&2
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files 2>/dev/null || status=1
exit "${status:-0}"
