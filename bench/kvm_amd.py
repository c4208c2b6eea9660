#!/usr/bin/env python3
"""bench/kvm on a real kvm-amd: the programs that it measures, in an initramfs of the machine that has one."""
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/kvm'))
from amd_machine import Machine, make_initrd, need_host  # noqa: E402

MIB = 1024  # QEMU's libraries lie in it
SECONDS_A_ROUND = 300
FIRMWARE = ('bios-256k.bin', 'kvmvapic.bin', 'multiboot.bin', 'multiboot_dma.bin', 'vgabios-stdvga.bin',
            'linuxboot.bin', 'linuxboot_dma.bin', 'efi-e1000.rom')


def libraries(*programs):
    """What they are linked with, by the paths that the programs ask for."""
    said = subprocess.run(['ldd', *programs], check=True, capture_output=True, text=True).stdout
    return {path.lstrip('/'): path for path in re.findall(r'(/\S+) \(0x', said)}


def firmware():
    """Where QEMU looks for it, seen from its own place."""
    for folder in ('usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'):
        for name in FIRMWARE:
            if Path('/', folder, name).exists():
                yield f'{folder}/{name}', Path('/', folder, name)


def main():
    need_host()
    qemu, client, hello = (os.environ[name] for name in ('qemu', 'client', 'hello'))
    program = ROOT / 'build/ringside'
    programs = {'rsp_bench': client, 'ringside': program}
    files = {**libraries(qemu, client, program), **dict(firmware()), qemu.lstrip('/'): qemu, 'hello': hello,
             'bench/kvm_rounds.sh': ROOT / 'bench/kvm_rounds.sh', 'bench/lib.sh': ROOT / 'bench/lib.sh'}
    rounds, spin, square = (os.environ[name] for name in ('rounds', 'spin', 'square'))
    with tempfile.TemporaryDirectory() as folder:
        root, initrd, init = (Path(folder) / name for name in ('root', 'initrd', 'init'))
        root.mkdir()
        init.write_text(f'''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /tmp
for module in irqbypass kvm kvm-amd; do insmod "/modules/$module.ko"; done
ip link set lo up
export rounds={rounds} hello=/hello spin='{spin}' square={square}
export qemu={qemu} program=/bin/ringside client=/bin/rsp_bench
echo 'host: begins'
. /bench/lib.sh
. /bench/kvm_rounds.sh
echo 'host: done'
poweroff -f
''')
        make_initrd(root, initrd, init, programs, files)
        machine = Machine(initrd, mib=MIB)
        machine.deadline += SECONDS_A_ROUND * int(rounds)
        try:
            machine.expect('host: begins\n', 'a kvm-amd in QEMU TCG')
            print(machine.expect('host: done', 'all rounds').removesuffix('host: done'), end='')
        except AssertionError as error:
            sys.exit(f'{machine.text[-4000:]}\nbench/kvm: {error}')
        finally:
            machine.kill()


main()
