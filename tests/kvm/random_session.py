#!/usr/bin/env python3
"""A debugger does anything to the small kernel, and is lost at any time: the kernel lives on.

usage: random_session.py RINGSIDE HELLO ENGINE [ACTIONS [SEED]]
"""
# SPDX-License-Identifier: BSD-2-Clause
import random
import sys
import time
from pathlib import Path

from guest import Guest
from symbols import symbols_of

NAMES = ('get_char', 'put_char', 'square', 'timer_interrupt')
CONDITIONS = ('', ';X3,220027', ';X3,220127')  # none; false and true: const8, end
SETTINGS = ('interrupts on', 'interrupts off', 'step-method auto', 'step-method emulate',
            'step-method trap-flag', 'catch port 0x3f8', 'catch port all', 'catch msr all',
            'catch interrupt all', 'catch hlt', 'guest-int3 stop', 'catch delete', 'catch delete')


class Session:
    """What it does to the guest; each action leaves the guest stopped and the debugger attached."""

    def __init__(self, guest, places):
        self.guest, self.places = guest, places
        self.done = []

    def ask(self, packet):
        self.done.append(packet)
        return self.guest.debugger.ask(packet)

    def place(self):
        return random.choice(self.places) + random.choice((0, 0, 0, 1, 4))

    def a_breakpoint(self):
        self.ask(f'Z{random.choice("01")},{self.place():x},1{random.choice(CONDITIONS)}')

    def no_breakpoint(self):
        self.ask(f'z{random.choice("01")},{self.place():x},1')

    def a_watchpoint(self):
        self.ask(f'Z{random.choice("234")},{self.place() & ~7:x},{random.choice((1, 2, 4, 8))}')

    def looks(self):
        assert len(self.ask('g')) > 100
        self.ask(f'm{self.place():x},40')
        self.ask(f'P0={self.ask("p0")}')

    def sets(self):
        setting = random.choice(SETTINGS)
        self.done.append(setting)
        self.guest.debugger.monitor(setting)

    def steps(self):
        self.done.append('vCont;s:1')
        self.guest.debugger.send('vCont;s:1')
        stop = self.guest.debugger.stop()
        assert stop.startswith('T05'), stop

    def runs(self, packet):
        self.done.append(packet)
        self.guest.debugger.send(packet)
        if random.random() < 0.3:
            self.guest.type(random.choice(('sum 4\r', '\r')))
        time.sleep(random.random() * 0.02)
        if random.random() < 0.15:
            self.done.append('lost')
            self.guest.debugger.close()
            time.sleep(random.random() * 0.02)
            self.guest.attach()
        else:
            self.guest.debugger.interrupt()

    def continues(self):
        self.runs('vCont;c')

    def steps_a_range(self):
        place = self.place()
        self.runs(f'vCont;r{place:x},{place + 20:x}:1')


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:3])
    actions = int(sys.argv[4]) if len(sys.argv) > 4 else 300
    seed = sys.argv[5] if len(sys.argv) > 5 else str(time.time_ns())
    print('seed', seed)
    random.seed(seed)
    guest = Guest(ringside, hello, engine=sys.argv[3])
    symbols = symbols_of(hello)
    session = Session(guest, [symbols[name] for name in NAMES])
    kinds = (session.a_breakpoint, session.no_breakpoint, session.a_watchpoint, session.looks,
             session.sets, session.steps, session.continues, session.continues, session.steps_a_range)
    try:
        for _ in range(actions):
            random.choice(kinds)()
    except (AssertionError, OSError) as error:
        print(guest.text(guest.log))
        sys.exit(f'not ok: {error!r} after: {session.done[-10:]}')
    guest.debugger.close()
    guest.type('\rsum 5\r')
    guest.expect(guest.console, 'sum 55')
    print(f'ok: {actions} actions')


main()
