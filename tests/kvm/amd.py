#!/usr/bin/env python3
"""The KVM engine on a real kvm-amd inside QEMU's TCG: boots, and debug sessions through a port.

usage: amd.py RINGSIDE-STATIC HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer import Debugger

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = ROOT / '.cache/kvm-host'  # the kernel of the machine, and its modules
SECONDS = 240
STEPS = 400


def skip(why):
    print(why)
    sys.exit(77)


class Machine:
    """QEMU with the host kernel; its console as lines that are waited for."""

    def __init__(self, initrd, port):
        self.text = ''
        self.deadline = time.monotonic() + SECONDS
        self.qemu = subprocess.Popen(
            ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-nodefaults',
             '-no-reboot', '-display', 'none', '-serial', 'stdio',
             '-nic', f'user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:1234',
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


def walk(machine, port, way):
    machine.expect(f'host: {way}\n(.*\n)*?.*target remote', f'{way}: held at its first instruction')
    debugger = Debugger(port)
    debugger.ask('?')
    places = [debugger.rip()] + [debugger.step() for _ in range(STEPS)]
    debugger.send('k')
    debugger.close()
    return places


def check_linux(machine, port):
    machine.expect('host: linux\n', 'linux starts')
    machine.expect('init: 2 CPUs', 'its shell is reached with a server that nobody uses')
    debugger = Debugger(port)
    assert debugger.ask('?').startswith('T'), 'attaching stops it'
    assert debugger.ask('qfThreadInfo') in ('m1,2', 'mp1.1,p1.2'), 'two vCPUs'
    for _ in range(20):
        debugger.send('vCont;c')
        time.sleep(0.02)
        debugger.interrupt()
    print('ok: 20 times continued and interrupted, no kick lost', flush=True)
    for thread in (1, 2):
        for _ in range(50):
            debugger.step(thread)
    print('ok: both vCPUs step', flush=True)
    banner = debugger.ask('mffffffff81000000,10')
    assert re.fullmatch('[0-9a-f]{32}', banner), f'kernel text: {banner}'
    refused = debugger.ask('Z0,ffffffff81000000,1')
    assert refused.startswith('E'), f'a breakpoint that could not work is refused: {refused}'
    assert debugger.ask('D') == 'OK'
    debugger.close()
    machine.type('\necho $((6 * 7))-after\npoweroff -f\n')
    machine.expect('42-after', 'the guest goes on after a detach')
    machine.expect('the guest powered off', 'and powers off')


def check(machine, port):
    machine.expect(r'host: auto-kvm\n(.*\n)*?host: status 2', 'the self-test is quick')
    for cpus in (1, 2):
        said = machine.expect(rf'host: boot-{cpus}\n(.*\n)*?host: status 0',
                              f'the stock kernel boots with {cpus} vCPU')
        assert f'init: {cpus} CPUs' in said and 'the guest powered off' in said, said
        assert not re.search('Oops|BUG:|WARNING:|Call Trace|Kernel panic|soft lockup', said), said
    emulated = walk(machine, port, 'emulate')
    stepped = walk(machine, port, 'trap-flag')
    assert emulated == stepped, next(x for x in zip(emulated, stepped) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag')
    check_linux(machine, port)
    machine.expect('host: done', 'all of it')


def make_initrd(root, out, ringside, hello):
    (root / 'bin').mkdir()
    for folder in ('proc', 'sys', 'dev', 'modules'):
        (root / folder).mkdir()
    shutil.copy(shutil.which('busybox'), root / 'bin/busybox')
    shutil.copy(ringside, root / 'bin/ringside')
    subprocess.run(['strip', root / 'bin/ringside'], check=True)
    shutil.copy(ROOT / 'tests/kvm/init', root / 'init')
    shutil.copy(hello, root / 'hello')
    shutil.copy(ROOT / '.cache/initrd', root / 'initrd')
    shutil.copy(HOST / 'vmlinuz', root / 'vmlinuz')
    for module in HOST.glob('*.ko'):
        shutil.copy(module, root / 'modules')
    (root / 'init').chmod(0o755)
    with open(out, 'wb') as file:
        names = subprocess.run(['find', '.'], cwd=root, check=True, capture_output=True).stdout
        subprocess.run(['cpio', '--quiet', '-o', '-H', 'newc', '-R', '0:0'], cwd=root, input=names,
                       stdout=file, check=True)


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    for program in ('qemu-system-x86_64', 'busybox', 'cpio', 'strip'):
        if not shutil.which(program):
            skip(f'{program} is not installed')
    if not (HOST / 'vmlinuz').exists() or not (ROOT / '.cache/initrd').exists():
        skip('no stock kernel with its modules in .cache/: scripts/stock-kernel.sh says why')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        root, initrd = Path(folder) / 'root', Path(folder) / 'initrd'
        root.mkdir()
        make_initrd(root, initrd, ringside, hello)
        machine = Machine(initrd, port)
        try:
            check(machine, port)
        except (AssertionError, OSError) as error:
            print(machine.text[-4000:])
            sys.exit(f'not ok: {error}')
        finally:
            machine.qemu.kill()
            machine.qemu.wait()


main()
