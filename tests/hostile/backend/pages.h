/*
 * Pages of the guest's, mapped and never let go of.
 *
 * Each page is looked at when it is first mapped, for bytes that were not
 * meant for us; after a stamp it is watched for bytes that others write.
 */
#ifndef PAGES_H
#define PAGES_H

#include "device.h"

#define PAGE_BYTES 4096

enum access { READ_ONLY, READ_WRITE };

/* What is in a page when it is first granted. */
enum content {
    /* A ring: its frontend has written into it. */
    RING,
    /* Nothing but zeroes outside of the bytes meant for us. */
    DATA,
};

/* The page behind a reference, mapped now or earlier in this connection. */
uint8_t *pages_map(struct device *device, uint32_t reference, enum access access);

/*
 * The same for a page of data: what is outside of the LEN bytes at OFFSET is
 * zero when it is first seen, or somebody's whom it does not concern.
 */
uint8_t *pages_map_data(struct device *device, uint32_t reference, enum access access,
                        unsigned offset, unsigned len);

/* A new connection begins: no page of an earlier one may be granted again. */
void pages_new_connection(void);

/* Writes a pattern into every page held, and remembers what cannot be written. */
void pages_stamp(void);

/* Says how many pages are held, and what became of them. */
void pages_check(void);

/* Lets go of every page, and of the connection they belong to. */
void pages_release(struct device *device);

#endif
