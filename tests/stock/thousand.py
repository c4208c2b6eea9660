#!/usr/bin/env python3
"""Boots the stock kernel with 1,000 breakpoints set at its first instruction, over all that it patches."""
# usage: thousand.py RINGSIDE
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

COUNT = 1000
HITS = 20  # of one breakpoint; then its condition is false
# What patches the kernel's own text while it boots, and what the patching tests itself with.
MUST_HIT = ['start_kernel', 'alternative_instructions', 'apply_alternatives', 'apply_retpolines',
            'text_poke_early', 'jump_label_init', 'ftrace_init', 'init_kprobes',
            'kernel_init', 'run_init_process']
FALSE = '22 00 27'.replace(' ', '')  # const8 0, end


class Peer:
    def __init__(self, address):
        host, port = address.rsplit(':', 1)
        self.socket = socket.create_connection((host, int(port)), timeout=200)
        self.bytes = b''
        self.ask('QStartNoAckMode')
        self.socket.sendall(b'+')
        self.ask('qSupported:swbreak+;ConditionalBreakpoints+')

    def send(self, text):
        body = text.encode()
        self.socket.sendall(b'$%s#%02x' % (body, sum(body) & 0xff))

    def receive(self):
        """The payload of the next packet that is no console output."""
        while True:
            found = re.match(rb'\+*\$([^#]*)#..', self.bytes, re.DOTALL)
            if not found:
                more = self.socket.recv(1 << 16)
                if not more:
                    sys.exit('ringside closed the connection')
                self.bytes += more
                continue
            self.bytes = self.bytes[found.end():]
            if not re.match(rb'O[0-9a-f]', found[1]):
                return found[1].decode('latin-1')

    def ask(self, text):
        self.send(text)
        return self.receive()


def run(ringside, *options):
    command = [ringside, 'run', '-e', 'soft', '-k', '.cache/vmlinuz', '-i', '.cache/initrd',
               '-a', 'console=ttyS0 poweroff', '-m', '256', *options]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def messages(console):
    """What the kernel said, without times and what it measures."""
    text = re.sub(r'\[ *\d+\.\d+\] ', '', console.decode('latin-1').replace('\r', ''))
    return [line for line in text.split('\n') if not re.search(r'BogoMIPS|MHz| [mu]secs', line)]


def functions(ringside):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'symbols')
        subprocess.run([ringside, 'symbols', '.cache/vmlinuz', '-o', path], check=True)
        lines = subprocess.run(['nm', path], check=True, capture_output=True, text=True).stdout
    found = [line.split() for line in lines.split('\n')]
    return {name: int(value, 16) for value, kind, name in
            (line for line in found if len(line) == 3) if kind in 'tT' and '.' not in name}


def choose(symbols):
    """The ones that must be hit, and others spread over all of the kernel's text."""
    chosen = {symbols[name]: name for name in MUST_HIT}
    places = sorted({value: name for name, value in symbols.items() if name[0] != '_'}.items())
    for value, name in places[::len(places) // COUNT]:
        if len(chosen) < COUNT:
            chosen.setdefault(value, name)
    return chosen


def boot(ringside, chosen):
    guest = run(ringside, '-G', 'w127.0.0.1:0')
    console = []
    reader = threading.Thread(target=lambda: console.append(guest.stdout.read()))
    reader.start()
    said = b''
    while b'target remote' not in said:
        said = guest.stderr.readline()
        if not said:
            sys.exit('ringside does not start')
    peer = Peer(said.decode().split('target remote ')[1].strip())
    for address in chosen:
        if peer.ask('Z0,%x,1' % address) != 'OK':
            sys.exit('breakpoint at %x refused' % address)
    hits = dict.fromkeys(chosen, 0)
    while (reply := peer.ask('vCont;c'))[0] == 'T':
        address = int.from_bytes(bytes.fromhex(re.search(';10:([0-9a-f]{16})', reply)[1]), 'little')
        if 'swbreak:' not in reply or address not in hits:
            sys.exit('an unexpected stop: ' + reply)
        hits[address] += 1
        if hits[address] == HITS:
            peer.ask('z0,%x,1' % address)
            if peer.ask('Z0,%x,1;X3,%s' % (address, FALSE)) != 'OK':
                sys.exit('condition refused')
    peer.socket.close()
    guest.wait(200)
    reader.join()
    return reply, hits, console[0]


def main():
    ringside = os.path.realpath(sys.argv[1])
    os.chdir(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..'))
    if not os.path.exists('.cache/vmlinuz') or not os.path.exists('.cache/initrd'):
        print('no stock kernel in .cache/: scripts/stock-kernel.sh says why')
        return 77
    alone = messages(run(ringside).communicate()[0])
    chosen = choose(functions(ringside))
    reply, hits, console = boot(ringside, chosen)
    watched = messages(console)
    met = [address for address in hits if hits[address]]
    print('%d breakpoints, %d of them hit, %d stops' % (len(hits), len(met), sum(hits.values())))
    bad = 0
    for address, name in chosen.items():
        if name in MUST_HIT and not hits[address]:
            print('never hit:', name)
            bad = 1
    if len(hits) != COUNT or reply[0] != 'W' or 'init: user space is up' not in watched:
        print('not as it should be: it ended by', reply)
        bad = 1
    for line in sorted(set(alone) ^ set(watched)):
        print('only without breakpoints:' if line in alone else 'only with breakpoints:', line)
        bad = 1
    return bad


sys.exit(main())
