/* A small guest kernel to be debugged: a timer interrupt, a console prompt, functions in functions.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stddef.h>
#include <stdint.h>

enum { COM1 = 0x3f8, PIC1 = 0x20, PIC2 = 0xa0, PIT = 0x40, EXIT_PORT = 0xf4, PM1_CONTROL = 0x604 };
enum { VECTOR_BREAKPOINT = 3, VECTOR_TIMER = 0x20 };
enum { TICKS_PER_SECOND = 100, PIT_HZ = 1193182 };

char hello_banner[] = "hello: a small kernel, ready to be debugged";
volatile uint64_t ticks;
volatile uint64_t breakpoints;
uint64_t spins;

void timer_gate(void);
void breakpoint_gate(void);
void timer_interrupt(void);
void breakpoint_exception(void);
void kernel_main(void);
uint64_t square(uint64_t n);
uint64_t sum_of_squares(uint64_t n);
void run_command(const char *line);
void spin(uint64_t n);

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Console: a 16550, polled. */
static void serial_start(void)
{
    out8(COM1 + 1, 0);    /* no interrupts */
    out8(COM1 + 3, 0x80); /* the divisor: 115200 baud */
    out8(COM1 + 0, 1);
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3); /* 8 bits, no parity, one stop bit */
    out8(COM1 + 2, 7); /* FIFOs */
    out8(COM1 + 4, 3);
}

static void put_char(char c)
{
    while ((in8(COM1 + 5) & 0x20) == 0)
        ;
    out8(COM1, (uint8_t)c);
}

static void put_string(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            put_char('\r');
        put_char(*text);
    }
}

static void put_number(uint64_t n)
{
    char digits[21];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    put_string(at);
}

/* The next character typed; sleeps from tick to tick. */
static char get_char(void)
{
    while ((in8(COM1 + 5) & 1) == 0)
        __asm__ volatile("hlt");
    return (char)in8(COM1);
}

/* Interrupts (Intel SDM vol. 3, "64-Bit Mode IDT": a gate is 16 bytes in long mode). */
static struct gate {
    uint16_t offset_low, selector, flags, offset_middle;
    uint32_t offset_high, zero;
} idt[256];
_Static_assert(sizeof(struct gate) == 16, "the size of a gate");

static void set_gate(unsigned vector, void (*handler)(void))
{
    enum { PRESENT_INTERRUPT_GATE = 0x8e00, CODE = 8 };
    uint64_t at = (uint64_t)handler;
    idt[vector] = (struct gate){
        (uint16_t)at, CODE, PRESENT_INTERRUPT_GATE, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
}

static void interrupts_start(void)
{
    const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof idt - 1, (uint64_t)idt};

    set_gate(VECTOR_BREAKPOINT, breakpoint_gate);
    set_gate(VECTOR_TIMER, timer_gate);
    __asm__ volatile("lidt %0" : : "m"(pointer));

    /* The 8259 pair: vectors from 0x20 and 0x28, the timer alone let through. */
    out8(PIC1, 0x11), out8(PIC2, 0x11);
    out8(PIC1 + 1, VECTOR_TIMER), out8(PIC2 + 1, VECTOR_TIMER + 8);
    out8(PIC1 + 1, 4), out8(PIC2 + 1, 2);
    out8(PIC1 + 1, 1), out8(PIC2 + 1, 1);
    out8(PIC1 + 1, 0xfe), out8(PIC2 + 1, 0xff);

    /* The 8254: channel 0, mode 2. */
    out8(PIT + 3, 0x34);
    out8(PIT, (PIT_HZ / TICKS_PER_SECOND) & 0xff);
    out8(PIT, (PIT_HZ / TICKS_PER_SECOND) >> 8);
    __asm__ volatile("sti");
}

void timer_interrupt(void)
{
    ticks++;
    out8(PIC1, 0x20); /* end of interrupt */
}

void breakpoint_exception(void)
{
    breakpoints++;
}

__attribute__((noinline)) uint64_t square(uint64_t n)
{
    return n * n;
}

__attribute__((noinline)) uint64_t sum_of_squares(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= n; i++)
        sum += square(i);
    return sum;
}

/* Three instructions a turn, for benchmarks that have to know how many run. */
__attribute__((noinline)) void spin(uint64_t n)
{
    __asm__ volatile("1: add %0, spins\n"
                     "   dec %0\n"
                     "   jnz 1b"
                     : "+r"(n)
                     :
                     : "memory", "cc");
}

static void help(uint64_t n)
{
    (void)n;
    put_string("help, banner, sum N, spin N, ticks, int3, exit N, poweroff, reset\n");
}

static void banner(uint64_t n)
{
    (void)n;
    put_string(hello_banner);
    put_string("\n");
}

static void sum(uint64_t n)
{
    put_string("sum ");
    put_number(sum_of_squares(n));
    put_string("\n");
}

static void show_ticks(uint64_t n)
{
    (void)n;
    put_string("ticks ");
    put_number(ticks);
    put_string("\n");
}

static void int3(uint64_t n)
{
    (void)n;
    __asm__ volatile("int3");
    put_string("breakpoints ");
    put_number(breakpoints);
    put_string("\n");
}

static void exit(uint64_t n)
{
    out8(EXIT_PORT, (uint8_t)n);
}

static void power_off(uint64_t n)
{
    (void)n;
    /* ACPI's SLP_EN with the sleep type that means "off" in Ringside's DSDT, then in QEMU's. */
    out16(PM1_CONTROL, 0x2000 | 5 << 10);
    out16(PM1_CONTROL, 0x2000);
}

static void reset(uint64_t n)
{
    (void)n;
    out8(0x64, 0xfe); /* the keyboard controller's reset line */
}

/* An exception that cannot be delivered, nor what follows from it: a triple fault. */
static void crash(uint64_t n)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) nothing;

    (void)n;
    __asm__ volatile("lidt %0\n\tud2" : : "m"(nothing));
}

static const struct {
    const char *name;
    void (*run)(uint64_t n);
} commands[] = {
    {"spin", spin},        {"help", help},   {"banner", banner}, {"sum", sum},
    {"ticks", show_ticks}, {"int3", int3},   {"exit", exit},     {"poweroff", power_off},
    {"reset", reset},      {"crash", crash},
};

/* Does line begin with word?  Then the number that follows is put into *n. */
static int matches(const char *line, const char *word, uint64_t *n)
{
    while (*word != '\0' && *line == *word)
        line++, word++;
    if (*word != '\0' || (*line != '\0' && *line != ' '))
        return 0;
    while (*line == ' ')
        line++;
    for (*n = 0; *line >= '0' && *line <= '9'; line++)
        *n = *n * 10 + (uint64_t)(*line - '0');
    return 1;
}

void run_command(const char *line)
{
    uint64_t n;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (matches(line, commands[i].name, &n)) {
            commands[i].run(n);
            return;
        }
    }
    if (*line != '\0')
        put_string("no such command; try help\n");
}

void kernel_main(void)
{
    char line[80];
    serial_start();
    interrupts_start();
    banner(0);
    for (;;) {
        size_t n = 0;
        put_string("hello> ");
        for (char c; (c = get_char()) != '\r' && c != '\n';) {
            if (n < sizeof line - 1) {
                line[n++] = c;
                put_char(c);
            }
        }
        line[n] = '\0';
        put_string("\n");
        run_command(line);
    }
}
