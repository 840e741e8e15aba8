/* What the program says: one line for each thing, on standard output. */
#ifndef SAY_H
#define SAY_H

/* A line of what was seen or done. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why, and ends the program. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
