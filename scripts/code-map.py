#!/usr/bin/env python3
"""Writes CODE-MAP.md from the first sentence of every file; --check only compares."""
# SPDX-License-Identifier: BSD-2-Clause
import os
import re
import sys

ROOMS = [
    ("", "What a user and a machine that tests call"),
    ("include/ringside", "The only headers that are installed"),
    ("src/x86", "Facts about the architecture, no state"),
    ("src/cpu", "The software CPU"),
    ("src/cpu/softfloat", "Its floating-point arithmetic, in integers"),
    ("src/step", "Ways to step"),
    ("src/debug", "The debugger behind the protocol"),
    ("src/rsp", "The GDB remote protocol"),
    ("src/vm", "The machine around the CPUs"),
    ("src/vm/boot", "Loading kernels"),
    ("src/engine", "What runs vCPUs"),
    ("src/engine/kvm", "vCPUs on /dev/kvm"),
    ("src/engine/soft", "vCPUs on the software CPU"),
    ("tool", "ringside(1)"),
    ("guests/hello", "A guest of our own"),
    ("scripts", "What ./demo and ./check are made of"),
    ("bench", "Measurements"),
    ("tests", "Tests of the tree as a whole"),
    ("tests/unit", "Tests of single parts, and the machines and images they are made with"),
    ("tests/native", "Instructions against the host's own processor"),
    ("tests/guest", "Guests in assembly, on ringside and on QEMU"),
    ("tests/step", "Guests that are stepped, and must not notice"),
    ("tests/transcript", "The remote protocol, byte for byte"),
    ("tests/tool", "The command line"),
    ("tests/stock", "Boots of a stock kernel"),
    ("tests/kvm", "The KVM engine on hosts that have a KVM"),
    ("tests/soak", "Long runs with a debugger in the same process"),
    ("tests/gdb", "Real gdb sessions: those of scripts/, as tests"),
]
KINDS = (".c", ".h", ".S", ".ld", ".sh", ".py", ".lds")
NAMELESS = {"demo", "check", "compare", "kvm", "soak", "init", "init-intel"}  # scripts without an ending

HEAD = """# Code map

A sentence for every file: the one that it opens with. `scripts/code-map.py` writes this page, and a
test keeps it complete. Which room may include which is in CONTRIBUTING.md.
"""


def sentence(path):
    """The first sentence of the comment that opens the file."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith((".c", ".h", ".S", ".ld", ".lds")):
        found = re.match(r"/\*(.*?)\*/", text, re.S)
    elif path.endswith(".py"):
        found = re.search(r'^"""(.*?)"""', text, re.S | re.M)
    else:
        found = re.match(r"(?:#!.*\n)?((?:# .*\n)+)", text)
    if not found:
        return None
    words = " ".join(re.sub(r"^ *[*#] ?", "", found.group(1), flags=re.M).split())
    words = re.split(r" (?:usage:|SPDX|shellcheck)", words)[0]
    return re.match(r".*?\.(?= [A-Z]|$)|.*", words).group(0)


def page():
    lines, missing = [HEAD], []
    listed = set()
    for room, title in ROOMS:
        folder = room or "."
        if not os.path.isdir(folder):
            continue
        names = [
            n
            for n in sorted(os.listdir(folder))
            if os.path.isfile(os.path.join(folder, n)) and (n.endswith(KINDS) or n in NAMELESS)
        ]
        listed.add(os.path.normpath(folder))
        if not names:
            continue
        lines.append(f"\n## {room + '/: ' if room else ''}{title}\n")
        for name in names:
            path = os.path.normpath(os.path.join(folder, name))
            said = sentence(path)
            if not said:
                missing.append(f"{path} does not open with a sentence about itself")
            lines.append(f"- `{name}`: {said}")
    for top in ("include", "src", "tool", "guests", "scripts", "bench", "tests"):
        for folder, _, names in os.walk(top):
            if any(n.endswith(KINDS) for n in names) and os.path.normpath(folder) not in listed:
                missing.append(f"{folder}/ is not a room that scripts/code-map.py knows")
    return "\n".join(lines) + "\n", missing


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    text, missing = page()
    for what in missing:
        print(what, file=sys.stderr)
    if "--check" in sys.argv[1:]:
        try:
            with open("CODE-MAP.md", encoding="utf-8") as file:
                same = file.read() == text
        except OSError:
            same = False
        if not same:
            print("CODE-MAP.md is out of date: run scripts/code-map.py", file=sys.stderr)
        return 1 if missing or not same else 0
    with open("CODE-MAP.md", "w", encoding="utf-8") as file:
        file.write(text)
    return 1 if missing else 0


sys.exit(main())
