/* The ACPI tables: what the machine has, and how it is reset and powered off. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <assert.h>
#include <string.h>

#include "vm/boot/aml.h"
#include "vm/boot/internal.h"

/* ACPI Specification 6.4, chapter 5; the offsets are those of its tables. */
enum {
    RSDP_SIZE = 36,
    HEADER_SIZE = 36,
    XSDT_TABLES = 2,
    FADT_SIZE = 268, /* ACPI 5.0: revision 5 */
    FADT_REVISION = 5,
    FACS_SIZE = 64,
    MADT_REVISION = 3,
    MADT_MAX = HEADER_SIZE + 8 + VM_CPUS_MAX * 8 + 12 + 2 * 10 + 6,
    DSDT_MAX = 512,
};
enum { /* FADT, 5.2.9 */
       FADT_FACS = 36,
       FADT_DSDT = 40,
       FADT_SCI = 46,
       FADT_PM1A_EVENT = 56,
       FADT_PM1A_CONTROL = 64,
       FADT_TIMER = 76,
       FADT_PM1_EVENT_LENGTH = 88,
       FADT_PM1_CONTROL_LENGTH = 89,
       FADT_TIMER_LENGTH = 91,
       FADT_C2_LATENCY = 96,
       FADT_C3_LATENCY = 98,
       FADT_CENTURY = 108,
       FADT_BOOT_FLAGS = 109,
       FADT_FLAGS = 112,
       FADT_RESET = 116,
       FADT_RESET_VALUE = 128,
       FADT_X_DSDT = 140,
       FADT_X_PM1A_EVENT = 148,
       FADT_X_PM1A_CONTROL = 172,
       FADT_X_TIMER = 208,
};
enum {
    NO_C2 = 101, /* latencies from which on a state is not there */
    NO_C3 = 1001,
    CMOS_CENTURY = 0x32,
    BOOT_NO_VGA = 1 << 2, /* of IAPC_BOOT_ARCH; the bit for an 8042 stays clear */
    FLAG_WBINVD = 1 << 0,
    FLAG_C1 = 1 << 2,
    FLAG_NO_POWER_BUTTON = 1 << 4,
    FLAG_NO_SLEEP_BUTTON = 1 << 5,
    FLAG_NO_RTC_WAKE = 1 << 6,
    FLAG_RESET = 1 << 10,
    RESET_FULL = 0x06, /* in port 0xcf9: a hard reset, now */
};
enum { /* MADT, 5.2.12 */
       PCAT_COMPAT = 1 << 0,
       MADT_LAPIC = 0,
       MADT_IOAPIC = 1,
       MADT_OVERRIDE = 2,
       MADT_LAPIC_NMI = 4,
       CPU_ENABLED = 1 << 0,
       ACTIVE_HIGH_LEVEL = 0xd,
       ALL_CPUS = 0xff,
};
_Static_assert(VM_CPUS_MAX < 255, "local APIC entries hold 8-bit ids");

static uint8_t sum(const uint8_t *bytes, size_t n)
{
    unsigned total = 0;
    while (n--)
        total += *bytes++;
    return (uint8_t)total;
}

static void put_header(uint8_t *table, const char *signature, uint8_t revision)
{
    memcpy(table, signature, 4);
    table[8] = revision;
    memcpy(table + 10, "RNGSDERINGSIDE", 14); /* OEM id and table id */
    put32(table + 24, 1);
    memcpy(table + 28, "RNGS", 4);
    put32(table + 32, 1);
}

static void finish(uint8_t *table, size_t size)
{
    put32(table + 4, (uint32_t)size);
    table[9] = 0;
    table[9] = (uint8_t)-sum(table, size);
}

/* A generic address in port space (5.2.3.2). */
static void put_port(uint8_t *address, uint8_t bytes, uint16_t port)
{
    address[0] = 1; /* port space */
    address[1] = (uint8_t)(bytes * 8);
    address[3] = bytes < 4 ? bytes : 3; /* access size: 1, 2 and 3 for byte, word and dword */
    put64(address + 4, port);
}

static void build_fadt(uint8_t *fadt, uint32_t facs, uint32_t dsdt)
{
    put_header(fadt, "FACP", FADT_REVISION);
    put32(fadt + FADT_FACS, facs);
    put32(fadt + FADT_DSDT, dsdt);
    put16(fadt + FADT_SCI, VM_ACPI_SCI);
    put32(fadt + FADT_PM1A_EVENT, VM_ACPI_EVENT);
    put32(fadt + FADT_PM1A_CONTROL, VM_ACPI_CONTROL);
    put32(fadt + FADT_TIMER, VM_ACPI_TIMER);
    fadt[FADT_PM1_EVENT_LENGTH] = 4;
    fadt[FADT_PM1_CONTROL_LENGTH] = 2;
    fadt[FADT_TIMER_LENGTH] = 4;
    put16(fadt + FADT_C2_LATENCY, NO_C2);
    put16(fadt + FADT_C3_LATENCY, NO_C3);
    fadt[FADT_CENTURY] = CMOS_CENTURY;
    put16(fadt + FADT_BOOT_FLAGS, BOOT_NO_VGA);
    put32(fadt + FADT_FLAGS, FLAG_WBINVD | FLAG_C1 | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON |
                                 FLAG_NO_RTC_WAKE | FLAG_RESET);
    put_port(fadt + FADT_RESET, 1, VM_RESET_PORT);
    fadt[FADT_RESET_VALUE] = RESET_FULL;
    put64(fadt + FADT_X_DSDT, dsdt);
    put_port(fadt + FADT_X_PM1A_EVENT, 4, VM_ACPI_EVENT);
    put_port(fadt + FADT_X_PM1A_CONTROL, 2, VM_ACPI_CONTROL);
    put_port(fadt + FADT_X_TIMER, 4, VM_ACPI_TIMER);
    finish(fadt, FADT_SIZE);
}

