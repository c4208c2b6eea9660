#!/bin/sh
# What is installed is what another hypervisor needs to have the debug server in it.
# SPDX-License-Identifier: BSD-2-Clause
program=$(realpath "$3")
. "$(dirname "$0")/lib.sh"
for tool in meson pkg-config cc; do
    command -v $tool >/dev/null || {
        echo "$tool is not installed"
        exit 77
    }
done
grep -q -- '-fsanitize' "$(dirname "$ringside")/build.ninja" && {
    echo 'the library of this build wants a sanitizer'
    exit 77
}

meson install -C "$(dirname "$ringside")" --no-rebuild --destdir "$dir/root" >install 2>&1
check 'it is installed' test $? = 0
PKG_CONFIG_PATH=$(dirname "$(find root -name ringside-core.pc)")
PKG_CONFIG_SYSROOT_DIR=$dir/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
# shellcheck disable=SC2046
check 'a program builds with it' cc -std=c11 -Wall -Wextra -Werror $(pkg-config --cflags ringside-core) \
    "$program" -o embedded $(pkg-config --libs ringside-core)
check 'and answers a debugger' sh -c './embedded | grep -qF "+\$90f4#03"'
check 'the manual page' test -f "$(find root -name 'ringside.1*')"
done_testing
