/* Lies that take time: threads that act while the guest looks. */
#ifndef THREADS_H
#define THREADS_H

#include "device.h"

/* Notifies as fast as it goes, for some seconds, and says how often that was. */
void storm(struct device *device, unsigned seconds);

/* Changes two words for some seconds, between what is true and what is not. */
struct flip {
    volatile uint64_t *slot;
    uint64_t honest, false_;
    volatile uint32_t *producer;
    uint32_t honest_producer, false_producer;
    struct device *device;
};

void flip(const struct flip *flip);

#endif
