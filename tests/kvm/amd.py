#!/usr/bin/env python3
"""The KVM engine on a real kvm-amd inside QEMU's TCG: boots, and debug sessions through a port.

usage: amd.py RINGSIDE-STATIC HELLO SOAK-SMP-STATIC SOAK-KICKS-STATIC
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import sys
import tempfile
import time
from pathlib import Path

from amd_machine import HOST, ROOT, Machine, free_port, make_initrd, need_host
from peer import Debugger

STEPS = 400
TROUBLE = 'Oops|BUG:|WARNING:|Call Trace|Kernel panic|soft lockup'


def walk(machine, port, way, end):
    machine.expect(f'host: {way}\n(.*\n)*?.*target remote', f'{way}: held at its first instruction')
    debugger = Debugger(port)
    debugger.ask('?')
    places = [debugger.rip()] + [debugger.step() for _ in range(STEPS)]
    end(debugger)
    debugger.close()
    return places


def kill(debugger):
    debugger.send('k')


def reset(debugger):
    assert debugger.monitor('reset') == ''
    assert debugger.reply() == 'W00', 'the debugger is told'


def state(debugger, thread):
    return bytes.fromhex(debugger.ask(f'qThreadExtraInfo,{thread:x}')).decode()


def check_held(port):
    debugger = Debugger(port)
    assert debugger.ask('?').startswith('T')
    assert debugger.ask('qfThreadInfo') in ('m1,2,3,4', 'mp1.1,p1.2,p1.3,p1.4'), 'four vCPUs'
    for thread in (2, 3, 4):
        assert 'waiting for SIPI' in state(debugger, thread), state(debugger, thread)
    debugger.send('vCont;c')
    time.sleep(0.2)
    debugger.interrupt()
    assert 'waiting for SIPI' in state(debugger, 4), state(debugger, 4)
    assert debugger.ask('D') == 'OK'
    debugger.close()
    print('ok: the others wait to be started, and are stopped meanwhile, too', flush=True)


def check_running(port):
    debugger = Debugger(port)
    assert debugger.ask('?').startswith('T'), 'attaching stops it'
    for _ in range(20):
        debugger.send('vCont;c')
        time.sleep(0.02)
        debugger.interrupt()
    print('ok: 20 times continued and interrupted, no kick lost', flush=True)
    states = [state(debugger, thread) for thread in (1, 2, 3, 4)]
    assert any('halted' in text for text in states), f'idle vCPUs are halted: {states}'
    for thread in (1, 2, 3, 4):
        for _ in range(20):
            debugger.step(thread)
    print('ok: all vCPUs step', flush=True)
    banner = debugger.ask('mffffffff81000000,10')
    assert re.fullmatch('[0-9a-f]{32}', banner), f'kernel text: {banner}'
    assert debugger.ask('D') == 'OK'
    debugger.close()


def check_linux(machine, port):
    machine.expect('host: linux\n(.*\n)*?.*target remote', 'linux is held')
    check_held(port)
    said = machine.expect('init: 4 CPUs', 'four vCPUs are up when a debugger has come and gone')
    assert not re.search(TROUBLE, said), said
    check_running(port)
    machine.type('\necho $((6 * 7))-after\n')
    machine.expect('42-after', 'the guest goes on after a detach')
    debugger = Debugger(port)
    debugger.send('vCont;c')
    machine.type('reboot -f\n')
    assert debugger.reply() == 'W00', 'the debugger is told'
    debugger.close()
    machine.expect('the guest reset the machine\nhost: status 0', 'its reset ends the run')


def check(machine, port):
    said = machine.expect(r'host: auto\n(.*\n)*?host: status 0', '-e auto')
    assert "engine: soft (-e auto: this host's KVM stops at neither INT3 nor debug registers)" in said, said
    for cpus in (1, 2):
        said = machine.expect(rf'host: boot-{cpus}\n(.*\n)*?host: status 0',
                              f'the stock kernel boots with {cpus} vCPU')
        assert f'init: {cpus} CPUs' in said and 'the guest powered off' in said, said
        assert not re.search(TROUBLE, said), said
    emulated = walk(machine, port, 'emulate', kill)
    machine.expect('the guest powered off\nhost: status 0', 'a kill powers off')
    stepped = walk(machine, port, 'trap-flag', reset)
    machine.expect('the guest reset the machine\nhost: status 0', 'a reset ends the run')
    assert emulated == stepped, next(x for x in zip(emulated, stepped) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag', flush=True)
    for soak in ('soak_smp', 'soak_kicks'):
        said = machine.expect(rf'host: {soak}\n(.*\n)*?host: status 0', f'{soak} on four vCPUs')
        print(re.sub('^', '# ', said.strip(), flags=re.MULTILINE))
    check_linux(machine, port)
    machine.expect('host: done', 'all of it')


def main():
    ringside, hello, smp, kicks = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        root, initrd = Path(folder) / 'root', Path(folder) / 'initrd'
        root.mkdir()
        make_initrd(root, initrd, ROOT / 'tests/kvm/init', {'ringside': ringside, 'soak_smp': smp, 'soak_kicks': kicks},
                    {'hello': hello, 'initrd': ROOT / '.cache/initrd', 'vmlinuz': HOST / 'vmlinuz'})
        with Machine(initrd, port) as machine:
            check(machine, port)


main()
