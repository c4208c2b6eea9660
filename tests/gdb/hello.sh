# Sourced by the tests with real gdb: the small kernel, held at its first instruction.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
set -u
cd "$(dirname "$0")/../.." || exit 1
. scripts/session.sh
HELLO=${HELLO:-build/guests/hello/hello}
guest_start -k "$HELLO" -m 32
