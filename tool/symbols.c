/* "ringside symbols": writes a kernel's own symbols and unwind tables as an ELF file for gdb. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <getopt.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kallsyms.h"
#include "load.h"
#include "orc.h"
#include "tool.h"

enum { SECTIONS_MAX = 128, CONSTANT_MAX = 4096 };

/* A section of the kernel: the output has it without content, for its addresses. */
struct section {
    const char *name; /* NULL: unnamed */
    uint64_t address, size, flags;
};

struct contents {
    struct section section[SECTIONS_MAX];
    unsigned sections;
    struct kallsyms kallsyms;
    uint8_t *frames; /* .debug_frame */
    size_t frames_size;
    uint64_t entry;
};

static void add_section(struct contents *c, const char *name, uint64_t address, uint64_t size,
                        uint64_t flags)
{
    /* Per-CPU data is linked at 0 and never there: gdb would take null pointers for it. */
    if (address && size && address + size > address && c->sections < SECTIONS_MAX)
        c->section[c->sections++] = (struct section){name, address, size, flags};
}

/* A stripped vmlinux still has its section headers, unless something took those away too. */
static void find_sections(struct contents *c, const struct boot_elf *vmlinux, Elf *elf)
{
    size_t names;
    if (elf && elf_getshdrstrndx(elf, &names) == 0) {
        for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
            GElf_Shdr header; /* a copy: in the file it need not be aligned */
            if (gelf_getshdr(scn, &header) && header.sh_flags & SHF_ALLOC)
                add_section(c, elf_strptr(elf, names, header.sh_name), header.sh_addr,
                            header.sh_size, header.sh_flags);
        }
    }
    if (c->sections)
        return;
    for (unsigned i = 0; i < vmlinux->header_count; i++) {
        struct boot_segment s = boot_elf_segment(vmlinux, i);
        if (s.type == BOOT_PT_LOAD)
            add_section(c, s.flags & PF_X ? ".text" : ".data", s.vaddr, s.memory_size,
                        SHF_ALLOC | (s.flags & PF_X ? SHF_EXECINSTR : 0) |
                            (s.flags & PF_W ? SHF_WRITE : 0));
    }
}

static unsigned section_of(const struct contents *c, uint64_t address)
{
    for (unsigned i = 0; i < c->sections; i++)
        if (address - c->section[i].address < c->section[i].size)
            return i + 1; /* section 0 of an ELF file is none */
    return SHN_ABS;
}

static Elf64_Sym make_symbol(const struct contents *c, size_t index, size_t name)
{
    const struct kallsym *k = &c->kallsyms.symbols[index];
    char letter = (char)tolower((unsigned char)k->type);
    unsigned section = section_of(c, k->address);
    unsigned bind = letter == 'w' || letter == 'v'    ? STB_WEAK
                    : isupper((unsigned char)k->type) ? STB_GLOBAL
                                                      : STB_LOCAL;
    unsigned type = STT_NOTYPE;
    uint64_t size = 0;
    if (section != SHN_ABS && letter != 'a') {
        const struct section *s = &c->section[section - 1];
        type = letter == 't' || (letter == 'w' && s->flags & SHF_EXECINSTR) ? STT_FUNC : STT_OBJECT;
        /* To the next address that has a name. */
        uint64_t end = s->address + s->size;
        size_t next = index + 1;
        while (next < c->kallsyms.count && c->kallsyms.symbols[next].address == k->address)
            next++;
        if (next < c->kallsyms.count && c->kallsyms.symbols[next].address < end)
            end = c->kallsyms.symbols[next].address;
        size = end - k->address;
        /* Among constants lie the string literals, which have none: not all up to there is one's
         * own, and gdb would call them by it. */
        if (size > CONSTANT_MAX && s->name && !strcmp(s->name, ".rodata"))
            size = CONSTANT_MAX;
    }
    return (Elf64_Sym){
        .st_name = (Elf64_Word)name,
        .st_info = (unsigned char)ELF64_ST_INFO(bind, type),
        .st_shndx = (Elf64_Section)section,
        .st_value = k->address,
        .st_size = size,
    };
}

/* Bytes that become a section. */
struct blob {
    uint8_t *bytes;
    size_t size;
};

/* Local symbols come first, as ELF wants it; *globals is the index of the first other one. */
static bool make_symbols(const struct contents *c, struct blob *symbols, struct blob *strings,
                         unsigned *globals)
{
    size_t count = c->kallsyms.count, length = 1;
    for (size_t i = 0; i < count; i++)
        length += strlen(c->kallsyms.symbols[i].name) + 1;
    Elf64_Sym *out = calloc(count + 1, sizeof(*out));
    char *text = malloc(length);
    *symbols = (struct blob){(uint8_t *)out, (count + 1) * sizeof(*out)};
    *strings = (struct blob){(uint8_t *)text, length};
    if (!out || !text)
        return false;
    size_t n = 1, at = 1;
    text[0] = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            Elf64_Sym symbol = make_symbol(c, i, at);
            if ((ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) != (pass == 0))
                continue;
            at += (size_t)(stpcpy(text + at, c->kallsyms.symbols[i].name) - (text + at)) + 1;
            out[n++] = symbol;
        }
        if (pass == 0)
            *globals = (unsigned)n;
    }
    return true;
}

/* Section names, collected as sections are added; ours and the kernel's are all short. */
struct names {
    char text[SECTIONS_MAX * 64];
    size_t size;
};

static Elf64_Word add_name(struct names *names, const char *name)
{
    size_t n = name ? strnlen(name, 63) : 0, at = names->size;
    if (n + 1 > sizeof(names->text) - at)
        return 0;
    memcpy(names->text + at, name ? name : "", n);
    names->text[at + n] = 0;
    names->size += n + 1;
    return (Elf64_Word)at;
}

