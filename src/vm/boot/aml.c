/* Encodes ACPI machine language term by term. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/boot/aml.h"

/* ACPI Specification 6.4, 20.3 (opcodes) and 6.4.2 (small resource items). */
enum {
    NAME_OP = 0x08,
    BYTE_PREFIX = 0x0a,
    DWORD_PREFIX = 0x0c,
    SCOPE_OP = 0x10,
    BUFFER_OP = 0x11,
    PACKAGE_OP = 0x12,
    EXT_PREFIX = 0x5b,
    DEVICE_OP = 0x82,
    RESOURCE_IRQ = 0x22, /* two bytes of mask follow: edge, active high */
    RESOURCE_IO = 0x47,  /* seven bytes follow */
    RESOURCE_IO_DECODE16 = 1,
    RESOURCE_END = 0x79,
    LENGTH_SIZE = 2, /* of every package length here: 12 bits */
};

static void emit(struct aml *aml, unsigned value)
{
    if (aml->size < aml->capacity)
        aml->bytes[aml->size] = (uint8_t)value;
    aml->size++;
}

static void emit16(struct aml *aml, unsigned value)
{
    emit(aml, value & 0xff);
    emit(aml, value >> 8);
}

static void emit_name(struct aml *aml, const char *name)
{
    while (*name)
        emit(aml, (unsigned char)*name++);
}

/* Leaves room for the package length, which is known at close. */
static size_t open_length(struct aml *aml)
{
    size_t opened = aml->size;
    emit16(aml, 0);
    return opened;
}

static void patch(struct aml *aml, size_t at, unsigned value)
{
    if (at < aml->capacity)
        aml->bytes[at] = (uint8_t)value;
}

size_t aml_open_scope(struct aml *aml, const char *name)
{
    emit(aml, SCOPE_OP);
    size_t opened = open_length(aml);
    emit_name(aml, name);
    return opened;
}

size_t aml_open_device(struct aml *aml, const char *name)
{
    emit(aml, EXT_PREFIX);
    emit(aml, DEVICE_OP);
    size_t opened = open_length(aml);
    emit_name(aml, name);
    return opened;
}

size_t aml_open_package(struct aml *aml, uint8_t elements)
{
    emit(aml, PACKAGE_OP);
    size_t opened = open_length(aml);
    emit(aml, elements);
    return opened;
}

size_t aml_open_resources(struct aml *aml)
{
    emit(aml, BUFFER_OP);
    size_t opened = open_length(aml);
    aml_byte(aml, 0); /* the buffer's size, known at close */
    return opened;
}

/* Two bytes: 1 in bits 7:6 says that one more follows, bits 3:0 are the low four (20.2.4). */
void aml_close(struct aml *aml, size_t opened)
{
    size_t length = aml->size - opened;
    patch(aml, opened, 1 << 6 | (length & 0xf));
    patch(aml, opened + 1, (unsigned)(length >> 4));
}

void aml_close_resources(struct aml *aml, size_t opened)
{
    emit16(aml, RESOURCE_END); /* and a checksum of 0: none */
    size_t begin = opened + LENGTH_SIZE + 2;
    patch(aml, begin - 1, (unsigned)(aml->size - begin));
    aml_close(aml, opened);
}

void aml_name(struct aml *aml, const char *name)
{
    emit(aml, NAME_OP);
    emit_name(aml, name);
}

void aml_byte(struct aml *aml, uint8_t value)
{
    emit(aml, BYTE_PREFIX);
    emit(aml, value);
}

static unsigned hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, the high byte first (19.6.37). */
void aml_eisa_id(struct aml *aml, const char *id)
{
    unsigned letters = (id[0] & 0x1fu) << 10 | (id[1] & 0x1fu) << 5 | (id[2] & 0x1fu);
    emit(aml, DWORD_PREFIX);
    emit(aml, letters >> 8);
    emit(aml, letters & 0xff);
    emit(aml, hex(id[3]) << 4 | hex(id[4]));
    emit(aml, hex(id[5]) << 4 | hex(id[6]));
}

void aml_resource_io(struct aml *aml, uint16_t port, uint8_t length)
{
    emit(aml, RESOURCE_IO);
    emit(aml, RESOURCE_IO_DECODE16);
    emit16(aml, port); /* lowest and highest base: fixed */
    emit16(aml, port);
    emit(aml, 1); /* alignment */
    emit(aml, length);
}

void aml_resource_irq(struct aml *aml, unsigned irq)
{
    emit(aml, RESOURCE_IRQ);
    emit16(aml, 1u << irq);
}
