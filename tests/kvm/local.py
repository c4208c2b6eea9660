#!/usr/bin/env python3
"""The KVM engine on this machine's own /dev/kvm, feature by feature as its self-test found them.

usage: local.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import sys
import time
from pathlib import Path

import breakpoint_checks
from guest import Guest
from peer import PATIENCE
from symbols import symbols_of

STEPS = 400
INTERRUPTS = 200
BREAKPOINTS = {'Z0': 'a software breakpoint', 'Z1': 'a hardware breakpoint'}


class Console:
    """The guest's console, read on from where the last match ended."""

    def __init__(self, guest):
        self.guest, self.seen, self.type = guest, 0, guest.type

    def expect(self, pattern, what):
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.unread())):
            assert time.monotonic() < deadline, f'{what}: {self.unread()}'
            time.sleep(0.02)
        self.seen += found.end()
        print('ok:', what, flush=True)

    def unread(self):
        return self.guest.text(self.guest.console).replace('\r', '')[self.seen:]


def walk(ringside, hello, way):
    guest = Guest(ringside, hello, '--step', way)
    places = [guest.debugger.rip()] + [guest.debugger.step() for _ in range(STEPS)]
    guest.end()
    return places


def check_breakpoint(ringside, hello, kind):
    place = symbols_of(hello)['kernel_main']
    guest = Guest(ringside, hello)
    if guest.debugger.ask(f'{kind},{place:x},1') != 'OK':
        print(f'not here: {BREAKPOINTS[kind]}')
    else:
        stop = guest.debugger.ask('vCont;c')
        assert stop.startswith('T05') and guest.debugger.rip() == place, stop
        seen = guest.debugger.ask(f'm{place:x},1')
        assert seen != 'cc', 'an inserted breakpoint is not shown'
        assert guest.debugger.ask(f'z{kind[1:]},{place:x},1') == 'OK'
        guest.debugger.send('vCont;c')
        guest.expect(guest.console, 'hello: a small kernel')
        guest.debugger.interrupt()
        print(f'ok: {BREAKPOINTS[kind]}, once; the guest goes on after it')
    guest.end()


def check_input_behind_stops(ringside, hello):
    """What comes in right behind a Ctrl-C is answered behind the stop, whichever thread tells of that."""
    guest = Guest(ringside, hello)
    debugger = guest.debugger
    for turn in range(INTERRUPTS):
        debugger.send('vCont;c')
        time.sleep(turn % 4 / 2000)
        debugger.socket.sendall(b'\x03$p10#d1')
        stop, rip = debugger.reply(), debugger.reply()
        assert stop.startswith('T') and re.fullmatch('[0-9a-f]{16}', rip), (turn, stop, rip)
    guest.end()
    print(f'ok: {INTERRUPTS} interrupts with a packet right behind')


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    emulated, stepped = (walk(ringside, hello, way) for way in ('emulate', 'trap-flag'))
    assert emulated == stepped, next(x for x in zip(emulated, stepped) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag')
    for kind in BREAKPOINTS:
        check_breakpoint(ringside, hello, kind)
    check_input_behind_stops(ringside, hello)
    guest = Guest(ringside, hello)
    breakpoint_checks.check_all(guest.debugger, Console(guest), symbols_of(hello))
    guest.end()


main()
