#!/usr/bin/env python3
"""The KVM engine on a real kvm-amd inside QEMU's TCG: boots, and debug sessions through a port.

usage: amd.py RINGSIDE-STATIC HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

from amd_machine import HOST, ROOT, Machine, make_initrd, need_host
from peer import Debugger

STEPS = 400


def walk(machine, port, way):
    machine.expect(f'host: {way}\n(.*\n)*?.*target remote', f'{way}: held at its first instruction')
    debugger = Debugger(port)
    debugger.ask('?')
    places = [debugger.rip()] + [debugger.step() for _ in range(STEPS)]
    debugger.send('k')
    debugger.close()
    return places


def check_linux(machine, port):
    machine.expect('host: linux\n', 'linux starts')
    machine.expect('init: 2 CPUs', 'its shell is reached with a server that nobody uses')
    debugger = Debugger(port)
    assert debugger.ask('?').startswith('T'), 'attaching stops it'
    assert debugger.ask('qfThreadInfo') in ('m1,2', 'mp1.1,p1.2'), 'two vCPUs'
    for _ in range(20):
        debugger.send('vCont;c')
        time.sleep(0.02)
        debugger.interrupt()
    print('ok: 20 times continued and interrupted, no kick lost', flush=True)
    for thread in (1, 2):
        for _ in range(50):
            debugger.step(thread)
    print('ok: both vCPUs step', flush=True)
    banner = debugger.ask('mffffffff81000000,10')
    assert re.fullmatch('[0-9a-f]{32}', banner), f'kernel text: {banner}'
    refused = debugger.ask('Z0,ffffffff81000000,1')
    assert refused.startswith('E'), f'a breakpoint that could not work is refused: {refused}'
    assert debugger.ask('D') == 'OK'
    debugger.close()
    machine.type('\necho $((6 * 7))-after\npoweroff -f\n')
    machine.expect('42-after', 'the guest goes on after a detach')
    machine.expect('the guest powered off', 'and powers off')


def check(machine, port):
    machine.expect(r'host: auto-kvm\n(.*\n)*?host: status 2', 'the self-test is quick')
    for cpus in (1, 2):
        said = machine.expect(rf'host: boot-{cpus}\n(.*\n)*?host: status 0',
                              f'the stock kernel boots with {cpus} vCPU')
        assert f'init: {cpus} CPUs' in said and 'the guest powered off' in said, said
        assert not re.search('Oops|BUG:|WARNING:|Call Trace|Kernel panic|soft lockup', said), said
    emulated = walk(machine, port, 'emulate')
    stepped = walk(machine, port, 'trap-flag')
    assert emulated == stepped, next(x for x in zip(emulated, stepped) if x[0] != x[1])
    print(f'ok: {STEPS} steps, the same by emulate and by trap-flag')
    check_linux(machine, port)
    machine.expect('host: done', 'all of it')


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    need_host()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        root, initrd = Path(folder) / 'root', Path(folder) / 'initrd'
        root.mkdir()
        make_initrd(root, initrd, ROOT / 'tests/kvm/init', {'ringside': ringside},
                    {'hello': hello, 'initrd': ROOT / '.cache/initrd', 'vmlinuz': HOST / 'vmlinuz'})
        machine = Machine(initrd, port)
        try:
            check(machine, port)
        except (AssertionError, OSError) as error:
            print(machine.text[-4000:])
            sys.exit(f'not ok: {error}')
        finally:
            machine.kill()


main()
