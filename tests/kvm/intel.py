#!/usr/bin/env python3
"""The KVM engine on a real kvm-intel inside Bochs: INT3 exits, debug registers, stepping, in one boot.

usage: intel.py RINGSIDE-STATIC RELAY HELLO SOAK-SMP-STATIC KVM-STARTED-STATIC
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from intel_machine import Machine, make_image, need_host

RDI = 5  # by its number in the target description
HELLO = '-k /hello -m 16'
STEPS = 200


def addresses_of(image):
    names = subprocess.run(['nm', image], check=True, capture_output=True, text=True).stdout
    return {name: int(value, 16) for value, name in re.findall(r'^(\S+) \S (\S+)$', names, re.M)}


def start_hello(machine, options, what):
    """A debugger of the small kernel, which waits at its prompt."""
    debugger = machine.debug(f'{HELLO} {options}', what)
    debugger.send('vCont;c')
    machine.expect('hello> ', 'its prompt')
    debugger.interrupt()
    return debugger


def check_software_breakpoints(machine, at):
    place = at['square']
    debugger = start_hello(machine, '', 'software breakpoints')
    clean = debugger.ask(f'm{place:x},20')
    assert debugger.ask(f'Z0,{place:x},1') == 'OK'
    assert debugger.ask(f'm{place:x},20') == clean, 'an inserted breakpoint is not shown'
    machine.type('sum 4\n')
    for n in range(1, 5):
        assert debugger.stopped(debugger.ask('vCont;c')) == place
        assert debugger.number(RDI) == n
    assert debugger.ask(f'z0,{place:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.expect('sum 30\n', 'an INT3 in memory stops each time, and is stepped off')
    machine.type('int3\n')
    machine.expect('breakpoints 1\n', 'an INT3 of the guest is its own')
    debugger.interrupt()
    assert debugger.ask(f'Z0,{place:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.type('int3\n')
    machine.expect('breakpoints 2\n', 'beside a breakpoint too')
    debugger.interrupt()
    assert debugger.ask('D') == 'OK'
    machine.type('sum 4\n')
    machine.expect('sum 30\n', 'nothing is left after a detach')
    machine.type('poweroff\n')
    machine.expect(r'host: status 0\n', 'the guest goes its own way')


def end(machine, debugger):
    debugger.send('k')
    machine.expect(r'host: status \d+\n', 'the end of that guest')


def check_steps(machine, _):
    places = []
    for way in ('emulate', 'trap-flag'):
        debugger = machine.debug(f'{HELLO} --step {way}', f'{way}: held at its first instruction')
        places.append([debugger.rip()] + [debugger.step() for _ in range(STEPS)])
        end(machine, debugger)
    assert places[0] == places[1], next(x for x in zip(*places) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag')


def check_steps_hold_interrupts(machine, at):
    """The guest's timer goes off a hundred times a second, and no step goes into its handler."""
    debugger = start_hello(machine, '--step trap-flag', 'steps with a timer running')
    assert debugger.ask(f'Z0,{at["spin"]:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.type('spin 1000\n')
    assert debugger.stopped(debugger.reply()) == at['spin']
    assert debugger.ask(f'z0,{at["spin"]:x},1') == 'OK'
    for _ in range(STEPS):
        place = debugger.step()
        assert at['spin'] <= place < at['spin'] + 64, f'{place:x}'
    print('ok: no step goes into the handler of an interrupt')
    debugger.send('vCont;c')
    machine.expect('hello> ', 'which all come afterwards')
    debugger.interrupt()
    end(machine, debugger)


def check_chosen(machine, _):
    said, status = machine.run(r"printf '\r\rpoweroff\r' | ringside run -k /hello -m 16", '-e auto')
    assert status == 0 and 'engine: kvm (-e auto)' in said, said
    print('ok: it takes this KVM')


def check_soak(machine, _):
    for soak in ('soak_smp 10 kvm', 'kvm_started'):
        said, status = machine.run(soak, f'{soak} on four vCPUs')
        assert status == 0 and 'refused' not in said, said


CHECKS = (check_chosen, check_soak, check_software_breakpoints, check_steps, check_steps_hold_interrupts)


def main():
    ringside, relay, hello, smp, started = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    at = addresses_of(hello)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = make_image(folder, {'ringside': ringside, 'relay': relay, 'soak_smp': smp,
                                     'kvm_started': started}, {'hello': hello})
        machine = Machine(folder, image)
        try:
            machine.expect('host: ready', 'the machine is up')
            for check in CHECKS:
                check(machine, at)
        except (AssertionError, OSError) as error:
            print(machine.text[-4000:])
            sys.exit(f'not ok: {error}')
        finally:
            machine.kill()


main()
