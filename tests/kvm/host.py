"""What the machines that have a KVM share: what they need, their console, and their initramfs."""
# SPDX-License-Identifier: BSD-2-Clause
import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = ROOT / '.cache/kvm-host'  # the kernel of the machine, and its modules


def skip(why):
    print(why)
    sys.exit(77)


def need(programs, files):
    """Ends the test as skipped where the machine cannot be made."""
    for program in programs:
        if not shutil.which(program):
            skip(f'{program} is not installed')
    for file in files:
        if not Path(file).exists():
            skip(f'no {file}: scripts/stock-kernel.sh says why' if ROOT in Path(file).parents
                 else f'{file} is not installed')


def start(command, **options):
    """A process that ends with this one, which a SIGTERM lets clean up."""
    PR_SET_PDEATHSIG = 1
    prctl = ctypes.CDLL(None).prctl
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('not ok: ended by a signal'))
    return subprocess.Popen(command, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
                            **options)


class Console:
    """The console of a machine, whose lines are waited for; input and output are file descriptors.

    As a context it ends the machine, and the test as failed when a check in it did.
    """

    seconds = 800  # that it may take: less than its test, and four times what it takes

    def __init__(self, process, output, input_):
        self.process, self.output, self.input = process, output, input_
        self.text = ''
        self.deadline = time.monotonic() + self.seconds

    def read(self, seconds):
        if select.select([self.output], [], [], seconds)[0]:
            data = os.read(self.output, 65536)
            if not data:
                raise AssertionError('the machine is gone')
            self.text += data.decode(errors='replace').replace('\r', '')

    def expect(self, pattern, what):
        """Everything up to the first match is consumed; returns it."""
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > self.deadline:
                raise AssertionError(f'{what}: never printed {pattern!r}')
            self.read(0.2)
        before, self.text = self.text[:found.end()], self.text[found.end():]
        print('ok:', what, flush=True)
        return before

    def type(self, text):
        os.write(self.input, text.encode())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, _, error, __):
        self.kill()
        if isinstance(error, (AssertionError, OSError)):
            print(self.text[-4000:])
            sys.exit(f'not ok: {error}')


def make_initrd(root, out, init, programs, files, modules=('*',)):
    """init is the first program; programs go to /bin, stripped, and files to /, by their path there."""
    (root / 'bin').mkdir()
    for folder in ('proc', 'sys', 'dev', 'modules'):
        (root / folder).mkdir()
    shutil.copy(shutil.which('busybox'), root / 'bin/busybox')
    for name, path in programs.items():
        shutil.copy(path, root / 'bin' / name)
        subprocess.run(['strip', root / 'bin' / name], check=True)
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
    shutil.copy(init, root / 'init')
    for pattern in modules:
        for module in HOST.glob(f'{pattern}.ko'):
            shutil.copy(module, root / 'modules')
    (root / 'init').chmod(0o755)
    with open(out, 'wb') as file:
        names = subprocess.run(['find', '.'], cwd=root, check=True, capture_output=True).stdout
        subprocess.run(['cpio', '--quiet', '-o', '-H', 'newc', '-R', '0:0'], cwd=root, input=names,
                       stdout=file, check=True)
