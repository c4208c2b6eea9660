#!/usr/bin/env python3
"""A machine of the KVM engine from start to end on this machine's own /dev/kvm, and what is shown of it.

usage: life.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import sys
from pathlib import Path

from guest import Guest
from symbols import symbols_of


def ended(guest, why, status=0):
    assert guest.ended() == status, guest.text(guest.log)
    assert why in guest.text(guest.log), guest.text(guest.log)
    guest.end()


def check_reset(start):
    guest = start()
    assert guest.debugger.monitor('reset') == ''
    assert guest.debugger.reply() == 'W00'
    ended(guest, 'the guest reset the machine')
    print('ok: monitor reset ends the run')

    guest = start()
    guest.debugger.send('vCont;c')
    guest.expect(guest.console, 'hello> ')
    guest.type('reset\r')
    assert guest.debugger.reply() == 'W00'
    ended(guest, 'the guest reset the machine')
    print("ok: the guest's own reset, and the debugger is told")

    guest = start()
    guest.debugger.send('k')
    ended(guest, 'the guest powered off')
    print('ok: kill powers off')


def check_triple_fault(start):
    guest = start()
    debugger, place = guest.debugger, guest.debugger.rip()
    # lidt of a table without entries, in 32-bit code; ud2
    code = '0f011d' + (place + 9).to_bytes(4, 'little').hex() + '0f0b' + 6 * '00'
    assert debugger.ask(f'M{place:x},{len(code) // 2:x}:{code}') == 'OK'
    for _ in range(2):
        said = bytes.fromhex(debugger.ask('vCont;c')[1:]).decode()
        assert debugger.reply().startswith('T06')
        if 'triple fault' not in said:
            print(f'not here: a triple fault ({said.strip()})')
            guest.end()
            return
    state = bytes.fromhex(debugger.ask('qThreadExtraInfo,1')).decode()
    assert 'shut down' in state, state
    assert debugger.ask('D') == 'OK'
    ended(guest, 'the guest reset the machine')
    print('ok: a triple fault stops, as often as it is continued; without a debugger it resets')


def check_controllers(start):
    guest = start()
    debugger = guest.debugger

    def word(gpa):
        line = debugger.monitor(f'phys {gpa:#x} 4')
        return int.from_bytes(bytes.fromhex(line.split(':')[1][:13]), 'little')

    assert word(0xfee00030) & 0xff in range(0x10, 0x16), 'version of the local APIC'
    assert word(0xfee000e0) == 0xffffffff, 'its destination format register'
    assert debugger.monitor('phys-write 0xfec00000 01') == ''
    assert word(0xfec00010) >> 16 == 23, 'the I/O APIC has 24 pins'
    debugger.monitor('phys-write 0xfec00000 10')
    assert word(0xfec00010) & 1 << 16, 'its first pin is masked'
    said = debugger.monitor('phys-write 0xfee00080 20000000')
    assert 'only shows' in said, said
    guest.end()
    print('ok: registers of the interrupt controllers as memory')


def check_report(start, hello):
    guest = start()
    debugger, place = guest.debugger, symbols_of(hello)['kernel_main']
    if debugger.ask(f'Z1,{place:x},1') != 'OK':
        print('not here: an instruction that KVM does not know (no breakpoints)')
        guest.end()
        return
    debugger.stopped(debugger.ask('vCont;c'))
    # and $-16,%rsp; xor of rax, rdx, rbx, rcx; lock cmpxchg16b (%rsp); mov $0xfe,%al; out %al,$0x64
    code = '4883e4f0' '31c0' '31d2' '31db' '31c9' 'f0480fc70c24' 'b0fe' 'e664'
    debugger.ask(f'z1,{place:x},1')
    assert debugger.ask(f'M{place:x},{len(code) // 2:x}:{code}') == 'OK'
    assert debugger.ask('D') == 'OK'
    status, said = guest.ended(), guest.text(guest.log)
    if status == 0 and 'the guest reset the machine' in said:
        print('not here: an instruction that KVM does not know')
        guest.end()
        return
    assert status == 2, said
    for words in ('it cannot emulate an instruction', f'code at {place + 12:#x}: f0 48 0f c7 0c 24 b0',
                  'rip', 'cr3', '-e soft'):
        assert words in said, f'no {words!r} in: {said}'
    guest.end()
    print('ok: what KVM cannot run ends the run with a report')


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])

    def start(*options):
        return Guest(ringside, hello, *options)

    check_reset(start)
    check_triple_fault(start)
    check_controllers(start)
    check_report(start, hello)


main()
