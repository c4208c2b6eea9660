/* The MC146818 clock and its CMOS memory: starts at 2026-01-01 00:00:00, advances in virtual time.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

enum { INDEX = 0, CMOS_SIZE = 128 };
enum {
    SECONDS = 0,
    SECONDS_ALARM = 1,
    MINUTES = 2,
    MINUTES_ALARM = 3,
    HOURS = 4,
    HOURS_ALARM = 5,
    WEEKDAY = 6, /* 1: Sunday */
    DAY = 7,
    MONTH = 8,
    YEAR = 9,
    REG_A = 10,
    REG_B = 11,
    REG_C = 12,
    REG_D = 13,
    CENTURY = 0x32,
};
enum {
    A_UPDATE = 1 << 7,
    A_RATE = 0xf,
    A_DEFAULT = 0x26, /* 32768 Hz time base, rate 1024 Hz */
    B_SET = 1 << 7,
    B_24H = 1 << 1,
    B_BINARY = 1 << 2,
    FLAG_UPDATE = 1 << 4, /* in B: enable, in C: happened */
    FLAG_ALARM = 1 << 5,
    FLAG_PERIODIC = 1 << 6,
    FLAGS = FLAG_UPDATE | FLAG_ALARM | FLAG_PERIODIC,
    C_IRQ = 1 << 7,
    D_VALID = 1 << 7,
    ALARM_ANY = 0xc0, /* both bits set: matches every value */
};
enum { SECOND_NS = 1000000000, UPDATE_NS = 244000, DAY_SECONDS = 86400 };
#define START_OF_TIME 1767225600ll /* 2026-01-01 in seconds since 1970-01-01 */

struct rtc {
    uint8_t index;
    uint8_t cmos[CMOS_SIZE];
    int64_t offset;   /* time of day = now + offset, in seconds since 1970 */
    int64_t seconds;  /* up to which updates and alarms have been noted, since 1970 */
    uint64_t periods; /* likewise, of the periodic interrupt since power-on */
};

/* --- The calendar ---------------------------------------------------------------------------- */

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

