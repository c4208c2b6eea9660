#!/usr/bin/env python3
"""Breakpoints by protected pages, on a real kvm-amd inside QEMU's TCG, which lets no INT3 exit.

usage: amd_pages.py RINGSIDE-STATIC HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import sys
import tempfile
from pathlib import Path

import breakpoint_checks
from amd_machine import HOST, ROOT, Machine, free_port, make_initrd, need_host
from peer import Debugger
from symbols import symbols_of

TEXT, APART, PAGES = 0xffffffff81000000, 0x40000, 20  # of the stock kernel
FALSE = '220027'  # an agent expression: const8 0, end


def attach(port):
    debugger = Debugger(port)
    assert debugger.ask('?').startswith('T')
    return debugger


def check_text(machine, debugger):
    """The kernel goes on as before, with pages of its text gone."""
    for place in range(TEXT, TEXT + PAGES * APART, APART):
        reply = debugger.ask(f'Z0,{place:x},1;X3,{FALSE}')
        assert reply == 'OK', f'a breakpoint on the page of {place:x}: {reply}'
    debugger.send('vCont;c')
    machine.type('\necho $((6 * 7))-during\n')
    machine.expect('42-during', f'a shell works with breakpoints on {PAGES} pages of its kernel')
    debugger.interrupt()


def check(machine, port, hello):
    machine.expect('host: hello\n(.*\n)*?.*target remote', 'the small kernel is held')
    breakpoint_checks.check_all(attach(port), machine, symbols_of(hello))
    machine.type('poweroff\n')
    machine.expect('init: 1 CPU', 'the stock kernel has booted')
    debugger = attach(port)
    check_text(machine, debugger)
    assert debugger.ask('D') == 'OK'
    debugger.close()
    machine.type('\necho $((6 * 7))-after\npoweroff -f\n')
    machine.expect('42-after', 'the guest goes on after a detach')
    machine.expect('the guest powered off\nhost: status 0', 'and powers off')


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        root, initrd = Path(folder) / 'root', Path(folder) / 'initrd'
        root.mkdir()
        make_initrd(root, initrd, ROOT / 'tests/kvm/init-pages', {'ringside': ringside},
                    {'hello': hello, 'initrd': ROOT / '.cache/initrd', 'vmlinuz': HOST / 'vmlinuz'})
        with Machine(initrd, port) as machine:
            check(machine, port, hello)


main()
