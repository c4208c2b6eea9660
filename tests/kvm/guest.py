"""The small kernel on an engine of this machine, held at its first instruction by a debugger."""
# SPDX-License-Identifier: BSD-2-Clause
import re
import subprocess
import sys
import tempfile
import time

from host import start
from peer import PATIENCE, Debugger


class Guest:
    """A run of ringside, and its debugger; without that engine the test ends as skipped."""

    def __init__(self, ringside, hello, *options, engine='kvm'):
        self.log = tempfile.TemporaryFile('w+')
        self.console = tempfile.TemporaryFile('w+')
        self.process = start(
            [ringside, 'run', '-e', engine, '-k', hello, '-m', '16', '-G', 'w127.0.0.1:0', *options],
            stdin=subprocess.PIPE, stdout=self.console, stderr=self.log)
        while not (found := re.search(r'target remote \S+:(\d+)\n', self.text(self.log))):
            if self.process.poll() is not None:
                print(self.text(self.log))
                sys.exit(77)
            time.sleep(0.01)
        self.port = int(found[1])
        self.attach()

    def attach(self):
        self.debugger = Debugger(self.port)
        self.debugger.ask('?')

    @staticmethod
    def text(file):
        with open(f'/proc/self/fd/{file.fileno()}') as again:  # a place in it of our own
            return again.read()

    def expect(self, file, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.text(file):
            assert time.monotonic() < deadline, f'no {text!r} in: {self.text(file)}'
            time.sleep(0.05)

    def ended(self):
        """The exit status of the run."""
        return self.process.wait(PATIENCE)

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self):
        self.debugger.close()
        self.process.kill()
        self.process.wait()
