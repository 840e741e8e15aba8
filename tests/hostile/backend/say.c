/* Lines on standard output, whole at once: a thread of a lie may speak, too. */
#include "say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void line(const char *before, const char *format, va_list values)
{
    char text[512];

    vsnprintf(text, sizeof text, format, values);
    printf("%s%s\n", before, text);
    fflush(stdout);
}

void say(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    line("", format, values);
    va_end(values);
}

void die(const char *format, ...)
{
    va_list values;
    char before[128];

    snprintf(before, sizeof before, "died (%s): ", strerror(errno));
    va_start(values, format);
    line(before, format, values);
    va_end(values);
    exit(1);
}