/* Libelf keeps pointers to what it is given until the file is written. */
static Elf64_Shdr *add(Elf *elf, Elf64_Word name, unsigned type, void *bytes, size_t size,
                       size_t align)
{
    Elf_Scn *scn = elf_newscn(elf);
    Elf_Data *data = scn ? elf_newdata(scn) : NULL;
    Elf64_Shdr *header = scn ? elf64_getshdr(scn) : NULL;
    if (!data || !header)
        return NULL;
    *data = (Elf_Data){
        .d_buf = bytes,
        .d_type = type == SHT_SYMTAB ? ELF_T_SYM : ELF_T_BYTE,
        .d_version = EV_CURRENT,
        .d_size = size,
        .d_align = align,
    };
    header->sh_name = name;
    header->sh_type = type;
    header->sh_addralign = align;
    return header;
}

static bool write_elf(const struct contents *c, int fd, const struct blob *symbols,
                      const struct blob *strings, unsigned globals)
{
    struct names names = {.text = "", .size = 1};
    bool done = false;
    Elf *elf = elf_begin(fd, ELF_C_WRITE, NULL);
    Elf64_Ehdr *header = elf ? elf64_newehdr(elf) : NULL;
    if (!header)
        goto end;
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_type = ET_EXEC;
    header->e_machine = EM_X86_64;
    header->e_version = EV_CURRENT;
    header->e_entry = c->entry;

    for (unsigned i = 0; i < c->sections; i++) {
        const struct section *s = &c->section[i];
        Elf64_Shdr *out = add(elf, add_name(&names, s->name), SHT_NOBITS, NULL, s->size, 1);
        if (!out)
            goto end;
        out->sh_addr = s->address;
        out->sh_flags = s->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);
    }
    if (c->frames_size &&
        !add(elf, add_name(&names, ".debug_frame"), SHT_PROGBITS, c->frames, c->frames_size, 8))
        goto end;
    Elf64_Shdr *symtab =
        add(elf, add_name(&names, ".symtab"), SHT_SYMTAB, symbols->bytes, symbols->size, 8);
    if (!symtab)
        goto end;
    unsigned index = c->sections + 1 + (c->frames_size != 0);
    symtab->sh_entsize = sizeof(Elf64_Sym);
    symtab->sh_link = index + 1;
    symtab->sh_info = globals;
    Elf64_Word shstrtab = add_name(&names, ".shstrtab");
    if (!add(elf, add_name(&names, ".strtab"), SHT_STRTAB, strings->bytes, strings->size, 1) ||
        !add(elf, shstrtab, SHT_STRTAB, names.text, names.size, 1))
        goto end;
    header->e_shstrndx = (Elf64_Half)(index + 2);
    done = elf_update(elf, ELF_C_WRITE) >= 0;
end:
    elf_end(elf);
    return done;
}

static int write_file(const struct contents *c, const char *path)
{
    struct blob symbols = {0}, strings = {0};
    unsigned globals = 0;
    int status = TOOL_FAILED;
    if (!make_symbols(c, &symbols, &strings, &globals)) {
        tool_say("no memory for %zu symbols", c->kallsyms.count);
        goto free_blobs;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        tool_say("%s: cannot be written: %s", path, strerror(errno));
        status = TOOL_BAD_INPUT;
        goto free_blobs;
    }
    errno = 0;
    bool written = write_elf(c, fd, &symbols, &strings, globals);
    if (close(fd) == 0 && written) {
        status = TOOL_OK;
    } else {
        tool_say("%s: cannot be written: %s", path, errno ? strerror(errno) : elf_errmsg(-1));
        unlink(path);
    }
free_blobs:
    free(symbols.bytes);
    free(strings.bytes);
    return status;
}

/* The kernel must not be the file that is written. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int convert(const char *kernel, const char *path)
{
    struct file file = {0};
    struct contents c = {0};
    struct boot_error error;
    struct boot_elf vmlinux;
    uint8_t *bytes = NULL;
    size_t size;
    int status = TOOL_BAD_INPUT;
    if (file_load(&file, kernel))
        return TOOL_BAD_INPUT;
    if (boot_extract_elf(file.bytes, file.size, &bytes, &size, &error) ||
        boot_elf_open(&vmlinux, bytes, size, &error) ||
        kallsyms_read(&c.kallsyms, &vmlinux, &error) ||
        orc_to_debug_frame(&vmlinux, &c.kallsyms, &c.frames, &c.frames_size, &error)) {
        tool_say("%s: %s", kernel, error.text);
        goto end;
    }
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)bytes, size);
    find_sections(&c, &vmlinux, elf);
    c.entry = vmlinux.entry;
    status = write_file(&c, path);
    elf_end(elf);
end:
    free(c.frames);
    kallsyms_free(&c.kallsyms);
    free(bytes);
    file_unload(&file);
    return status;
}

int symbols_command(int argc, char **argv)
{
    const char *path = NULL;
    bool usable = true;
    opterr = 0;
    for (int option; (option = getopt(argc, argv, "o:")) != -1;) {
        usable = usable && option == 'o';
        path = optarg;
    }
    if (!usable || optind + 1 != argc || !path) {
        tool_say("say which kernel and where to: ringside symbols KERNEL -o FILE");
        return TOOL_BAD_INPUT;
    }
    if (same_file(argv[optind], path)) {
        tool_say("%s is the kernel itself: name another file after -o", path);
        return TOOL_BAD_INPUT;
    }
    return convert(argv[optind], path);
}
