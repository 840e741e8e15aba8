/* Threads that act on a ring while the guest looks at it. */
#include "threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "say.h"

#define FLIP_MS 6000

static void start(void *(*run)(void *), const void *what, size_t len)
{
    pthread_t thread;
    void *copy = malloc(len);

    if (!copy)
        die("no memory");
    for (size_t i = 0; i < len; i++)
        ((char *)copy)[i] = ((const char *)what)[i];
    if (pthread_create(&thread, NULL, run, copy))
        die("no thread");
    pthread_detach(thread);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

struct storm {
    struct device *device;
    unsigned seconds;
};

static void *run_storm(void *argument)
{
    struct storm *storm = argument;
    uint64_t begin = now_ms(), spent;
    unsigned long count = 0;

    do {
        for (unsigned i = 0; i < 1000; i++)
            device_notify(storm->device);
        count += 1000;
        spent = now_ms() - begin;
    } while (spent < storm->seconds * 1000ull);
    say("lied: storm=%lu ms=%lu", count, (unsigned long)spent);
    free(storm);
    return NULL;
}

void storm(struct device *device, unsigned seconds)
{
    struct storm what = { device, seconds };

    start(run_storm, &what, sizeof what);
}

static void *run_flip(void *argument)
{
    struct flip *flip = argument;
    uint64_t begin = now_ms(), round = 0;

    do {
        for (unsigned i = 0; i < 64; i++) {
            *flip->slot = flip->honest;
            *flip->slot = flip->false_;
            *flip->producer = flip->honest_producer;
        }
        *flip->producer = flip->false_producer;
        /* Seldom, since each is a call into the hypervisor. */
        if (round++ % 64 == 0)
            device_notify(flip->device);
    } while (now_ms() - begin < FLIP_MS);
    say("lied: flips=%llu", (unsigned long long)round * 64);
    free(flip);
    return NULL;
}

void flip(const struct flip *what)
{
    start(run_flip, what, sizeof *what);
}
