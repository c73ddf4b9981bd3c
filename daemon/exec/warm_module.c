/* SPDX-License-Identifier: MIT */

/*
 * The extension module p2pnode_warm, by which an interpreter becomes a warm helper: one function,
 * serve(SOCKET), which returns the environment of a task, a list of bytes, in that task's process,
 * where it is set already.
 *
 * What it needs of Python is a few functions of the stable ABI (PEP 384), the same in every CPython
 * from 3.7 on. They are declared here, so that neither building p2pnode nor changing the
 * interpreter needs Python's headers; they are the interpreter's own, and nothing is linked.
 */

#include <unistd.h>
#include "exec/warm.h"

#define MODULE_API_VERSION 3 /* of the limited API */
#define METHOD_ONE         8 /* METH_O: takes one argument */

struct object; /* opaque */

struct method {
    const char *name;
    struct object *(*call)(struct object *self, struct object *argument);
    int flags;
    const char *help;
};

struct module {
    ssize_t references;
    void *type;
    void *init;
    ssize_t index;
    void *copy;
    const char *name;
    const char *help;
    ssize_t size;
    const struct method *methods;
    void *slots, *traverse, *clear, *release;
};

extern struct object *PyModule_Create2(struct module *module, int version);
extern long PyLong_AsLong(struct object *number);
extern struct object *PyList_New(ssize_t size);
extern int PyList_Append(struct object *list, struct object *item);
extern struct object *PyBytes_FromString(const char *text);
extern void PyOS_BeforeFork(void);
extern void PyOS_AfterFork_Parent(void);
extern void PyOS_AfterFork_Child(void);
__attribute__((visibility("default"))) struct object *PyInit_p2pnode_warm(void);

/* The interpreter is about to run one function and end: what is made here is not freed. */
static struct object *serve(struct object *self _unused_, struct object *socket)
{
    static const struct warm_hooks hooks = {PyOS_BeforeFork, PyOS_AfterFork_Parent,
                                            PyOS_AfterFork_Child};
    char **environment = warm_serve((int)PyLong_AsLong(socket), &hooks);
    struct object *list = PyList_New(0);

    environ = environment;
    for (char **variable = environment; list && *variable; variable++) {
        struct object *item = PyBytes_FromString(*variable);
        if (!item || PyList_Append(list, item) < 0)
            return NULL;
    }
    return list;
}

struct object *PyInit_p2pnode_warm(void)
{
    static const struct method methods[] = {
        {"serve", serve, METHOD_ONE, "serve(SOCKET): forks tasks"}, {0}};
    static struct module module = {
        .references = 1, .name = "p2pnode_warm", .size = -1, .methods = methods};

    return PyModule_Create2(&module, MODULE_API_VERSION);
}
