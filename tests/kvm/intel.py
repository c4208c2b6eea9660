#!/usr/bin/env python3
"""The KVM engine on a real kvm-intel inside Bochs: INT3 exits, debug registers, stepping, in one boot.

usage: intel.py RINGSIDE-STATIC RELAY SOAK-SMP-STATIC KVM-STARTED-STATIC KVM-EVENTS-STATIC KVM-STEPS
                EVENTS-GUEST HELLO GUEST...
"""
# SPDX-License-Identifier: BSD-2-Clause
import sys
import tempfile
from pathlib import Path

from intel_machine import Machine, make_image, need_host
from stepped import arguments
from symbols import symbols_of

RDI = 5  # by its number in the target description
HELLO = '-k /hello -m 16'
STEPS = 200


def start_hello(machine, options, what):
    """A debugger of the small kernel, which waits at its prompt."""
    debugger = machine.debug(f'{HELLO} {options}', what)
    debugger.send('vCont;c')
    machine.expect('hello> ', 'its prompt')
    debugger.interrupt()
    return debugger


def check_software_breakpoints(machine, at, byte='int3'):
    place = at['square']
    debugger = start_hello(machine, f'--trap-byte {byte}', f'software breakpoints by {byte}')
    clean = debugger.ask(f'm{place:x},20')
    assert debugger.ask(f'Z0,{place:x},1') == 'OK'
    assert debugger.ask(f'm{place:x},20') == clean, 'an inserted breakpoint is not shown'
    machine.type('sum 4\n')
    for n in range(1, 5):
        assert debugger.stopped(debugger.ask('vCont;c')) == place
        assert debugger.number(RDI) == n
    assert debugger.ask(f'z0,{place:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.expect('sum 30\n', f'an {byte} in memory stops each time, and is stepped off')
    machine.type('int3\n')
    machine.expect('breakpoints 1\n', 'an INT3 of the guest is its own')
    debugger.interrupt()
    assert debugger.ask(f'Z0,{place:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.type('int3\n')
    machine.expect('breakpoints 2\n', 'beside a breakpoint too')
    debugger.interrupt()
    code = bytes.fromhex(debugger.ask(f'm{at["int3"]:x},40'))
    own = at['int3'] + code.index(0xcc)
    assert debugger.ask(f'Z0,{own:x},1') == 'OK'
    machine.type('int3\n')
    assert debugger.stopped(debugger.ask('vCont;c')) == own
    debugger.send('vCont;c')
    machine.expect('breakpoints 3\n', 'under a breakpoint it is met, then executed')
    debugger.interrupt()
    many = range(place, place + 100)  # all that runs next, and the bytes between
    assert {debugger.ask(f'Z0,{each:x},1') for each in many} == {'OK'}
    assert debugger.ask('D') == 'OK'
    machine.type('sum 4\n')
    machine.expect('sum 30\n', 'nothing is left after a detach')
    machine.type('poweroff\n')
    machine.expect(r'host: status 0\n', 'the guest goes its own way')


def check_int1(machine, at):
    check_software_breakpoints(machine, at, 'int1')


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


STEPPED = ('rings', 'real', 'debug')
SYSRETL, SYSRETQ = '0f07', '480f07'  # Bochs does them otherwise: docs/kvm.md says how


def check_guests(machine, guests):
    """Stepped from their first instructions to their last."""
    for guest in guests:
        command = ' '.join(['kvm-steps', *arguments(guest, (SYSRETL, SYSRETQ))])
        said, status = machine.run(command, f'{guest.stem}, by emulate and by trap-flag')
        assert status == 0, said


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


def check_events(machine, _):
    said, status = machine.run('kvm-events /events steps port msr int3', 'events are caught')
    assert status == 0, said


def check_watchpoints(machine, at):
    """Each write stops once, behind it, and a step over one more stops as well."""
    spins = at['spins']
    after = at['spin'] + 8  # its first instruction, of 8 bytes, writes
    debugger = start_hello(machine, '--step trap-flag', 'watchpoints')
    for n in range(5):  # the last one has no register left
        assert debugger.ask(f'Z2,{spins + 8 * n:x},8') == 'OK'
    for n in range(1, 5):
        assert debugger.ask(f'z2,{spins + 8 * n:x},8') == 'OK'
    machine.type('spin 4\n')
    for turn in range(2):
        stop = debugger.ask('vCont;c')
        assert f'watch:{spins:x};' in stop and debugger.stopped(stop) == after, stop
    for _ in range(2):  # DEC, JNZ: back to what writes
        debugger.step()
    stop = debugger.ask('vCont;s:1')
    assert f'watch:{spins:x};' in stop and debugger.stopped(stop) == after, stop
    assert debugger.stopped(debugger.ask('vCont;c')) == after
    debugger.send('vCont;c')
    machine.expect('hello> ', 'a watchpoint stops once for each write, running and stepping')
    debugger.interrupt()
    assert debugger.ask(f'z2,{spins:x},8') == 'OK'
    assert debugger.ask(f'Z4,{at["hello_banner"]:x},1') == 'OK'
    debugger.send('vCont;c')
    machine.type('banner\n')
    stop = debugger.reply()
    assert f'awatch:{at["hello_banner"]:x};' in stop, stop
    print('ok: a read stops an access watchpoint')
    end(machine, debugger)


def check_barred_code(machine, at):
    """Code on a page whose reads are watched: its OUTs are stepped by hardware, which stops after them."""
    debugger = machine.debug(HELLO, 'code on a page that is kept from the guest')
    commands = f'{at["commands"]:x},40'
    assert debugger.ask(f'Z1,{at["serial_start"]:x},1') == 'OK'
    assert debugger.stopped(debugger.ask('vCont;c')) == at['serial_start']
    assert debugger.ask(f'Z3,{commands}') == 'OK'
    assert debugger.ask(f'Z1,{at["interrupts_start"]:x},1') == 'OK'
    assert debugger.stopped(debugger.ask('vCont;c')) == at['interrupts_start']
    assert debugger.ask(f'z3,{commands}') == 'OK'
    debugger.send('vCont;c')
    machine.expect('hello> ', 'each is one step')
    debugger.interrupt()
    end(machine, debugger)


def run_guest(machine, name, packets, byte='int3'):
    """What a guest of tests/guest prints with these set."""
    options = f'-k /{name} -m 64 --exit-port --serial file:/out --trap-byte {byte}'
    if packets:
        debugger = machine.debug(options, f'{name}, beside {" ".join(packets)}')
        for packet in packets:
            assert debugger.ask(packet) == 'OK', packet
        stop = debugger.ask('vCont;c')
        assert stop == 'W01', stop
        machine.expect(r'host: status \d+\n', f'{name} ends')
    else:
        machine.run(f'ringside run -e kvm {options}', f'{name}, without a debugger')
    return machine.run('cat /out', 'its output')[0]


def check_own_debug_registers(machine, _):
    """TF, DR0..DR7, INT1 and faults: a guest has its own, with ours set where it never comes."""
    for name in ('debug', 'exceptions'):
        alone = run_guest(machine, name, ())
        assert name != 'debug' or 'two access breakpoints: #DB at +8 dr6 ffff0ff6' in alone, alone
        for byte in ('int3', 'int1'):
            beside = run_guest(machine, name, ('Z0,9000,1', 'Z1,9100,1', 'Z2,9200,8'), byte)
            assert alone == beside, next(x for x in zip(alone.splitlines(), beside.splitlines())
                                         if x[0] != x[1])
    print("ok: the guest's own debug exceptions are the same beside ours")


CHECKS = (check_chosen, check_soak, check_events, check_software_breakpoints, check_int1,
          check_steps, check_steps_hold_interrupts, check_watchpoints, check_barred_code,
          check_own_debug_registers)


def main():
    ringside, relay, smp, started, events, steps, events_guest, hello, *guests = (
        Path(name).resolve() for name in sys.argv[1:])
    need_host()
    at = symbols_of(hello)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = make_image(folder, {'ringside': ringside, 'relay': relay, 'soak_smp': smp,
                                    'kvm_started': started, 'kvm-events': events, 'kvm-steps': steps},
                           {guest.stem: guest for guest in (events_guest, hello, *guests)})
        with Machine(folder, image) as machine:
            machine.expect('host: ready', 'the machine is up')
            for check in CHECKS:
                check(machine, at)
            check_guests(machine, [guest for guest in guests if guest.stem in STEPPED])


main()
