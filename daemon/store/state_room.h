/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Room for deletes on a full disk: they free space in the database, but need some in its log first,
 * and the log begins anew only when the database has room for all that is in it. So a file lies
 * beside it that has at least the size of the log; its space is given up for deletes, and for the
 * start, and taken again when there is room. On the commits lane, as the connection.
 */

#include <sqlite3.h>
#include <stdint.h>

struct state_room {
    int directory_fd;  /* owned */
    uint64_t log_size; /* bytes, as of the last commit */
    uint64_t reserved; /* bytes */
    unsigned rests;    /* so many commits before it is tried again */
};

/* Gives up what is kept, for the start. Return: 0, or what opening @directory said. */
int state_room_open(struct state_room *room, const char *directory);
/* From here on @room knows the size of the log, and stays where it is. */
void state_room_watch(struct state_room *room, sqlite3 *database);
void state_room_close(struct state_room *room);

/* Takes as much as there has to be, where it is not taken yet and the disk has it. */
void state_room_reserve(struct state_room *room);

/* Gives it up, and lets the log begin anew in the space that it has. */
void state_room_give(struct state_room *room, sqlite3 *database);
