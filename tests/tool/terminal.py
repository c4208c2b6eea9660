#!/usr/bin/env python3
"""A terminal that takes nothing: the program waits for it when the guest has ended, and Ctrl-C ends that.

usage: terminal.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import os
import pty
import sys
import time

WORK = b'help\r' * 10
TIMES = 30  # more than a terminal holds, and less than it and the queue


def start(ringside, hello):
    process, terminal = pty.fork()
    if not process:
        os.execl(ringside, ringside, 'run', '-e', 'soft', '-k', hello, '-m', '16')
    return process, terminal


def read_until(terminal, text):
    said = b''
    while text not in said:
        said += os.read(terminal, 4096)
    return said


def type_work(terminal):
    read_until(terminal, b'hello> ')
    for _ in range(TIMES):
        os.write(terminal, WORK)
    os.write(terminal, b'poweroff\r')


def main():
    ringside, hello = sys.argv[1:]
    process, terminal = start(ringside, hello)
    type_work(terminal)
    said = read_until(terminal, b'the guest powered off')
    assert said.count(b'help, banner') == 10 * TIMES, said[-200:]
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    print('ok 1 - whoever reads gets it all')

    process, terminal = start(ringside, hello)
    type_work(terminal)
    while not os.waitpid(process, os.WNOHANG)[0]:
        os.write(terminal, b'\x03')
        time.sleep(0.1)
    print('ok 2 - whoever does not may end it')


main()
