"""What breakpoints and watchpoints have to do in the guest "hello", however this host's KVM breaks."""
# SPDX-License-Identifier: BSD-2-Clause

NUMBERS = (5, 3)  # of squares to sum up
WATCHPOINTS = 10000


def go_to(debugger, place, what):
    stop = debugger.ask('vCont;c')
    assert stop.startswith('T05') and debugger.rip() == place, f'{what}: {stop}, {debugger.rip():x}'


def set_all(debugger, places):
    for place in places:
        reply = debugger.ask(f'Z0,{place:x},1')
        assert reply == 'OK', f'a breakpoint at {place:x}: {reply}'


def clear_all(debugger, places):
    for place in places:
        assert debugger.ask(f'z0,{place:x},1') == 'OK'


def check_hits(debugger, console, symbols):
    """Each call stops once, with memory as the guest made it; then the program has its result."""
    places = [symbols['square'], symbols['sum_of_squares']]
    bytes_there = debugger.ask(f'm{places[0]:x},10')
    set_all(debugger, places)
    assert debugger.ask(f'm{places[0]:x},10') == bytes_there, 'no trap byte is shown'
    console.type(f'sum {NUMBERS[0]}\n')
    go_to(debugger, places[1], 'the caller')
    for n in range(1, NUMBERS[0] + 1):
        go_to(debugger, places[0], f'call {n}')
        assert debugger.number(5) == n, f'the argument of call {n}: RDI is {debugger.number(5)}'
    clear_all(debugger, places)
    debugger.send('vCont;c')
    console.expect('sum 55', f'{NUMBERS[0]} calls, a stop each')
    debugger.interrupt()


def check_beside(debugger, console, symbols):
    """Breakpoints that are not reached, beside the code that runs: interrupts, the guest's INT3."""
    places = [symbols['reset'] if 'reset' in symbols else symbols['kernel_main']]
    set_all(debugger, places)
    debugger.send('vCont;c')
    console.type('int3\n')
    console.expect('breakpoints [1-9]', "the guest's own INT3 is the guest's, beside a breakpoint")
    console.type('ticks\n')
    console.expect('ticks [1-9]', 'interrupts come in beside a breakpoint')
    debugger.interrupt()
    clear_all(debugger, places)


def check_steps_off(debugger, console, symbols):
    """A thousand breakpoints around the one that is stepped off."""
    square = symbols['square']
    places = [square] + [symbols['start'] + n for n in range(1000) if symbols['start'] + n != square]
    set_all(debugger, [square])
    console.type('sum 1\n')
    go_to(debugger, square, 'the first of many')
    set_all(debugger, places[1:])
    assert debugger.step() != square, 'one instruction'
    clear_all(debugger, places)
    debugger.send('vCont;c')
    console.expect('sum 1\\n', 'a step off one of 1,000 breakpoints')
    debugger.interrupt()


def check_reads(debugger, console, symbols):
    """What the processor has no watchpoints for: reads, and more than eight bytes."""
    begin, length = symbols['commands'], 64
    for kind, name in (('Z3', 'rwatch'), ('Z4', 'awatch')):
        assert debugger.ask(f'{kind},{begin:x},{length:x}') == 'OK'
        console.type('sum 2\n')
        stop = debugger.ask('vCont;c')
        assert stop.startswith(f'T05{name}:'), stop
        assert begin <= int(stop[10:26], 16) < begin + length, stop
        assert debugger.ask(f'z{kind[1]},{begin:x},{length:x}') == 'OK'
        debugger.send('vCont;c')
        console.expect('sum 5', f'a read stops: {name}')
        debugger.interrupt()
    refused = debugger.ask('Z4,700000000000,4')
    assert refused.startswith('E'), f'nothing is mapped there: {refused}'


def check_all(debugger, console, symbols):
    """The guest is held at its first instruction; afterwards it is left to itself."""
    debugger.send('vCont;c')
    console.expect('hello: a small kernel', 'the guest runs')
    debugger.interrupt()
    check_hits(debugger, console, symbols)
    check_beside(debugger, console, symbols)
    check_steps_off(debugger, console, symbols)
    check_watchpoints(debugger, console, symbols)
    check_reads(debugger, console, symbols)
    set_all(debugger, [symbols['square']])
    assert debugger.ask('D') == 'OK'
    debugger.close()
    console.type(f'sum {NUMBERS[1]}\n')
    console.expect('sum 14', 'nothing is left behind by a detach')


def check_watchpoints(debugger, console, symbols):
    """More than there are debug registers, of any length; the guest's timer writes to one."""
    ticks, unused = symbols['ticks'], symbols['stack_end'] - 0x4000

    def value():
        return int.from_bytes(bytes.fromhex(debugger.ask(f'm{ticks:x},8')), 'little')

    places = [(unused + n, 1) for n in range(WATCHPOINTS)] + [(ticks - 3, 9), (ticks, 8)]
    for place, length in places:
        reply = debugger.ask(f'Z2,{place:x},{length:x}')
        assert reply == 'OK', f'a watchpoint at {place:x}: {reply}'
    before = value()
    for n in range(1, 6):
        stop = debugger.ask('vCont;c')
        assert stop.startswith('T05watch:') and ticks - 3 <= int(stop[9:25], 16) < ticks + 8, stop
        assert value() == before + n, f'hit {n}: {before} has become {value()}'
    for place, length in places:
        assert debugger.ask(f'z2,{place:x},{length:x}') == 'OK'
    debugger.send('vCont;c')
    console.type('sum 4\n')
    console.expect('sum 30', f'{len(places)} watchpoints: each write stops once, after it')
    debugger.interrupt()
