#!/bin/sh
# What "ringside symbols" refuses: one line, exit status 2, and no file left behind.
# usage: symbols.sh RINGSIDE HELLO
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.sh"

refused() { # PATTERN ARGUMENT...: after "symbols"
    pattern=$1
    shift
    "$ringside" symbols "$@" >out 2>err
    status=$?
    [ $status = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] && grep -q "^ringside: .*$pattern" err &&
        return
    echo "status $status:"
    cat out err
    return 1
}

head -c 5000 /dev/zero >zeros
head -c 100 "$hello" >cut
gzip -c "$hello" >packed.gz
check 'no arguments' refused 'symbols KERNEL -o FILE'
check 'no output' refused 'symbols KERNEL -o FILE' "$hello"
check 'no kernel' refused 'symbols KERNEL -o FILE' -o symbols
check 'two kernels' refused 'symbols KERNEL -o FILE' "$hello" "$hello" -o symbols
check 'an unknown option' refused 'symbols KERNEL -o FILE' -x "$hello" -o symbols
check 'no such kernel' refused 'No such file' missing -o symbols
check 'not a kernel' refused 'neither a bzImage' zeros -o symbols
check 'a truncated kernel' refused 'truncated' cut -o symbols
check 'a packed file' refused 'unpack it' packed.gz -o symbols
check 'a kernel without kallsyms' refused 'kallsyms\|32-bit' "$hello" -o symbols
check 'nothing was written' test ! -e symbols
cp "$hello" kernel
check 'the kernel itself' refused 'is the kernel itself' kernel -o kernel
check 'it is unchanged' cmp "$hello" kernel
done_testing
