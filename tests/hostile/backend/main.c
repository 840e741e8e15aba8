/*
 * A backend that is honest until it is told to lie.
 *
 *     backend vbd|vif DOMID [NODE=VALUE]...
 *
 * It attaches a device of its own to a domain that is paused, serves it, and
 * takes commands from standard input, one a line. Each ends with one line that
 * begins with "done:" or "died".
 *
 *     lie NAME         tells a lie, now or at the next request
 *     node KEY VALUE   writes a node of its own, and in each later connection
 *     vanish           removes all of its own nodes
 *     stamp            writes a pattern into every page it holds
 *     check            says whether any of them has changed
 *     release          lets go of the pages: until then every one is kept
 *     ask              asks the guest for its address (a network alone)
 *     quit
 *
 * What comes of itself is told by "seen:", "lied:" and, where the guest has
 * made a mistake, "foreign:", "changed:" or "again:".
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "pages.h"
#include "say.h"

/*
 * How often the frontend's state is read. It is not watched: without threads
 * the static library keeps an event that comes beside a reply to itself.
 */
#define LOOK_MS 50

static void command(struct device *device, char *line)
{
    char *word = strtok(line, " ");
    char *rest = strtok(NULL, "");

    if (!word) {
        say("done: nothing");
    } else if (!strcmp(word, "lie") && rest) {
        if (device->kind->lie(device, rest))
            say("done: %s", rest);
        else
            say("done: there is no lie %s", rest);
    } else if (!strcmp(word, "node") && rest) {
        char *value = strchr(rest, ' ');

        if (value)
            *value++ = '\0';
        device_override(device, rest, value ? value : "");
        say("done: %s", rest);
    } else if (!strcmp(word, "vanish")) {
        device_vanish(device);
        say("done: vanished");
    } else if (!strcmp(word, "stamp")) {
        pages_stamp();
    } else if (!strcmp(word, "check")) {
        pages_check();
    } else if (!strcmp(word, "release")) {
        pages_release(device);
    } else if (!strcmp(word, "quit")) {
        say("done: quit");
        exit(0);
    } else if (!device->kind->ask(device, word)) {
        say("done: there is no command %s", word);
    }
}

/* Whatever has come from standard input, line by line; the end of it is no order. */
static void commands(struct device *device)
{
    static char buffer[1024];
    static size_t len;
    ssize_t count = read(STDIN_FILENO, buffer + len, sizeof buffer - len);
    char *end;

    if (count <= 0)
        exit(0);
    len += count;
    while ((end = memchr(buffer, '\n', len))) {
        size_t used = end + 1 - buffer;

        *end = '\0';
        command(device, buffer);
        len -= used;
        memmove(buffer, buffer + used, len);
    }
    if (len == sizeof buffer)
        die("a command is longer than %zu bytes", sizeof buffer);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static void loop(struct device *device)
{
    struct pollfd sources[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = xenevtchn_fd(device->events), .events = POLLIN },
    };
    uint64_t looked_ms = 0;

    for (;;) {
        if (poll(sources, 2, LOOK_MS) < 0)
            die("poll");
        if (sources[1].revents & POLLIN && device_event(device))
            device->kind->serve(device);
        if (sources[0].revents)
            commands(device);
        if (now_ms() - looked_ms >= LOOK_MS) {
            device_step(device);
            looked_ms = now_ms();
        }
    }
}

int main(int count, char **words)
{
    struct device device;
    const struct kind *kind = NULL;

    if (count >= 3 && !strcmp(words[1], disk_kind.name))
        kind = &disk_kind;
    if (count >= 3 && !strcmp(words[1], network_kind.name))
        kind = &network_kind;
    if (!kind) {
        fprintf(stderr, "backend vbd|vif DOMID [NODE=VALUE]...\n");
        return 2;
    }
    device_open(&device, kind, strtoul(words[2], NULL, 10));
    for (int i = 3; i < count; i++) {
        char *value = strchr(words[i], '=');

        if (!value)
            die("%s is not NODE=VALUE", words[i]);
        *value++ = '\0';
        device_override(&device, words[i], value);
    }
    loop(&device);
}