/* Years begin on 1 March, so that the leap day is the last; an era is 400 years or 146097 days. */
static int64_t days_of(struct date date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    unsigned month = (date.month + 9) % 12; /* March is 0 */
    int64_t of_year = (153 * month + 2) / 5 + date.day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct date date_of(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (unsigned)(5 * of_year + 2) / 153;
    struct date date = {
        .year = year + era * 400,
        .month = month < 10 ? month + 3 : month - 9,
        .day = (unsigned)of_year - (153 * month + 2) / 5 + 1,
    };

    date.year += date.month <= 2;
    return date;
}

/* --- Time as the registers show it ----------------------------------------------------------- */

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc *rtc, uint8_t value)
{
    return rtc->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
    if (rtc->cmos[REG_B] & B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_24H)
        return decode(rtc, value);
    return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

static int64_t clock_at(const struct rtc *rtc, uint64_t now)
{
    return (int64_t)(now / SECOND_NS) + rtc->offset;
}

static void show(struct rtc *rtc, int64_t time)
{
    int64_t days = time / DAY_SECONDS;
    unsigned second = (unsigned)(time % DAY_SECONDS);
    struct date date = date_of(days);

    rtc->cmos[SECONDS] = encode(rtc, second % 60);
    rtc->cmos[MINUTES] = encode(rtc, second / 60 % 60);
    rtc->cmos[HOURS] = encode_hour(rtc, second / 3600);
    rtc->cmos[WEEKDAY] = encode(rtc, (unsigned)((days + 4) % 7) + 1); /* 1970 began on a Thursday */
    rtc->cmos[DAY] = encode(rtc, date.day);
    rtc->cmos[MONTH] = encode(rtc, date.month);
    rtc->cmos[YEAR] = encode(rtc, (unsigned)(date.year % 100));
    rtc->cmos[CENTURY] = encode(rtc, (unsigned)(date.year / 100));
}

/* What the registers say; nonsense in them gives some time after 1970, not an overflow. */
static int64_t shown(const struct rtc *rtc)
{
    const uint8_t *cmos = rtc->cmos;
    struct date date = {
        .year = decode(rtc, cmos[CENTURY]) * 100 + decode(rtc, cmos[YEAR]),
        .month = decode(rtc, cmos[MONTH]),
        .day = decode(rtc, cmos[DAY]),
    };
    date.month = date.month < 1 ? 1 : date.month > 12 ? 12 : date.month;
    date.year = date.year < 1971 ? 1971 : date.year;
    int64_t minutes = decode_hour(rtc, cmos[HOURS]) * 60 + decode(rtc, cmos[MINUTES]);

    return days_of(date) * DAY_SECONDS + minutes * 60 + decode(rtc, cmos[SECONDS]);
}

/* --- Interrupts ------------------------------------------------------------------------------ */

static bool alarm_field(const struct rtc *rtc, unsigned alarm, unsigned field)
{
    uint8_t wanted = rtc->cmos[alarm];

    return (wanted & ALARM_ANY) == ALARM_ANY || wanted == rtc->cmos[field];
}

static bool alarm_matches(struct rtc *rtc, int64_t time)
{
    show(rtc, time);
    return alarm_field(rtc, SECONDS_ALARM, SECONDS) && alarm_field(rtc, MINUTES_ALARM, MINUTES) &&
           alarm_field(rtc, HOURS_ALARM, HOURS);
}

/* Periods of the interrupt in nanoseconds, 0 when it is off (MC146818 data sheet, table 5). */
static uint64_t period_ns(const struct rtc *rtc)
{
    unsigned rate = rtc->cmos[REG_A] & A_RATE;

    if (!rate)
        return 0;
    return vm_scale_up(1ull << ((rate <= 2 ? rate + 7 : rate) - 1), SECOND_NS, 32768);
}

static void update(struct vm *vm, struct rtc *rtc)
{
    uint8_t flags = rtc->cmos[REG_C] & FLAGS;

    rtc->cmos[REG_C] = flags | (flags & rtc->cmos[REG_B] ? C_IRQ : 0);
    vm_set_line(vm, VM_GSI_RTC, rtc->cmos[REG_C] & C_IRQ);
}

/* Note in register C what has happened until now, whether or not somebody wants an interrupt. */
static void catch_up(struct rtc *rtc, uint64_t now)
{
    uint64_t period = period_ns(rtc), periods = period ? now / period : 0;

    if (periods > rtc->periods)
        rtc->cmos[REG_C] |= FLAG_PERIODIC;
    rtc->periods = periods;
    if (rtc->cmos[REG_B] & B_SET)
        return;
    int64_t time = clock_at(rtc, now);
    if (time > rtc->seconds)
        rtc->cmos[REG_C] |= FLAG_UPDATE;
    /* An alarm comes round at least once a day. */
    int64_t first = time - rtc->seconds > DAY_SECONDS ? time - DAY_SECONDS : rtc->seconds;
    for (int64_t t = first + 1; t <= time && !(rtc->cmos[REG_C] & FLAG_ALARM); t++)
        if (alarm_matches(rtc, t))
            rtc->cmos[REG_C] |= FLAG_ALARM;
    rtc->seconds = time;
    show(rtc, time);
}

static uint64_t rtc_deadline(struct vm *vm, void *state)
{
    const struct rtc *rtc = state;
    uint8_t wanted = rtc->cmos[REG_B] & (uint8_t)~rtc->cmos[REG_C] & FLAGS;
    uint64_t first = VM_NEVER, period = period_ns(rtc);

    (void)vm;
    if (wanted & FLAG_PERIODIC && period)
        first = (rtc->periods + 1) * period;
    if (wanted & (FLAG_UPDATE | FLAG_ALARM) && !(rtc->cmos[REG_B] & B_SET)) {
        uint64_t second = (uint64_t)(rtc->seconds + 1 - rtc->offset) * SECOND_NS;
        first = second < first ? second : first;
    }
    return first;
}

static void rtc_tick(struct vm *vm, void *state, uint64_t now)
{
    catch_up(state, now);
    update(vm, state);
    vm_deadline_changed(vm);
}

/* --- The two ports --------------------------------------------------------------------------- */

static uint8_t read_register(struct vm *vm, struct rtc *rtc, uint64_t now)
{
    uint8_t value = rtc->cmos[rtc->index];

    switch (rtc->index) {
    case REG_A:
        if (!(rtc->cmos[REG_B] & B_SET) && now % SECOND_NS >= SECOND_NS - UPDATE_NS)
            value |= A_UPDATE;
        break;
    case REG_C: /* reading it acknowledges */
        rtc->cmos[REG_C] = 0;
        update(vm, rtc);
        vm_deadline_changed(vm);
        break;
    case REG_D: value = D_VALID; break;
    }
    return value;
}

static bool is_time(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS ||
           (index >= WEEKDAY && index <= YEAR) || index == CENTURY;
}

static void write_register(struct vm *vm, struct rtc *rtc, uint8_t value, uint64_t now)
{
    bool was_set = rtc->cmos[REG_B] & B_SET;

    switch (rtc->index) {
    case REG_A: rtc->cmos[REG_A] = value & (uint8_t)~A_UPDATE; break;
    case REG_C:
    case REG_D: return;
    default: rtc->cmos[rtc->index] = value; break;
    }
    /* While B.SET is on, the clock stands and the registers are just memory. */
    bool is_set = rtc->cmos[REG_B] & B_SET;
    if ((is_time(rtc->index) && !is_set) || (was_set && !is_set)) {
        rtc->seconds = shown(rtc);
        rtc->offset = rtc->seconds - (int64_t)(now / SECOND_NS);
    }
    if (rtc->index == REG_A)
        rtc->periods = period_ns(rtc) ? now / period_ns(rtc) : 0;
    update(vm, rtc);
    vm_deadline_changed(vm);
}

static uint64_t rtc_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                         unsigned size)
{
    struct rtc *rtc = state;
    uint64_t now = vm_now(vm);

    (void)region, (void)size;
    if (offset == INDEX)
        return UINT64_MAX; /* write-only */
    catch_up(rtc, now);
    return read_register(vm, rtc, now);
}

static void rtc_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                      uint64_t value)
{
    struct rtc *rtc = state;
    uint64_t now = vm_now(vm);

    (void)region, (void)size;
    if (offset == INDEX) {
        rtc->index = value % CMOS_SIZE; /* bit 7 masks NMIs, which nothing raises */
        return;
    }
    catch_up(rtc, now);
    write_register(vm, rtc, (uint8_t)value, now);
}

static void rtc_reset(struct vm *vm, void *state)
{
    struct rtc *rtc = state;
    uint64_t now = vm_now(vm);

    rtc->offset = START_OF_TIME;
    rtc->cmos[REG_A] = A_DEFAULT;
    rtc->cmos[REG_B] = B_24H;
    rtc->seconds = clock_at(rtc, now);
    rtc->periods = now / period_ns(rtc);
    show(rtc, rtc->seconds);
}

const struct vm_device_ops vm_rtc_ops = {
    .name = "rtc",
    .state_size = sizeof(struct rtc),
    .read = rtc_read,
    .write = rtc_write,
    .deadline = rtc_deadline,
    .tick = rtc_tick,
    .reset = rtc_reset,
};
