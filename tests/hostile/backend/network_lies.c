/*
 * Lies of a network interface: told at once, since pages for frames are posted.
 *
 * Each says what it did by a line that begins with "lied:".
 */
#include <string.h>

#include "network.h"
#include "pages.h"
#include "say.h"
#include "threads.h"

/* Answers the next posted page with what is no frame. */
static bool deliver(struct device *device, struct network *network,
                    netif_rx_response_t response, unsigned id_off_by)
{
    netif_rx_request_t request;

    if (!network_posted(network, &request))
        return false;
    response.id = request.id + id_off_by;
    network_deliver(device, network, &response);
    say("lied: id=%u offset=%u flags=%u status=%d", response.id, response.offset, response.flags,
        response.status);
    return true;
}

static bool over_the_page(struct device *device, struct network *network)
{
    return deliver(device, network, (netif_rx_response_t){ .offset = 4000, .status = 1500 }, 0);
}

static bool id_out_of_range(struct device *device, struct network *network)
{
    return deliver(device, network, (netif_rx_response_t){ .status = 60 }, 0x4000);
}

static bool more_data(struct device *device, struct network *network)
{
    netif_rx_response_t response = { .flags = NETRXF_more_data, .status = 60 };

    return deliver(device, network, response, 0);
}

static void produce(struct device *device, volatile uint32_t *producer, uint32_t by)
{
    *producer += by;
    device_notify(device);
    say("lied: producer by %d", (int)by);
}

static bool rx_more_than_a_ring(struct device *device, struct network *network)
{
    produce(device, &network->rx.sring->rsp_prod, RING_SIZE(&network->rx) + 1);
    return true;
}

static bool tx_backwards(struct device *device, struct network *network)
{
    /* Two: the guest need not have looked at the last one. */
    produce(device, &network->tx.sring->rsp_prod, -2);
    return true;
}

/* The whole response is one word: a good frame and a bad one, in turn, again and again. */
static bool flips(struct device *device, struct network *network)
{
    netif_rx_response_t honest = { .status = 60 }, lie = { .offset = 4000, .status = 1500 };
    uint32_t at = network->rx.rsp_prod_pvt;
    netif_rx_request_t request;
    struct flip what = {
        .slot = (volatile uint64_t *)RING_GET_RESPONSE(&network->rx, at),
        .producer = &network->rx.sring->rsp_prod,
        .honest_producer = at + 1,
        .false_producer = at + 0x80000000u,
        .device = device,
    };

    if (!network_posted(network, &request))
        return false;
    honest.id = lie.id = request.id;
    memcpy(&what.honest, &honest, 8);
    memcpy(&what.false_, &lie, 8);
    say("begun: answer and producer flip");
    flip(&what);
    return true;
}

static const struct {
    const char *name;
    bool (*lie)(struct device *, struct network *);
} lies[] = {
    { "over-the-page", over_the_page },
    { "id-out-of-range", id_out_of_range },
    { "more-data", more_data },
    { "rx-more-than-a-ring", rx_more_than_a_ring },
    { "tx-backwards", tx_backwards },
    { "flip", flips },
};

bool network_lie(struct device *device, struct network *network, const char *name)
{
    if (!strcmp(name, "storm")) {
        storm(device, 6);
        return true;
    }
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++)
        if (!strcmp(lies[i].name, name))
            return device->connected && lies[i].lie(device, network);
    return false;
}
