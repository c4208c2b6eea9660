#!/usr/bin/env python3
"""bench/kvm on a real kvm-amd or kvm-intel: what it measures, in an initramfs of the machine that has one.

usage: kvm_machine.py amd|intel
"""
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests/kvm'))
import amd_machine  # noqa: E402
import intel_machine  # noqa: E402

AMD_MIB = 1024  # QEMU's libraries lie in it
SECONDS_A_ROUND = {'amd': 300, 'intel': 900}  # Bochs has one processor of ours, and others may want it
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


def first_program(vendor):
    """The init of the machine: all rounds, then it says how they ended."""
    names = ('rounds', 'spin', 'square', 'qemu')
    exports = ' '.join(f"{name}='{os.environ[name]}'" for name in names)
    return f'''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /tmp
for module in irqbypass kvm kvm-{vendor}; do insmod "/modules/$module.ko"; done
ip link set lo up
export {exports}
export hello=/hello program=/bin/ringside client=/bin/rsp_bench
echo 'host: begins'
(
    . /bench/lib.sh
    . /bench/kvm_rounds.sh
)
echo "host: status $?"
sleep 1000000
'''


def start(vendor, folder):
    """The machine, with all that the rounds need."""
    qemu, client, hello = (os.environ[name] for name in ('qemu', 'client', 'hello'))
    program = ROOT / 'build/ringside'
    programs = {'rsp_bench': client, 'ringside': program}
    files = {**libraries(qemu, client, program), **dict(firmware()), qemu.lstrip('/'): qemu, 'hello': hello,
             'bench/kvm_rounds.sh': ROOT / 'bench/kvm_rounds.sh', 'bench/lib.sh': ROOT / 'bench/lib.sh'}
    init = folder / 'init'
    init.write_text(first_program(vendor))
    if vendor == 'intel':
        image = intel_machine.make_image(folder, programs, files, init)
        return intel_machine.Machine(folder, image)
    root, initrd = folder / 'root', folder / 'initrd'
    root.mkdir()
    amd_machine.make_initrd(root, initrd, init, programs, files)
    return amd_machine.Machine(initrd, mib=AMD_MIB)


def main():
    vendor, = sys.argv[1:]
    {'amd': amd_machine, 'intel': intel_machine}[vendor].need_host()
    with tempfile.TemporaryDirectory() as name:
        machine = start(vendor, Path(name))
        machine.deadline += SECONDS_A_ROUND[vendor] * int(os.environ['rounds'])
        try:
            machine.expect('host: begins\n', f'a machine with kvm-{vendor}')
            said = machine.expect(r'host: status \d+\n', 'all rounds')
        except AssertionError as error:
            sys.exit(f'{machine.text[-4000:]}\nbench/kvm: {error}')
        finally:
            machine.kill()
    table, status = said.rsplit('host: status ', 1)
    print(table, end='')
    sys.exit(int(status))


main()
