#!/usr/bin/env python3
"""Guests stepped by emulate and by trap-flag, and events caught, on a real kvm-amd inside QEMU's TCG.

usage: steps.py KVM-STEPS KVM-EVENTS EVENTS-GUEST CLASSES GUEST...
"""
# SPDX-License-Identifier: BSD-2-Clause
import sys
import tempfile
from pathlib import Path

from amd_machine import ROOT, Machine, make_initrd, need_host
from symbols import symbols_of

INTERRUPTED = ('shadow',)  # those whose interrupts are let into the steps


def line_of(image, behind):
    """What /init runs: the guest, where its own code ends, and its interrupts."""
    return ' '.join([image.stem, f'{symbols_of(image)[behind]:x}'] +
                    ['interrupts'] * (image.stem in INTERRUPTED)) + '\n'


def main():
    steps, events, events_guest, classes, *guests = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    with tempfile.TemporaryDirectory() as folder:
        root, initrd, runs = (Path(folder) / name for name in ('root', 'initrd', 'guests'))
        root.mkdir()
        runs.write_text(line_of(classes, 'recorders') +
                        ''.join(line_of(guest, 'pvh_start') for guest in guests))
        files = {image.stem: image for image in (classes, *guests)}
        make_initrd(root, initrd, ROOT / 'tests/kvm/init-steps', {'kvm-steps': steps, 'kvm-events': events},
                    {**files, 'events': events_guest, 'guests': runs}, ('irqbypass', 'kvm', 'kvm-amd'))
        with Machine(initrd) as machine:
            for name in ('events', *files):
                said = machine.expect(rf'host: {name}\n(.*\n)*?host: status \d+', name)
                assert 'host: status 0' in said, said
            machine.expect('host: done', 'all of it')


main()
