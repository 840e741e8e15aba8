/* The disk's ring, as the lies about it need it. */
#ifndef DISK_H
#define DISK_H

#include "barriers.h"
#include "device.h"

#include <xen/grant_table.h>
#include <xen/io/blkif.h>

#define IN_FLIGHT_MAX 32

/* What a request comes to. */
enum outcome {
    /* It is answered as it should be. */
    HONEST,
    /* It is carried out, and its answer is put off. */
    HELD,
    /* The lie was told: nothing is answered any more. */
    LIED,
};

struct disk {
    blkif_back_ring_t ring;
    /* Requests that were taken and not answered. */
    blkif_request_t held[IN_FLIGHT_MAX];
    unsigned held_count;
    /* The last request that was answered. */
    blkif_request_t answered;
    /* What happens to the next request; NULL for the truth. */
    enum outcome (*lie)(struct device *device, struct disk *disk, const blkif_request_t *request);
    /* A lie was told: who has told one does not go on as if nothing were. */
    bool silent;
};

/* Writes a response into the next slot, and publishes it. */
void disk_answer(struct device *device, struct disk *disk, uint64_t id, uint8_t operation);

/* Arms the lie of that name; false when there is none. */
bool disk_lie(struct disk *disk, const char *name);

#endif
