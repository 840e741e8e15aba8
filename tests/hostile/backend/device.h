/*
 * A device as its backend sees it: nodes in xenstore, one event channel, and
 * what the kind of device makes of its rings.
 *
 * Source: xen/include/public/io/xenbus.h, Xen 4.17.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <xen/xen.h>
#include <xen/io/xenbus.h>

struct device;

/* What differs between a disk and a network interface. */
struct kind {
    const char *name;
    /* Its number under device/NAME/. */
    unsigned number;
    /* The frontend's state in which its rings are there to be mapped. */
    enum xenbus_state ready;
    /* Nodes of the frontend that a toolstack writes. */
    void (*introduce)(struct device *device);
    /* Nodes that are valid in InitWait. */
    void (*announce)(struct device *device);
    /* Maps the rings, and writes the nodes that are valid in Connected. */
    bool (*attach)(struct device *device);
    /* Answers whatever is on the rings. */
    void (*serve)(struct device *device);
    /* Looks for a lie by its name and tells it, now or at the next request. */
    bool (*lie)(struct device *device, const char *name);
    /* A question of this kind alone; false when it has none such. */
    bool (*ask)(struct device *device, const char *words);
};

extern const struct kind disk_kind;
extern const struct kind network_kind;

struct device {
    const struct kind *kind;
    domid_t domid;
    char front[64];
    char back[64];
    struct xs_handle *store;
    xengnttab_handle *grants;
    xenevtchn_handle *events;
    /* The frontend's state when it was last looked at. */
    int seen;
    /* Of the connection that there is. */
    bool connected;
    evtchn_port_t port;
};

/* Opens the libraries and writes the nodes up to InitWait. */
void device_open(struct device *device, const struct kind *kind, unsigned domid);

/* Ends the connection, if there is one: its rings are not looked at any more. */
void device_let_go(struct device *device);

/* Looks at the frontend's state, and follows it when it is another. */
void device_step(struct device *device);

/* Clears the port's event; whether it was ours. */
bool device_event(struct device *device);

/* Lets the frontend know that there is something on its rings. */
void device_notify(struct device *device);

/* Writes a node of the backend, and again in each later connection. */
void device_override(struct device *device, const char *key, const char *value);

/* Writes or removes nodes of the backend. */
void device_write(struct device *device, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void device_write_front(struct device *device, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void device_vanish(struct device *device);

/* A number that the frontend published; ends the program when there is none. */
unsigned device_read_front(struct device *device, const char *key);

#endif
