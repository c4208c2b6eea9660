"""A machine that has a kvm-amd: QEMU's TCG with the stock kernel, and an initramfs of our own."""
# SPDX-License-Identifier: BSD-2-Clause
import subprocess

import host
from host import HOST, ROOT, make_initrd

__all__ = ['HOST', 'ROOT', 'Machine', 'make_initrd', 'need_host']


def need_host():
    """Ends the test as skipped where the machine cannot be made."""
    host.need(('qemu-system-x86_64', 'busybox', 'cpio', 'strip'),
              (HOST / 'vmlinuz', ROOT / '.cache/initrd'))


class Machine(host.Console):
    """QEMU with the host kernel."""

    def __init__(self, initrd, port=None, mib=512):
        forward = f',hostfwd=tcp:127.0.0.1:{port}-:1234' if port else ''
        qemu = host.start(
            ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', str(mib), '-nodefaults',
             '-no-reboot', '-display', 'none', '-serial', 'stdio',
             '-nic', f'user,model=virtio-net-pci{forward}',
             '-kernel', HOST / 'vmlinuz', '-initrd', initrd,
             '-append', 'console=ttyS0 quiet panic=-1'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        super().__init__(qemu, qemu.stdout.fileno(), qemu.stdin.fileno())
