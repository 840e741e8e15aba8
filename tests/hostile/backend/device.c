/* The backend's end of the handshake, and the nodes that a toolstack writes. */
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "say.h"

#define OVERRIDES_MAX 16

/* Nodes that somebody wants to be other than they truly are. */
static struct override {
    char key[32];
    char value[64];
} overrides[OVERRIDES_MAX];
static unsigned override_count;

static void store(struct device *device, const char *directory, const char *key,
                  const char *value)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, key);
    if (!xs_write(device->store, XBT_NULL, path, value, strlen(value)))
        die("%s cannot be written", path);
}

void device_write(struct device *device, const char *key, const char *format, ...)
{
    va_list values;
    char value[128];

    va_start(values, format);
    vsnprintf(value, sizeof value, format, values);
    va_end(values);
    store(device, device->back, key, value);
}

void device_write_front(struct device *device, const char *key, const char *format, ...)
{
    va_list values;
    char value[128];

    va_start(values, format);
    vsnprintf(value, sizeof value, format, values);
    va_end(values);
    store(device, device->front, key, value);
}

static char *read_node(struct device *device, const char *directory, const char *key)
{
    char path[128];
    unsigned len;

    snprintf(path, sizeof path, "%s/%s", directory, key);
    return xs_read(device->store, XBT_NULL, path, &len);
}

static int state_of(struct device *device, const char *directory)
{
    char *text = read_node(device, directory, "state");
    int state = text ? atoi(text) : -1;

    free(text);
    return state;
}

unsigned device_read_front(struct device *device, const char *key)
{
    char *text = read_node(device, device->front, key);
    unsigned number;

    if (!text)
        die("the frontend has no %s", key);
    number = strtoul(text, NULL, 10);
    free(text);
    return number;
}

static void override_all(struct device *device)
{
    for (unsigned i = 0; i < override_count; i++)
        store(device, device->back, overrides[i].key, overrides[i].value);
}

void device_override(struct device *device, const char *key, const char *value)
{
    unsigned i = 0;

    /* A state is a moment's: the next connection has its own. */
    if (!strcmp(key, "state")) {
        store(device, device->back, key, value);
        return;
    }
    while (i < override_count && strcmp(overrides[i].key, key))
        i++;
    if (i == OVERRIDES_MAX)
        die("more than %u nodes", OVERRIDES_MAX);
    snprintf(overrides[i].key, sizeof overrides[i].key, "%s", key);
    snprintf(overrides[i].value, sizeof overrides[i].value, "%s", value);
    if (i == override_count)
        override_count++;
    store(device, device->back, key, overrides[i].value);
}

/* One domain owns a directory and the other may read it, as libxl has it. */
static void directory(struct device *device, const char *path, unsigned owner, unsigned reader)
{
    struct xs_permissions permissions[] = {
        { .id = owner, .perms = XS_PERM_NONE },
        { .id = reader, .perms = XS_PERM_READ },
    };

    if (!xs_mkdir(device->store, XBT_NULL, path) ||
        !xs_set_permissions(device->store, XBT_NULL, path, permissions, 2))
        die("%s cannot be made", path);
}

static void set_state(struct device *device, enum xenbus_state state)
{
    device_write(device, "state", "%d", state);
}

/* The backend's nodes up to InitWait. */
static void announce(struct device *device)
{
    device_write(device, "frontend", "%s", device->front);
    device_write(device, "frontend-id", "%u", device->domid);
    device_write(device, "online", "1");
    device->kind->announce(device);
    override_all(device);
    set_state(device, XenbusStateInitWait);
}

void device_open(struct device *device, const struct kind *kind, unsigned domid)
{
    char parent[64];

    memset(device, 0, sizeof *device);
    device->kind = kind;
    device->domid = domid;
    device->store = xs_open(0);
    device->grants = xengnttab_open(NULL, 0);
    device->events = xenevtchn_open(NULL, 0);
    if (!device->store || !device->grants || !device->events)
        die("xenstore, the grant device or the event channel device cannot be opened");
    snprintf(parent, sizeof parent, "/local/domain/%u/device/%s", domid, kind->name);
    snprintf(device->front, sizeof device->front, "%.50s/%u", parent, kind->number);
    /* Not under a kind of device that Linux has a backend for. */
    snprintf(device->back, sizeof device->back, "/local/domain/0/backend/hostile/%u/%u", domid,
             kind->number);
    xs_rm(device->store, XBT_NULL, device->back);
    directory(device, parent, 0, domid);
    directory(device, device->front, domid, 0);
    directory(device, device->back, 0, domid);
    announce(device);
    kind->introduce(device);
    device_write_front(device, "backend", "%s", device->back);
    device_write_front(device, "backend-id", "0");
    device_write_front(device, "state", "%d", XenbusStateInitialising);
    device->seen = XenbusStateInitialising;
    say("done: attached");
}

void device_let_go(struct device *device)
{
    if (!device->connected)
        return;
    device->connected = false;
    xenevtchn_unbind(device->events, device->port);
}

static void disconnect(struct device *device)
{
    if (device->connected)
        say("seen: the frontend went");
    device_let_go(device);
}

static void connect(struct device *device)
{
    xenevtchn_port_or_error_t port;

    if (device->connected)
        return;
    pages_new_connection();
    port = xenevtchn_bind_interdomain(device->events, device->domid,
                                      device_read_front(device, "event-channel"));
    if (port < 0)
        die("the event channel cannot be bound");
    device->port = port;
    if (!device->kind->attach(device))
        die("the rings cannot be mapped");
    device->connected = true;
    override_all(device);
    set_state(device, XenbusStateConnected);
    say("seen: connected");
}

void device_step(struct device *device)
{
    int state = state_of(device, device->front);

    if (state == device->seen)
        return;
    device->seen = state;
    if (state == (int)device->kind->ready) {
        connect(device);
        return;
    }
    switch (state) {
    case XenbusStateInitialising:
        if (state_of(device, device->back) == XenbusStateInitWait)
            break;
        disconnect(device);
        announce(device);
        break;
    case XenbusStateClosing:
        disconnect(device);
        set_state(device, XenbusStateClosing);
        break;
    case XenbusStateClosed:
        disconnect(device);
        set_state(device, XenbusStateClosed);
        break;
    }
}

bool device_event(struct device *device)
{
    xenevtchn_port_or_error_t port = xenevtchn_pending(device->events);

    if (port < 0)
        return false;
    xenevtchn_unmask(device->events, port);
    return device->connected && (evtchn_port_t)port == device->port;
}

void device_notify(struct device *device)
{
    xenevtchn_notify(device->events, device->port);
}

void device_vanish(struct device *device)
{
    xs_rm(device->store, XBT_NULL, device->back);
}
