#!/usr/bin/env python3
"""The KVM engine on this machine's own /dev/kvm, feature by feature as its self-test found them.

usage: local.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peer import Debugger

STEPS = 400
BREAKPOINTS = {'Z0': 'a software breakpoint', 'Z1': 'a hardware breakpoint'}


class Guest:
    """The small kernel under the server, held at its first instruction."""

    def __init__(self, ringside, hello, *options):
        self.log = tempfile.TemporaryFile('w+')
        self.console = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(
            [ringside, 'run', '-e', 'kvm', '-k', hello, '-m', '16', '-G', 'w127.0.0.1:0', *options],
            stdin=subprocess.PIPE, stdout=self.console, stderr=self.log)
        while not (found := re.search(r'target remote \S+:(\d+)\n', self.text(self.log))):
            if self.process.poll() is not None:
                print(self.text(self.log))
                sys.exit(77)
            time.sleep(0.01)
        self.debugger = Debugger(int(found[1]))
        self.debugger.ask('?')

    @staticmethod
    def text(file):
        with open(f'/proc/self/fd/{file.fileno()}') as again:  # a place in it of our own
            return again.read()

    def end(self):
        self.debugger.close()
        self.process.kill()
        self.process.wait()


def address_of(hello, name):
    names = subprocess.run(['nm', hello], check=True, capture_output=True, text=True).stdout
    return int(re.search(rf'^(\S+) \S {name}$', names, re.MULTILINE)[1], 16)


def walk(ringside, hello, way):
    guest = Guest(ringside, hello, '--step', way)
    places = [guest.debugger.rip()] + [guest.debugger.step() for _ in range(STEPS)]
    guest.end()
    return places


def check_breakpoint(ringside, hello, kind):
    place = address_of(hello, 'kernel_main')
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
        deadline = time.monotonic() + 20
        while 'hello: a small kernel' not in guest.text(guest.console):
            assert time.monotonic() < deadline, guest.text(guest.log)
            time.sleep(0.05)
        guest.debugger.interrupt()
        print(f'ok: {BREAKPOINTS[kind]}, once; the guest goes on after it')
    guest.end()


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    emulated, stepped = (walk(ringside, hello, way) for way in ('emulate', 'trap-flag'))
    assert emulated == stepped, next(x for x in zip(emulated, stepped) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag')
    for kind in BREAKPOINTS:
        check_breakpoint(ringside, hello, kind)


main()
