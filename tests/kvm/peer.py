"""A peer of GDB's remote protocol, as far as the tests of the KVM engine need one."""
# SPDX-License-Identifier: BSD-2-Clause
import re
import socket

PATIENCE = 60  # seconds, for what takes one or two on a machine of its own


class Debugger:
    """A peer of the remote protocol, on a port of this machine or on a socket that is there."""

    def __init__(self, port, stream=None):
        self.socket = stream or socket.create_connection(('127.0.0.1', port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(PATIENCE)
        self.bytes = b''
        reply = self.ask('QStartNoAckMode')
        assert reply == 'OK', reply
        self.socket.sendall(b'+')

    def reply(self):
        while not (found := re.search(rb'\$([^#]*)#..', self.bytes)):
            data = self.socket.recv(65536)
            assert data, 'the server hung up'
            self.bytes += data
        self.bytes = self.bytes[found.end():]
        return found[1].decode(errors='replace')

    def send(self, text):
        self.socket.sendall(f'${text}#{sum(text.encode()) & 255:02x}'.encode())

    def ask(self, text):
        self.send(text)
        return self.reply()

    def monitor(self, command):
        """What the command prints."""
        text = self.ask('qRcmd,' + command.encode().hex())
        printed = ''
        while text != 'OK':
            printed += bytes.fromhex(text.removeprefix('O')).decode()
            text = self.reply() if text.startswith('O') else 'OK'
        return printed

    def number(self, register):  # by its number in the target description
        text = self.ask(f'p{register:x}')
        assert re.fullmatch('([0-9a-f]{2})+', text), text
        return int.from_bytes(bytes.fromhex(text), 'little')

    def rip(self):
        return self.number(16)

    def step(self, thread=1):
        return self.stopped(self.ask(f'vCont;s:{thread}'))

    @staticmethod
    def stopped(stop):
        """RIP, which the reply to a stop by a signal of the kind of SIGTRAP holds."""
        found = re.match('T05.*;10:([0-9a-f]{16});', stop)
        assert found, stop
        return int.from_bytes(bytes.fromhex(found[1]), 'little')

    def stop(self):
        """The next stop, past what is said before it."""
        while (text := self.reply()).startswith('O'):
            pass
        return text

    def interrupt(self):
        self.socket.sendall(b'\x03')
        stop = self.stop()
        assert stop.startswith('T'), stop

    def close(self):
        self.socket.close()
