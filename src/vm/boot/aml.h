/* A builder for ACPI machine language: just the terms that our DSDT consists of. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_BOOT_AML_H
#define VM_BOOT_AML_H

#include <stddef.h>
#include <stdint.h>

/* ACPI Specification 6.4, chapter 20.  Writes behind the end are counted, not done. */
struct aml {
    uint8_t *bytes;
    size_t size, capacity;
};

/* Terms with a body: what is written between open and close belongs to them. */
size_t aml_open_scope(struct aml *aml, const char *name);  /* "\\_SB_" */
size_t aml_open_device(struct aml *aml, const char *name); /* four characters */
size_t aml_open_package(struct aml *aml, uint8_t elements);
size_t aml_open_resources(struct aml *aml); /* a buffer of resource descriptors */
void aml_close(struct aml *aml, size_t opened);
void aml_close_resources(struct aml *aml, size_t opened);

void aml_name(struct aml *aml, const char *name); /* of the object that follows */
void aml_byte(struct aml *aml, uint8_t value);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0501" */
void aml_resource_io(struct aml *aml, uint16_t port, uint8_t length);
void aml_resource_irq(struct aml *aml, unsigned irq);

#endif
