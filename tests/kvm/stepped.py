"""What kvm-steps is told of a guest: where the code of its own ends, and how to step it."""
# SPDX-License-Identifier: BSD-2-Clause
from symbols import symbols_of

RUNTIME = ('recorders', 'report32', 'pvh_start')  # begins with the first of these that a guest has
INTERRUPTED = ('shadow', 'pending-real-time')  # their interrupts are let into the steps


def arguments(image, spared=()):
    """The command line, by the guest's file; spared are codes of instructions, see steps.c."""
    at = symbols_of(image)
    end = next(at[name] for name in RUNTIME if name in at)
    return [f'/{image.stem}', f'{end:x}', f'{at["silent"]:x}',
            *['interrupts'] * (image.stem in INTERRUPTED), *spared]
