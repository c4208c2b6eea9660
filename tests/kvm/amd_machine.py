"""A machine that has a kvm-amd: QEMU's TCG with the stock kernel, and an initramfs of our own."""
# SPDX-License-Identifier: BSD-2-Clause
import socket
import subprocess
import threading
import time

import host
from host import HOST, ROOT, make_initrd

__all__ = ['HOST', 'ROOT', 'Machine', 'free_port', 'make_initrd', 'need_host']


def need_host():
    """Ends the test as skipped where the machine cannot be made."""
    host.need(('qemu-system-x86_64', 'busybox', 'cpio', 'strip'),
              (HOST / 'vmlinuz', ROOT / '.cache/initrd'))


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def nudge(monitor):
    """Presses a key each second, for an interrupt.

    QEMU's model leaves the guest of a guest without its lock, and so loses an interrupt of the timer
    now and then: the bit that tells of it is overwritten. The kernel, which waits for that one before
    it asks for another, would stand as long as its guest spins. Any other interrupt brings it up.
    """
    while True:
        time.sleep(1)
        try:
            monitor.sendall(b'sendkey shift\n')
            monitor.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            return


class Machine(host.Console):
    """QEMU with the host kernel."""

    def __init__(self, initrd, port=None, mib=512):
        forward = f',hostfwd=tcp:127.0.0.1:{port}-:1234' if port else ''
        monitor, its_end = socket.socketpair()
        with its_end:
            qemu = host.start(
                ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', str(mib), '-nodefaults',
                 '-no-reboot', '-display', 'none', '-serial', 'stdio',
                 '-chardev', f'socket,id=monitor,fd={its_end.fileno()}', '-mon', 'monitor',
                 '-nic', f'user,model=virtio-net-pci{forward}',
                 '-kernel', HOST / 'vmlinuz', '-initrd', initrd,
                 '-append', 'console=ttyS0 quiet panic=-1'],
                pass_fds=[its_end.fileno()],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=nudge, args=[monitor], daemon=True).start()
        super().__init__(qemu, qemu.stdout.fileno(), qemu.stdin.fileno())