static uint8_t *put_override(uint8_t *at, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    at[0] = MADT_OVERRIDE;
    at[1] = 10;
    at[3] = irq;
    put32(at + 4, gsi);
    put16(at + 8, flags);
    return at + 10;
}

static void build_madt(uint8_t *madt, unsigned cpus)
{
    put_header(madt, "APIC", MADT_REVISION);
    put32(madt + HEADER_SIZE, (uint32_t)VM_LAPIC_BASE);
    put32(madt + HEADER_SIZE + 4, PCAT_COMPAT);
    uint8_t *at = madt + HEADER_SIZE + 8;
    for (unsigned cpu = 0; cpu < cpus; cpu++, at += 8) {
        at[0] = MADT_LAPIC;
        at[1] = 8;
        at[2] = at[3] = (uint8_t)cpu; /* processor and APIC id */
        put32(at + 4, CPU_ENABLED);
    }
    at[0] = MADT_IOAPIC;
    at[1] = 12;
    at[2] = (uint8_t)cpus;
    put32(at + 4, (uint32_t)VM_IOAPIC_BASE);
    at += 12;
    at = put_override(at, 0, 2, 0); /* the PIT */
    at = put_override(at, VM_ACPI_SCI, VM_ACPI_SCI, ACTIVE_HIGH_LEVEL);
    at[0] = MADT_LAPIC_NMI;
    at[1] = 6;
    at[2] = ALL_CPUS;
    at[5] = 1; /* LINT1 */
    at += 6;
    finish(madt, (size_t)(at - madt));
}

static void add_device(struct aml *aml, const char *name, const char *id, uint16_t port,
                       uint8_t ports, unsigned irq)
{
    size_t device = aml_open_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, id);
    aml_name(aml, "_CRS");
    size_t resources = aml_open_resources(aml);
    aml_resource_io(aml, port, ports);
    aml_resource_irq(aml, irq);
    aml_close_resources(aml, resources);
    aml_close(aml, device);
}

/*
 * Name (\_S5, Package () {VM_ACPI_S5, VM_ACPI_S5, 0, 0})
 * Scope (\_SB) { Device (COM1) { _HID PNP0501, _CRS } Device (RTC) { _HID PNP0B00, _CRS } }
 */
static void build_dsdt(uint8_t *dsdt)
{
    put_header(dsdt, "DSDT", 2);
    struct aml aml = {.bytes = dsdt, .size = HEADER_SIZE, .capacity = DSDT_MAX};
    aml_name(&aml, "_S5_");
    size_t package = aml_open_package(&aml, 4);
    aml_byte(&aml, VM_ACPI_S5);
    aml_byte(&aml, VM_ACPI_S5);
    aml_byte(&aml, 0);
    aml_byte(&aml, 0);
    aml_close(&aml, package);
    size_t scope = aml_open_scope(&aml, "\\_SB_");
    add_device(&aml, "COM1", "PNP0501", 0x3f8, 8, 4);
    add_device(&aml, "RTC_", "PNP0B00", 0x70, 2, 8);
    aml_close(&aml, scope);
    assert(aml.size <= aml.capacity);
    finish(dsdt, aml.size);
}

/* Version 2: the first 20 bytes have a checksum of their own (5.2.5.3). */
static void build_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "RNGSDE", 6);
    rsdp[15] = 2;
    put32(rsdp + 20, RSDP_SIZE);
    put64(rsdp + 24, xsdt);
    rsdp[8] = (uint8_t)-sum(rsdp, 20);
    rsdp[32] = (uint8_t)-sum(rsdp, RSDP_SIZE);
}

int boot_acpi_build(struct boot *boot)
{
    /* From BOOT_TABLES on, the FACS on its boundary of 64 and the others on 16. */
    enum {
        RSDP = 0,
        FACS = 64,
        XSDT = FACS + FACS_SIZE,
        FADT = XSDT + ((HEADER_SIZE + XSDT_TABLES * 8 + 15) & ~15),
        DSDT = FADT + ((FADT_SIZE + 15) & ~15),
        MADT = DSDT + DSDT_MAX,
        END = MADT + MADT_MAX,
    };
    uint8_t *tables = boot_claim(boot, "the ACPI tables", BOOT_TABLES, END);
    if (!tables)
        return -1;
    memset(tables, 0, END);
    memcpy(tables + FACS, "FACS", 4);
    put32(tables + FACS + 4, FACS_SIZE);
    tables[FACS + 32] = 2; /* version */
    build_fadt(tables + FADT, BOOT_TABLES + FACS, BOOT_TABLES + DSDT);
    build_dsdt(tables + DSDT);
    build_madt(tables + MADT, vm_cpus(boot->vm));
    put_header(tables + XSDT, "XSDT", 1);
    put64(tables + XSDT + HEADER_SIZE, BOOT_TABLES + FADT);
    put64(tables + XSDT + HEADER_SIZE + 8, BOOT_TABLES + MADT);
    finish(tables + XSDT, HEADER_SIZE + XSDT_TABLES * 8);
    build_rsdp(tables + RSDP, BOOT_TABLES + XSDT);
    boot->rsdp = BOOT_TABLES + RSDP;
    return 0;
}
