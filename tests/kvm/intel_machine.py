"""A machine that has a kvm-intel: Bochs with the stock kernel, an initramfs and a serial port for GDB's peer."""
# SPDX-License-Identifier: BSD-2-Clause
import os
import select
import shutil
import socket
import subprocess
from pathlib import Path

import host
from host import HOST, ROOT, make_initrd
from peer import PATIENCE, Debugger

BIOS = Path('/usr/share/bochs/BIOS-bochs-latest')
VGA_BIOS = Path('/usr/share/vgabios/vgabios.bin')
GRUB = Path('/usr/lib/grub/i386-pc')

# The model: of Bochs's the newest whose XSAVE area the kernel finds consistent, else KVM has none.
# Its display is a VNC server because it has to have one.
BOCHSRC = '''
cpu: model=broadwell_ult, ips=50000000
megs: 512
romimage: file={bios}
vgaromimage: file={vga_bios}
ata0-master: type=cdrom, path={image}, status=inserted
boot: cdrom
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=socket-client, dev=localhost:{console}
com2: enabled=1, mode=socket-client, dev=localhost:{debugger}
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
'''
GRUB_CFG = '''
set timeout=0
menuentry host {
  linux /vmlinuz console=ttyS0 tsc=unstable nokaslr mitigations=off quiet panic=-1
  initrd /initrd
}
'''


def need_host():
    """Ends the test as skipped where the machine cannot be made."""
    host.need(('bochs-bin', 'grub-mkrescue', 'xorriso', 'mformat', 'busybox', 'cpio', 'strip'),
              (BIOS, VGA_BIOS, GRUB, HOST / 'vmlinuz', HOST / 'kvm-intel.ko'))


def make_image(folder, programs, files, init=ROOT / 'tests/kvm/init-intel'):
    """A CD of the host kernel, with an initramfs of these programs and files."""
    root, iso = folder / 'root', folder / 'iso'
    root.mkdir()
    (iso / 'boot/grub').mkdir(parents=True)
    make_initrd(root, iso / 'initrd', init, programs, files,
                modules=('irqbypass', 'kvm', 'kvm-intel'))
    shutil.copy(HOST / 'vmlinuz', iso)
    (iso / 'boot/grub/grub.cfg').write_text(GRUB_CFG)
    subprocess.run(['grub-mkrescue', '-o', folder / 'image', iso], check=True, capture_output=True)
    return folder / 'image'


def listen():
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(PATIENCE)
    return listener


class Machine(host.Console):
    """Bochs with the host kernel.  What is typed on its console is done, see init-intel."""

    seconds = 1100  # two minutes, when it has a processor to itself

    def __init__(self, folder, image):
        with listen() as console, listen() as debugger:
            (folder / 'bochsrc').write_text(BOCHSRC.format(
                bios=BIOS, vga_bios=VGA_BIOS, image=image, folder=folder,
                console=console.getsockname()[1], debugger=debugger.getsockname()[1]))
            (folder / 'commands').write_text('c\n')  # it starts in its own debugger
            # Meson's MALLOC_PERTURB_ is more than its configuration stands.
            bochs = host.start(
                ['bochs-bin', '-q', '-f', folder / 'bochsrc', '-rc', folder / 'commands'],
                env={'PATH': os.environ['PATH'], 'HOME': folder},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.line = console.accept()[0]
            self.stream = debugger.accept()[0]
        super().__init__(bochs, self.line.fileno(), self.line.fileno())

    def run(self, command, what):
        """What the command printed, and its exit status."""
        self.type(f'{command}\n')
        said = self.expect(r'host: status (\d+)\n', what)
        return said, int(said.split()[-1])

    def debug(self, options, what):
        """A debugger of a guest that is held at its first instruction."""
        self.type(f'debug {options}\n')
        self.expect('relay: ready\n', what)
        while select.select([self.stream], [], [], 0)[0]:  # of the one before
            self.stream.recv(65536)
        debugger = Debugger(None, self.stream)
        debugger.ask('?')
        return debugger
