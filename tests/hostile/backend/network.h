/* The network interface's rings, as the lies about them need them. */
#ifndef NETWORK_H
#define NETWORK_H

#include "barriers.h"
#include "device.h"

#include <xen/grant_table.h>
#include <xen/io/netif.h>

struct network {
    netif_tx_back_ring_t tx;
    netif_rx_back_ring_t rx;
    /* Frames the guest has sent. */
    unsigned long sent;
    /* An ARP reply of the guest's came. */
    bool replied;
};

/* Takes the next page that the guest has posted; false when there is none. */
bool network_posted(struct network *network, netif_rx_request_t *request);

/* Writes a response for a received frame into the next slot, and publishes it. */
void network_deliver(struct device *device, struct network *network,
                     const netif_rx_response_t *response);

/* Tells the lie of that name at once; false when there is none. */
bool network_lie(struct device *device, struct network *network, const char *name);

#endif
