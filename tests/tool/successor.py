#!/usr/bin/env python3
"""A debugger that comes right behind one that has left is served, and what that one said last is done.

usage: successor.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import signal
import socket
import subprocess
import sys

VALUE = '1122334455667788'


def packet(text):
    return f'${text}#{sum(text.encode()) & 255:02x}'.encode()


def connect(port):
    stream = socket.create_connection(('127.0.0.1', port), 60)
    stream.settimeout(60)
    return stream


def ask(stream, text):
    stream.sendall(b'+' + packet(text))
    said = b''
    while not (found := re.search(rb'\$([^#]*)#..', said)):
        data = stream.recv(4096)
        assert data, f'{text}: hung up on'
        said += data
    return found[1].decode()


def main():
    ringside, hello = sys.argv[1:]
    process = subprocess.Popen([ringside, 'run', '-e', 'soft', '-k', hello, '-G', 'w127.0.0.1:0'],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        while not (found := re.search(r'target remote \S+:(\d+)', process.stderr.readline())):
            pass
        first = connect(int(found[1]))
        assert ask(first, '?').startswith('T')
        process.send_signal(signal.SIGSTOP)  # it sees all at once
        first.sendall(b'+' + packet(f'P0={VALUE}'))
        first.close()
        second = connect(int(found[1]))
        process.send_signal(signal.SIGCONT)
        reply = ask(second, '?')
        assert reply.startswith('T'), reply
        print('ok 1 - the second one is served')
        assert ask(second, 'p0') == VALUE
        print('ok 2 - the register is as the first one set it')
    finally:
        process.kill()


main()
