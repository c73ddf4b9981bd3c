/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is wrong with this node and its view of the cluster, now: for status, and for the log, which
 * hears when something that lasts begins and when it is over. Deaths, suspicions and seeds have
 * events of their own.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/usec.h"

struct node;

struct problem {
    const char *code;         /* static: "disk-full" */
    const char *node;         /* the name of the member concerned; NULL = this node */
    uint64_t since_wall_usec; /* 0 = not known */
    const char *message;
    bool degrades; /* the node's health */
};

/* Which of its limits stored files have come to. */
enum problems_room {
    PROBLEMS_ROOM_THERE,
    PROBLEMS_ROOM_QUOTA,
    PROBLEMS_ROOM_RESERVE, /* the disk has more, but files.reserve of it is for others */
    PROBLEMS_ROOM_INODES,  /* the disk has bytes, but no inode */
    PROBLEMS_ROOM_NONE,    /* the disk is full */
};

enum problems_room problems_get_room(const struct node *node);

/* Calls @each for every problem; what it gets is borrowed for the call. */
void problems_each(const struct node *node, void (*each)(const struct problem *problem, void *data),
                   void *data);

/* Whether values of memory that are to be saved are not. */
bool problems_has_unsaved(const struct node *node);

/* Which of those that last were there at the last look, and are told: a bit per code. */
struct problems {
    usec_t look_usec; /* when to look again */
    uint32_t seen;
    uint32_t told;
    bool has_unsaved; /* at the last tick */
};

/* Once a second: looks every few seconds. What is there twice is told, so that a start is quiet. */
void problems_tick(struct node *node);
