"""The symbols of an ELF file."""
# SPDX-License-Identifier: BSD-2-Clause
import re
import subprocess


def symbols_of(image):
    text = subprocess.run(['nm', image], check=True, capture_output=True, text=True).stdout
    return {name: int(address, 16)
            for address, name in re.findall(r'^(\S+) \S (\S+)$', text, re.MULTILINE)}
