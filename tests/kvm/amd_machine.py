"""A machine that has a kvm-amd: QEMU's TCG with the stock kernel, and an initramfs of our own."""
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = ROOT / '.cache/kvm-host'  # the kernel of the machine, and its modules
SECONDS = 240


def skip(why):
    print(why)
    sys.exit(77)


def need_host():
    """Ends the test as skipped where the machine cannot be made."""
    for program in ('qemu-system-x86_64', 'busybox', 'cpio', 'strip'):
        if not shutil.which(program):
            skip(f'{program} is not installed')
    if not (HOST / 'vmlinuz').exists() or not (ROOT / '.cache/initrd').exists():
        skip('no stock kernel with its modules in .cache/: scripts/stock-kernel.sh says why')


class Machine:
    """QEMU with the host kernel; its console as lines that are waited for."""

    def __init__(self, initrd, port=None):
        forward = f',hostfwd=tcp:127.0.0.1:{port}-:1234' if port else ''
        self.text = ''
        self.deadline = time.monotonic() + SECONDS
        self.qemu = subprocess.Popen(
            ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nodefaults',
             '-no-reboot', '-display', 'none', '-serial', 'stdio',
             '-nic', f'user,model=virtio-net-pci{forward}',
             '-kernel', HOST / 'vmlinuz', '-initrd', initrd,
             '-append', 'console=ttyS0 quiet panic=-1'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def read(self, seconds):
        if select.select([self.qemu.stdout], [], [], seconds)[0]:
            data = os.read(self.qemu.stdout.fileno(), 65536)
            if not data:
                raise AssertionError('the machine is gone')
            self.text += data.decode(errors='replace').replace('\r', '')

    def expect(self, pattern, what):
        """Everything up to the first match is consumed; returns it."""
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > self.deadline:
                raise AssertionError(f'{what}: never printed {pattern!r}')
            self.read(0.2)
        before, self.text = self.text[:found.end()], self.text[found.end():]
        print('ok:', what, flush=True)
        return before

    def type(self, text):
        self.qemu.stdin.write(text.encode())
        self.qemu.stdin.flush()


def make_initrd(root, out, init, programs, files):
    """init is the first program; programs go to /bin, stripped, and files to /, by their name there."""
    (root / 'bin').mkdir()
    for folder in ('proc', 'sys', 'dev', 'modules'):
        (root / folder).mkdir()
    shutil.copy(shutil.which('busybox'), root / 'bin/busybox')
    for name, path in programs.items():
        shutil.copy(path, root / 'bin' / name)
        subprocess.run(['strip', root / 'bin' / name], check=True)
    for name, path in files.items():
        shutil.copy(path, root / name)
    shutil.copy(init, root / 'init')
    for module in HOST.glob('*.ko'):
        shutil.copy(module, root / 'modules')
    (root / 'init').chmod(0o755)
    with open(out, 'wb') as file:
        names = subprocess.run(['find', '.'], cwd=root, check=True, capture_output=True).stdout
        subprocess.run(['cpio', '--quiet', '-o', '-H', 'newc', '-R', '0:0'], cwd=root, input=names,
                       stdout=file, check=True)
