#!/bin/sh
# Bad input gets one line on stderr and status 2, and leaves nothing behind.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.sh"

# refuses PATTERN ARGUMENT...
refuses() {
    pattern=$1
    shift
    timeout $patience "$ringside" "$@" >out 2>err </dev/null
    status=$?
    if [ $status != 2 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] ||
        ! grep -qE -- "^ringside: .*$pattern" err; then
        echo "# status $status, stdout $(wc -c <out) bytes, stderr: $(cat err)"
        return 1
    fi
}
refuse() {
    check "ringside $(shift; echo "$*" | cut -c1-60)" refuses "$@"
}

says() { # PATTERN ARGUMENT...
    pattern=$1
    shift
    timeout $patience "$ringside" "$@" >out 2>err </dev/null && [ ! -s err ] && grep -qE -- "$pattern" out
}
check 'help' says '-k KERNEL' --help
check 'help of run' says '-k KERNEL' run --help
check 'version' says '^ringside [0-9]' --version

refuse 'what to do'
refuse "'walk'" walk
refuse '-k' run
refuse '-k' run -k
refuse '--frobnicate' run --frobnicate
refuse "'extra'" run -k "$hello" extra
refuse 'No such file' run -k nowhere
refuse 'not a regular file' run -k .
refuse 'not a regular file' run -k /dev/null
: >empty
refuse 'empty' run -k empty
printf 'this is not a kernel at all' >text
refuse 'text: ' run -k text
head -c 600 "$hello" >short
refuse 'short: ' run -k short
refuse 'No such file' run -k "$hello" -i nowhere
refuse 'empty' run -k "$hello" -i empty
head -c 40000000 /dev/zero >huge
refuse 'huge|initrd|memory|module' run -k "$hello" -m 32 -i huge

for value in '' 0 -1 3 1048577 99999999999999999999 12x ' 12' 0x; do
    refuse '^-m|-m ' run -k "$hello" -m "$value"
done
for value in '' 0 65 -1 two; do
    refuse '-c ' run -k "$hello" -c "$value"
done
refuse 'for -e soft' run -k "$hello" -e kvm --limit 1
check 'auto stays with the soft engine when an option asks for it, and says so' \
    "$ringside" run -k "$hello" -m 16 --limit 1 --serial none 2>err
check 'by its name' grep -q 'engine: soft (-e auto: --limit is given)' err
printf '\r\rpoweroff\r' >typed
check 'auto takes what is there' timeout $patience "$ringside" run -k "$hello" -m 16 <typed >console 2>err
check 'and says which' grep -qE 'engine: (kvm \(-e auto\)|soft \(-e auto: .+\))$' err
refuse 'engines are' run -k "$hello" -e fast
refuse 'processors are' run -k "$hello" --cpu arm
refuse 'needs --cpu intel' run -k "$hello" --cpu amd --step monitor-trap
refuse 'needs --cpu amd' run -k "$hello" --step interrupt-shadow
refuse 'does not step' run -k "$hello" --cpu amd-no-shadow --step interrupt-shadow
refuse 'ways are' run -k "$hello" --step by-step
for value in '' none: file: unix: tty nonesuch stdio:x; do
    refuse '--serial' run -k "$hello" --serial "$value"
done
refuse 'No such file' run -k "$hello" --serial file:no/where
refuse '--exit-port' run -k "$hello" --exit-port 65536
refuse '--exit-port' run -k "$hello" --exit-port=x
refuse '--limit' run -k "$hello" --limit -5

for value in '' w x 65536 -1 123456 ':1234' '::1:1234' '[]:1' '127.0.0.1:' 1234:; do
    refuse "-G '" run -k "$hello" -G "$value"
done
refuse 'not an address' run -k "$hello" -G 'no host:1234'
refuse 'cannot listen' run -k "$hello" -G 192.0.2.1:1234
refuse 'path must follow' run -k "$hello" -G unix:
refuse 'No such file' run -k "$hello" -e soft -G unix:no/where
refuse 'too long' run -k "$hello" -e soft -G "unix:$(printf '%0200d' 0)"

# What is in the way is named, and stays.
echo mine >file
refuse 'file with this name' run -k "$hello" -e soft -G unix:file
check 'the file is still there' grep -q mine file
"$ringside" run -k "$hello" -e soft --serial none -G wunix:socket 2>holder </dev/null &
children=$!
eventually grep -q 'target remote' holder
refuse 'another program listens' run -k "$hello" -e soft -G unix:socket
refuse 'another program listens' run -k "$hello" -e soft --serial unix:socket
check 'its socket is still there' test -S socket
check 'only the owner may connect' test "$(stat -c %a socket)" = 600
kill -KILL "$children"
eventually gone "$children"
refuse 'nobody listens' run -k "$hello" -e soft -G unix:socket

"$ringside" run -k "$hello" -e soft --serial none -G w0 2>holder2 </dev/null &
children=$!
eventually grep -q 'target remote' holder2
port=$(sed -n 's/.*target remote 127.0.0.1://p' holder2)
refuse 'in use' run -k "$hello" -e soft -G "$port"
kill "$children"

# A socket made before a later option fails is removed again.
refuse 'cannot listen' run -k "$hello" -e soft --serial unix:early -G 192.0.2.1:1234
check 'no socket stays behind' test ! -e early
done_testing
