#!/usr/bin/env python3
"""Guests stepped by emulate and by trap-flag, and events caught, on a real kvm-amd inside QEMU's TCG.

usage: steps.py KVM-STEPS KVM-EVENTS EVENTS-GUEST GUEST...
"""
# SPDX-License-Identifier: BSD-2-Clause
import sys
import tempfile
from pathlib import Path

from amd_machine import ROOT, Machine, make_initrd, need_host
from stepped import arguments

# Codes of instructions that QEMU's model of an AMD processor does otherwise: docs/kvm.md says how.
FAR_CALL, SYSCALL, SYSRETL, SYSRETQ = '9a', '0f05', '0f07', '480f07'
SPARED = {'legacy': [FAR_CALL], 'rings': [SYSCALL, SYSRETL, SYSRETQ]}


def main():
    steps, events, events_guest, *guests = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    with tempfile.TemporaryDirectory() as folder:
        root, initrd, runs = (Path(folder) / name for name in ('root', 'initrd', 'guests'))
        root.mkdir()
        runs.write_text(''.join(' '.join(arguments(guest, SPARED.get(guest.stem, []))) + '\n'
                                for guest in guests))
        files = {guest.stem: guest for guest in guests}
        make_initrd(root, initrd, ROOT / 'tests/kvm/init-steps', {'kvm-steps': steps, 'kvm-events': events},
                    {**files, 'events': events_guest, 'guests': runs}, ('irqbypass', 'kvm', 'kvm-amd'))
        with Machine(initrd) as machine:
            for name in ('events', *files):
                said = machine.expect(rf'host: /?{name}\n(.*\n)*?host: status \d+', name)
                assert 'host: status 0' in said, said
            machine.expect('host: done', 'all of it')


main()
