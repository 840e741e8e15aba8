/* Pages of the guest's: a table of what is mapped, with what they should hold. */
#include "pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "say.h"

#define PAGES_MAX 8192

struct page {
    uint32_t reference;
    unsigned connection;
    enum access access;
    uint8_t *bytes;
    /* What it held when it was stamped; NULL before. */
    uint8_t *expected;
};

static struct page held[PAGES_MAX];
static unsigned held_count;
static unsigned connection;
static unsigned foreign_count;
static unsigned again_count;

static struct page *find(uint32_t reference)
{
    for (unsigned i = 0; i < held_count; i++)
        if (held[i].reference == reference && held[i].connection == connection)
            return &held[i];
    return NULL;
}

/* While we hold a page its reference is not free, so nobody can be given it. */
static void is_new(uint32_t reference)
{
    for (unsigned i = 0; i < held_count; i++)
        if (held[i].reference == reference) {
            again_count++;
            say("again: reference %u is granted anew while its old page is mapped", reference);
        }
}

static struct page *map(struct device *device, uint32_t reference, enum access access)
{
    int protection = access == READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
    struct page *page = &held[held_count];

    if (held_count == PAGES_MAX)
        die("more than %u pages", PAGES_MAX);
    is_new(reference);
    page->bytes = xengnttab_map_grant_ref(device->grants, device->domid, reference, protection);
    if (!page->bytes)
        die("reference %u cannot be mapped", reference);
    page->reference = reference;
    page->connection = connection;
    page->access = access;
    page->expected = NULL;
    held_count++;
    return page;
}

uint8_t *pages_map(struct device *device, uint32_t reference, enum access access)
{
    struct page *page = find(reference);

    if (!page)
        page = map(device, reference, access);
    return page->bytes;
}

uint8_t *pages_map_data(struct device *device, uint32_t reference, enum access access,
                        unsigned offset, unsigned len)
{
    struct page *page = find(reference);
    unsigned foreign = 0;

    if (page)
        return page->bytes;
    page = map(device, reference, access);
    for (unsigned i = 0; i < PAGE_BYTES; i++)
        if (page->bytes[i] && (i < offset || i >= offset + len))
            foreign++;
    if (foreign) {
        foreign_count++;
        say("foreign: %u bytes outside of %u at %u in the page of reference %u", foreign, len,
            offset, reference);
    }
    return page->bytes;
}

void pages_new_connection(void)
{
    connection++;
}

/* No two pages and no two words have the same pattern. */
static void pattern(uint8_t *bytes, unsigned index)
{
    for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
        uint64_t word = 0xb10cc0debad0ca11ull ^ ((uint64_t)index << 32) ^ i;

        memcpy(bytes + 8 * i, &word, 8);
    }
}

void pages_stamp(void)
{
    for (unsigned i = 0; i < held_count; i++) {
        struct page *page = &held[i];

        if (!page->expected && !(page->expected = malloc(PAGE_BYTES)))
            die("no memory");
        if (page->access == READ_WRITE)
            pattern(page->bytes, i);
        memcpy(page->expected, page->bytes, PAGE_BYTES);
    }
    say("done: stamped=%u", held_count);
}

void pages_check(void)
{
    unsigned changed = 0, stamped = 0;

    for (unsigned i = 0; i < held_count; i++) {
        struct page *page = &held[i];

        if (!page->expected)
            continue;
        stamped++;
        if (memcmp(page->bytes, page->expected, PAGE_BYTES)) {
            changed++;
            say("changed: the page of reference %u, connection %u", page->reference,
                page->connection);
        }
    }
    say("done: held=%u stamped=%u changed=%u foreign=%u again=%u", held_count, stamped, changed,
        foreign_count, again_count);
}

void pages_release(struct device *device)
{
    device_let_go(device);
    for (unsigned i = 0; i < held_count; i++) {
        if (xengnttab_unmap(device->grants, held[i].bytes, 1))
            die("reference %u cannot be unmapped", held[i].reference);
        free(held[i].expected);
    }
    say("done: released=%u", held_count);
    held_count = 0;
}
