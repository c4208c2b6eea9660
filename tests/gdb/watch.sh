#!/bin/sh
# Watchpoints with real gdb: string instructions, accesses that cross a page, of each kind, many at once.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/hello.sh"

# At $code: rep stosb; mov %rax,(%rbx); mov (%rbx),%rcx; incl (%rbx); nop; jmp to itself
gdb_start "$HELLO" <<END
set remotelogfile $work/packets
target remote $address
hbreak kernel_main
continue
delete
set \$code = 0xffffffff80300000
set \$data = 0xffffffff80311000
set var *(unsigned char (*)[15]) \$code = {0xf3, 0xaa, 0x48, 0x89, 0x03, 0x48, 0x8b, 0x0b, 0xff, 0x03, 0x90, 0xeb, 0xfe}
set \$pc = \$code
set \$rdi = \$data - 3
set \$rcx = 8
set \$rax = 0x41
set \$rbx = \$data - 2
set \$rflags = 2
watch *(char *) (\$data + 1)
continue
print \$rcx
print (long) \$pc - \$code
print *(char *) (\$data + 2)
continue
print (long) \$pc - \$code
delete
rwatch *(short *) \$data
continue
print (long) \$pc - \$code
delete
set \$pc = \$code + 5
awatch *(char *) \$data
continue
print (long) \$pc - \$code
set \$pc = \$code + 8
continue
print (long) \$pc - \$code
delete
watch *(char (*)[3000]) (\$data - 2900)
tbreak *(\$code + 10)
set \$pc = \$code + 2
set \$rax = 0x5151515151515151
continue
continue
delete
set trace-commands off
set \$n = 0
while \$n < 100
  eval "watch *(char *) %#lx", \$data + 64 * \$n
  set \$n = \$n + 1
end
set \$pc = \$code + 2
set \$rbx = \$data + 64 * 77 - 7
set \$rax = 0x6161616161616161
continue
kill
END
gdb_ends

expect 'an iteration of a string instruction that writes the byte' '^New value = 65 '
expect 'three iterations are left' '= 3$'
expect 'and it has not ended' '= 0$'
expect 'the next byte is not written' '= 0 '
expect 'a write that crosses a page' '^New value = 0 '
expect 'is told after it' '= 5$'
expect 'a read' '^Hardware read watchpoint'
expect 'is told after it' '= 8$'
expect 'an access: a read' '^Hardware access \(read/write\) watchpoint'
expect 'is told after it' '= 8$'
expect 'an access: a write' '^Hardware access \(read/write\) watchpoint'
expect 'is told after it' '= 10$'
expect 'any length, over pages' '^Hardware watchpoint'
expect 'hit once' '^New value = '
expect 'and then no more' '^Temporary breakpoint'
expect 'a hundred' '^Hardware watchpoint'
expect 'the one that is written to' "^New value = 97 'a'"
expect 'the end' '^\[Inferior 1 .* killed\]'
grep -qE 'T05watch:ffffffff80311001;' "$work/packets"
part $? 'the stop names the byte'
grep -qE 'T05rwatch:ffffffff80311000;' "$work/packets"
part $? 'and the kind'
session_verdict
