#!/bin/sh
# Brings a stock Debian kernel and a busybox initramfs into .cache/; installs neither.
# .cache/vmlinuz, .cache/initrd, a module of that kernel, .cache/module.ko, and what the tests of the
# KVM engine boot as their host, .cache/kvm-host/, are there afterwards; exit status 77: there is no
# such kernel here.
# RINGSIDE_KERNEL=FILE takes that kernel instead, without a module.
# SPDX-License-Identifier: BSD-2-Clause
set -eu
cd "$(dirname "$0")/.."
mkdir -p .cache

none() {
    echo "stock kernel: $*" >&2
    exit 77
}

# The kernel as a host: with the modules that it needs for KVM and for a network.
keep_host() {
    rm -rf .cache/kvm-host.new
    mkdir .cache/kvm-host.new
    cp .cache/kernel/boot/vmlinuz-* .cache/kvm-host.new/vmlinuz
    for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
        failover net_failover virtio_net irqbypass kvm kvm-amd kvm-intel; do
        find .cache/kernel -name "$module.ko" -exec cp {} .cache/kvm-host.new/ \;
    done
    rm -rf .cache/kvm-host
    mv .cache/kvm-host.new .cache/kvm-host
}

fetch_kernel() {
    [ ! -s .cache/vmlinuz ] || [ ! -s .cache/module.ko ] || [ ! -s .cache/kvm-host/kvm-intel.ko ] ||
        return 0
    command -v apt-get >/dev/null || none 'no apt-get'
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
    [ -n "$package" ] || none "linux-image-cloud-amd64 is not in this machine's package lists"
    echo "downloading $package (25 MB)"
    rm -rf .cache/kernel
    mkdir -p .cache/kernel
    (cd .cache/kernel && apt-get -q download "$package" >../kernel.log 2>&1) ||
        none "apt-get download $package failed: $(tail -n 1 .cache/kernel.log)"
    dpkg -x .cache/kernel/*.deb .cache/kernel
    keep_host
    mv .cache/kernel/boot/vmlinuz-* .cache/vmlinuz
    mv .cache/kernel/lib/modules/*/kernel/drivers/net/dummy.ko .cache/module.ko
    rm -rf .cache/kernel
}

make_initrd() {
    busybox=$(command -v busybox) || none 'busybox-static is not installed'
    [ .cache/initrd -nt scripts/init ] && [ .cache/initrd -nt "$busybox" ] && return 0
    rm -rf .cache/root
    mkdir -p .cache/root/bin .cache/root/proc .cache/root/sys .cache/root/dev
    cp "$busybox" .cache/root/bin/busybox
    cp scripts/init .cache/root/init
    chmod 755 .cache/root/init
    (cd .cache/root && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >.cache/initrd.new
    mv .cache/initrd.new .cache/initrd
    rm -rf .cache/root
}

if [ -n "${RINGSIDE_KERNEL:-}" ]; then
    [ -r "$RINGSIDE_KERNEL" ] || none "RINGSIDE_KERNEL=$RINGSIDE_KERNEL cannot be read"
    cmp -s "$RINGSIDE_KERNEL" .cache/vmlinuz || {
        cp "$RINGSIDE_KERNEL" .cache/vmlinuz
        rm -f .cache/module.ko
    }
else
    fetch_kernel
fi
make_initrd
