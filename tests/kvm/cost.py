#!/usr/bin/env python3
"""A debug server that nobody uses, or nobody uses any more, costs the guest no entry on KVM.

usage: cost.py RINGSIDE HELLO
"""
# SPDX-License-Identifier: BSD-2-Clause
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from guest import Guest

# With that many the few that a debugger's coming and going takes are far below the limit.
WORK = 'help\r' * 100 + 'poweroff\r'
LIMIT = 1.01
ROUNDS = 3  # the least counts: what the console of the host makes wait comes on top
SECONDS = 60


def entries_in(log):
    return int(re.search(r'report: entries (\d+)', log)[1])


def alone(ringside, hello, *options):
    with tempfile.TemporaryFile() as work:
        work.write(WORK.encode())
        work.seek(0)
        run = subprocess.run(
            [ringside, 'run', '-e', 'kvm', '-k', hello, '-m', '16', '--report', *options], stdin=work,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=SECONDS)
    if 'report:' not in run.stderr:
        print(run.stderr)
        sys.exit(77)
    return entries_in(run.stderr)


def debugged(ringside, hello):
    guest = Guest(ringside, hello, '--report')
    guest.type(WORK)
    for _ in range(20):
        guest.debugger.step()
    guest.debugger.ask('D')
    guest.debugger.close()
    guest.process.wait(SECONDS)
    return entries_in(guest.text(guest.log))


def main():
    ringside, hello = (Path(name).resolve() for name in sys.argv[1:])
    without = min(alone(ringside, hello) for _ in range(ROUNDS))
    unused = min(alone(ringside, hello, '-G', '127.0.0.1:0') for _ in range(ROUNDS))
    used = min(debugged(ringside, hello) for _ in range(ROUNDS))
    print(f'entries without a server {without}, with one {unused}, after a debugger {used}')
    assert max(unused, used) <= LIMIT * without


main()
