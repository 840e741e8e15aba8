/*
 * Lies of a disk: what it does with the next request instead of answering it.
 *
 * Each says what it did by a line that begins with "lied:".
 */
#include <string.h>

#include "disk.h"
#include "pages.h"
#include "say.h"
#include "threads.h"

/* Moves the producer, and writes no response. */
static void produce(struct device *device, struct disk *disk, uint32_t by)
{
    uint32_t to = disk->ring.rsp_prod_pvt + by;

    __atomic_store_n(&disk->ring.sring->rsp_prod, to, __ATOMIC_RELEASE);
    device_notify(device);
    say("lied: producer by %d", (int)by);
}

static enum outcome more_than_a_ring(struct device *device, struct disk *disk,
                                     const blkif_request_t *request)
{
    (void)request;
    produce(device, disk, RING_SIZE(&disk->ring) + 1);
    return LIED;
}

static enum outcome backwards(struct device *device, struct disk *disk,
                              const blkif_request_t *request)
{
    (void)request;
    produce(device, disk, -1);
    return LIED;
}

static enum outcome answer(struct device *device, struct disk *disk, uint64_t id,
                           uint8_t operation)
{
    disk_answer(device, disk, id, operation);
    device_notify(device);
    say("lied: id=%#llx operation=%u", (unsigned long long)id, operation);
    return LIED;
}

static enum outcome id_out_of_range(struct device *device, struct disk *disk,
                                    const blkif_request_t *request)
{
    return answer(device, disk, request->id + 1000, request->operation);
}

/* An id that was right once, for the same slot: the low halves are alike. */
static enum outcome stale_id(struct device *device, struct disk *disk,
                             const blkif_request_t *request)
{
    if ((uint32_t)disk->answered.id != (uint32_t)request->id)
        return HONEST;
    return answer(device, disk, disk->answered.id, request->operation);
}

static enum outcome wrong_operation(struct device *device, struct disk *disk,
                                    const blkif_request_t *request)
{
    uint8_t other = request->operation == BLKIF_OP_READ ? BLKIF_OP_WRITE : BLKIF_OP_READ;

    return answer(device, disk, request->id, other);
}

/* One request is answered twice and the other never: the count is right. */
static enum outcome twice(struct device *device, struct disk *disk,
                          const blkif_request_t *request)
{
    if (disk->held_count == 0)
        return HELD;
    disk_answer(device, disk, request->id, request->operation);
    return answer(device, disk, request->id, request->operation);
}

/* Random bytes over indices and slots alike. */
static enum outcome scribble(struct device *device, struct disk *disk,
                             const blkif_request_t *request)
{
    volatile uint64_t *words = (volatile uint64_t *)disk->ring.sring;
    uint64_t word = 0x9e3779b97f4a7c15ull;

    (void)request;
    for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        words[i] = word;
    }
    device_notify(device);
    say("lied: scribbled");
    return LIED;
}

/* The answer and the producer change again and again, while the guest looks. */
static enum outcome flips(struct device *device, struct disk *disk,
                          const blkif_request_t *request)
{
    uint32_t at = disk->ring.rsp_prod_pvt;
    blkif_response_t *response = RING_GET_RESPONSE(&disk->ring, at);
    struct flip what = {
        .slot = &response->id,
        .honest = request->id,
        .false_ = request->id ^ 0x55555555,
        .producer = &disk->ring.sring->rsp_prod,
        .honest_producer = at + 1,
        .false_producer = at + 0x80000000u,
        .device = device,
    };

    response->operation = request->operation;
    response->status = BLKIF_RSP_OKAY;
    say("begun: answer and producer flip");
    flip(&what);
    return LIED;
}

static enum outcome no_flush(struct device *device, struct disk *disk,
                             const blkif_request_t *request)
{
    (void)device;
    (void)disk;
    if (request->operation != BLKIF_OP_FLUSH_DISKCACHE)
        return HONEST;
    say("lied: a flush is not answered");
    return HELD;
}

static const struct {
    const char *name;
    enum outcome (*lie)(struct device *, struct disk *, const blkif_request_t *);
} lies[] = {
    { "more-than-a-ring", more_than_a_ring },
    { "backwards", backwards },
    { "id-out-of-range", id_out_of_range },
    { "stale-id", stale_id },
    { "wrong-operation", wrong_operation },
    { "twice", twice },
    { "scribble", scribble },
    { "flip", flips },
    { "no-flush", no_flush },
};

bool disk_lie(struct disk *disk, const char *name)
{
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++)
        if (!strcmp(lies[i].name, name)) {
            disk->lie = lies[i].lie;
            return true;
        }
    return false;
}
