# Sourced by ./demo and ./check: messages, packages, building.
# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh

BUILD_PACKAGES='gcc libc6-dev binutils meson ninja-build pkg-config libcmocka-dev libzydis-dev
libelf-dev zlib1g-dev liblzma-dev libzstd-dev liblz4-dev libseccomp-dev'
GUEST_PACKAGES='gdb cpio busybox-static'
CHECK_PACKAGES='clang clang-format clang-tidy lldb mandoc qemu-system-x86'
# The machine that has a kvm-intel: not every release has all of them.
INTEL_PACKAGES='bochs bochs-term bochsbios vgabios grub-pc-bin grub-common xorriso mtools'

say() {
    printf '%s\n' "== $*"
}

die() {
    printf '%s\n' "${0##*/}: $*" >&2
    exit 1
}

# The words with which this user may install packages; fails when there are none.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        echo 'sudo -n'
    elif command -v sudo >/dev/null && [ -t 0 ]; then
        echo sudo
    else
        return 1
    fi
}

# Installs those of the packages that are missing, or says which and stops.
need_packages() {
    missing=
    for package; do
        # pkg-config is a name that pkgconf may stand for.
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed' ||
            { [ "$package" = pkg-config ] && command -v pkg-config >/dev/null; } ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        die "this is neither Debian nor Ubuntu; install what corresponds to:$missing"
    root=$(as_root) || die "no right to install packages; missing are:$missing
  apt-get install$missing"
    say "installing$missing"
    # shellcheck disable=SC2086
    $root apt-get -q -o DPkg::Lock::Timeout=120 update >/dev/null || true
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 install $missing >.cache/apt.log 2>&1 || {
        tail -n 5 .cache/apt.log >&2
        die "cannot install:$missing (the whole story is in .cache/apt.log)"
    }
}

# build_in DIRECTORY [MESON-OPTION]... [-- TARGET...]
build_in() {
    directory=$1
    shift
    options=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    [ $# = 0 ] || shift
    log=.cache/$(basename "$directory").log
    say "building in $directory/"
    if [ ! -f "$directory/build.ninja" ]; then
        # shellcheck disable=SC2086
        meson setup "$directory" $options >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            die "meson setup $directory failed (the whole story is in $log)"
        }
    fi
    ninja -C "$directory" "$@" >"$log" 2>&1 || {
        grep -E -A5 'error|FAILED' "$log" | head -n 30 >&2
        die "building in $directory failed (the whole story is in $log)"
    }
}
