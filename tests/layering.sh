#!/bin/sh
# Checks that includes point down only, as the table in CONTRIBUTING.md says.
# SPDX-License-Identifier: BSD-2-Clause
set -eu
cd "${1:-$(dirname "$0")/..}"

# What the files of a room may include with quotes, and with angle brackets.
below() {
    case $1 in
    include/ringside) echo 'ringside' ;;
    src/x86) echo 'ringside x86' ;;
    src/cpu) echo 'ringside cpu x86' ;;
    src/step) echo 'ringside step cpu x86' ;;
    src/debug) echo 'ringside debug step x86' ;;
    src/rsp) echo 'ringside rsp debug' ;;
    src/vm) echo 'ringside vm x86' ;;
    src/engine) echo 'ringside vm' ;;
    src/engine/kvm) echo 'ringside engine vm x86' ;;
    src/engine/soft) echo 'ringside engine vm cpu x86' ;;
    *) return 1 ;;
    esac
}
core='include/ringside src/x86 src/cpu src/step src/debug src/rsp'
freestanding='limits.h stdalign.h stdarg.h stdbool.h stddef.h stdint.h string.h'

wrong=0
complain() {
    echo "$1" >&2
    wrong=1
}

contains() { # LIST WORD
    case " $1 " in *" $2 "*) return 0 ;; esac
    return 1
}

for folder in $(find src include -type d | sort); do
    files=$(find "$folder" -maxdepth 1 -name '*.[ch]')
    [ -n "$files" ] || continue
    case $folder in
    src/engine/*) room=$folder ;;
    src/*/*) room=${folder%/*} ;; # a folder inside a room is part of it
    *) room=$folder ;;
    esac
    allowed=$(below "$room") || { complain "$room: not a room of CONTRIBUTING.md"; continue; }
    # FILE:LINE:NAME and FILE:LINE:<NAME
    includes=$(grep -Hno '^ *# *include *["<][^">]*' $files | sed 's/# *include *//; s/: *"/:/; s/: *</:</')
    for include in $includes; do
        where=${include%:*} name=${include##*:}
        case $name in
        '<'*)
            contains "$core" "$room" || continue
            contains "$freestanding" "${name#<}" ||
                complain "$where: $name> is not for the core, which is freestanding" ;;
        */*)
            contains "$allowed" "${name%/*}" ||
                contains "$allowed" "$(echo "$name" | sed 's,/.*,,')" ||
                complain "$where: $room may not include \"$name\"" ;;
        *) complain "$where: \"$name\": write includes from src/ or include/" ;;
        esac
    done
done

# Only the program's own files use each other by bare names, and nothing looks up into the program.
grep -rn '"tool/' src include && complain 'src: the program is above all rooms'
[ $wrong = 0 ] && echo 'all includes point down'
exit $wrong
