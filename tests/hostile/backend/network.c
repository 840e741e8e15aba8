/*
 * A network on which nobody is but one who asks for the guest's address.
 *
 * TX and RX are from the guest's point of view, as in Xen's header.
 *
 * Source: xen/include/public/io/netif.h, Xen 4.17; RFC 826.
 */
#include "network.h"

#include <string.h>

#include "pages.h"
#include "say.h"

#define FRAME_BYTES 60

static struct network network;

/* Who has 10.0.2.50? Tell 10.0.2.77. */
static const uint8_t question[FRAME_BYTES] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x77, 0x08, 0x06,
    0,    1,    8,    0,    6,    4,    0,    1,
    0x02, 0,    0,    0,    0,    0x77, 10,   0, 2, 77,
    0,    0,    0,    0,    0,    0,    10,   0, 2, 50,
};

static void introduce(struct device *device)
{
    device_write_front(device, "handle", "0");
    device_write_front(device, "mac", "00:16:3e:5e:00:99");
}

static void announce(struct device *device)
{
    device_write(device, "handle", "0");
    device_write(device, "mac", "00:16:3e:5e:00:99");
    device_write(device, "feature-rx-copy", "1");
}

/* Every posted page is held from the beginning, and not only when it is used. */
static void hold_posted(struct device *device)
{
    RING_IDX end = network.rx.sring->req_prod;

    for (RING_IDX at = network.rx.req_cons; at != end; at++) {
        netif_rx_request_t request;

        RING_COPY_REQUEST(&network.rx, at, &request);
        pages_map_data(device, request.gref, READ_WRITE, 0, 0);
    }
}

static bool attach(struct device *device)
{
    unsigned tx = device_read_front(device, "tx-ring-ref");
    unsigned rx = device_read_front(device, "rx-ring-ref");

    memset(&network, 0, sizeof network);
    BACK_RING_INIT(&network.tx, (netif_tx_sring_t *)pages_map(device, tx, READ_WRITE), PAGE_BYTES);
    BACK_RING_INIT(&network.rx, (netif_rx_sring_t *)pages_map(device, rx, READ_WRITE), PAGE_BYTES);
    hold_posted(device);
    return true;
}

static void look_at(const uint8_t *frame, unsigned len)
{
    static const uint8_t reply[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2 };

    network.sent++;
    if (len >= 42 && !memcmp(frame + 12, reply, sizeof reply) && !network.replied) {
        network.replied = true;
        say("seen: an ARP reply");
    }
}

static void serve(struct device *device)
{
    int more = 1, notify;

    while (more) {
        while (RING_HAS_UNCONSUMED_REQUESTS(&network.tx)) {
            netif_tx_response_t *response;
            netif_tx_request_t request;

            RING_COPY_REQUEST(&network.tx, network.tx.req_cons, &request);
            network.tx.req_cons++;
            if (request.offset + request.size > PAGE_BYTES)
                die("the guest sends %u bytes at %u of a page", request.size, request.offset);
            look_at(pages_map_data(device, request.gref, READ_ONLY, request.offset, request.size) +
                        request.offset,
                    request.size);
            response = RING_GET_RESPONSE(&network.tx, network.tx.rsp_prod_pvt++);
            response->id = request.id;
            response->status = NETIF_RSP_OKAY;
        }
        RING_FINAL_CHECK_FOR_REQUESTS(&network.tx, more);
    }
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&network.tx, notify);
    if (notify)
        device_notify(device);
}

bool network_posted(struct network *network, netif_rx_request_t *request)
{
    if (!RING_HAS_UNCONSUMED_REQUESTS(&network->rx))
        return false;
    RING_COPY_REQUEST(&network->rx, network->rx.req_cons, request);
    network->rx.req_cons++;
    return true;
}

void network_deliver(struct device *device, struct network *network,
                     const netif_rx_response_t *response)
{
    int notify;

    *RING_GET_RESPONSE(&network->rx, network->rx.rsp_prod_pvt++) = *response;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&network->rx, notify);
    (void)notify;
    device_notify(device);
}

/* Asks for the guest's address: one who answers is served. */
static bool ask(struct device *device, const char *words)
{
    netif_rx_response_t response = { .status = FRAME_BYTES };
    netif_rx_request_t request;

    if (strcmp(words, "ask"))
        return false;
    if (!device->connected || !network_posted(&network, &request)) {
        say("done: no page is posted");
        return true;
    }
    network.replied = false;
    memcpy(pages_map(device, request.gref, READ_WRITE), question, FRAME_BYTES);
    response.id = request.id;
    network_deliver(device, &network, &response);
    say("done: asked, sent=%lu", network.sent);
    return true;
}

static bool lie(struct device *device, const char *name)
{
    return network_lie(device, &network, name);
}

const struct kind network_kind = {
    .name = "vif",
    .number = 0,
    .ready = XenbusStateConnected,
    .introduce = introduce,
    .announce = announce,
    .attach = attach,
    .serve = serve,
    .lie = lie,
    .ask = ask,
};
