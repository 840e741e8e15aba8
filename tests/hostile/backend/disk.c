/*
 * A disk of some MiB in our own memory.
 *
 * Source: xen/include/public/io/blkif.h, Xen 4.17.
 */
#include "disk.h"

#include <string.h>

#include "pages.h"
#include "say.h"
#include "threads.h"

#define SECTOR_BYTES 512
#define DISK_BYTES (32u << 20)

static uint8_t content[DISK_BYTES];
static struct disk disk;

static void introduce(struct device *device)
{
    device_write_front(device, "virtual-device", "%u", device->kind->number);
    device_write_front(device, "device-type", "disk");
}

static void announce(struct device *device)
{
    device_write(device, "mode", "w");
    device_write(device, "feature-flush-cache", "1");
}

static bool attach(struct device *device)
{
    blkif_sring_t *shared;

    shared = (blkif_sring_t *)pages_map(device, device_read_front(device, "ring-ref"), READ_WRITE);
    memset(&disk, 0, sizeof disk);
    BACK_RING_INIT(&disk.ring, shared, PAGE_BYTES);
    device_write(device, "sectors", "%u", DISK_BYTES / SECTOR_BYTES);
    device_write(device, "sector-size", "%u", SECTOR_BYTES);
    device_write(device, "info", "0");
    return true;
}

/* One segment, between the guest's page and the disk; its length. */
static unsigned transfer(struct device *device, const blkif_request_t *request,
                         const struct blkif_request_segment *segment, uint64_t at)
{
    unsigned offset = segment->first_sect * SECTOR_BYTES;
    unsigned len = (segment->last_sect + 1) * SECTOR_BYTES - offset;
    bool write = request->operation == BLKIF_OP_WRITE;
    uint8_t *page;

    if (segment->last_sect > 7 || segment->first_sect > segment->last_sect ||
        at + len > DISK_BYTES)
        die("the guest asks for sectors %u to %u of a page, at %llu", segment->first_sect,
            segment->last_sect, (unsigned long long)at);
    page = pages_map_data(device, segment->gref, READ_WRITE, offset, write ? len : 0);
    if (write)
        memcpy(content + at, page + offset, len);
    else
        memcpy(page + offset, content + at, len);
    return len;
}

static void carry_out(struct device *device, const blkif_request_t *request)
{
    uint64_t at = request->sector_number * SECTOR_BYTES;

    if (request->operation != BLKIF_OP_READ && request->operation != BLKIF_OP_WRITE)
        return;
    if (request->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
        die("the guest makes a request of %u segments", request->nr_segments);
    for (unsigned i = 0; i < request->nr_segments; i++)
        at += transfer(device, request, &request->seg[i], at);
}

void disk_answer(struct device *device, struct disk *disk, uint64_t id, uint8_t operation)
{
    blkif_response_t *response = RING_GET_RESPONSE(&disk->ring, disk->ring.rsp_prod_pvt++);
    int notify;

    memset(response, 0, sizeof *response);
    response->id = id;
    response->operation = operation;
    response->status = BLKIF_RSP_OKAY;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&disk->ring, notify);
    if (notify)
        device_notify(device);
}

static void take(struct device *device, const blkif_request_t *request)
{
    enum outcome outcome;

    carry_out(device, request);
    outcome = disk.lie ? disk.lie(device, &disk, request) : HONEST;
    if (outcome == LIED) {
        disk.silent = true;
        return;
    }
    if (outcome == HELD) {
        if (disk.held_count < IN_FLIGHT_MAX)
            disk.held[disk.held_count++] = *request;
        return;
    }
    disk_answer(device, &disk, request->id, request->operation);
    disk.answered = *request;
}

static void serve(struct device *device)
{
    int more = 1;

    while (more && !disk.silent) {
        while (!disk.silent && RING_HAS_UNCONSUMED_REQUESTS(&disk.ring)) {
            blkif_request_t request;

            RING_COPY_REQUEST(&disk.ring, disk.ring.req_cons, &request);
            disk.ring.req_cons++;
            take(device, &request);
        }
        RING_FINAL_CHECK_FOR_REQUESTS(&disk.ring, more);
    }
}

static bool lie(struct device *device, const char *name)
{
    if (strcmp(name, "storm"))
        return disk_lie(&disk, name);
    storm(device, 6);
    return true;
}

static bool ask(struct device *device, const char *words)
{
    (void)device;
    (void)words;
    return false;
}

const struct kind disk_kind = {
    .name = "vbd",
    .number = 51712,
    .ready = XenbusStateInitialised,
    .introduce = introduce,
    .announce = announce,
    .attach = attach,
    .serve = serve,
    .lie = lie,
    .ask = ask,
};
