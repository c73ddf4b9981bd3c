/* SPDX-License-Identifier: MIT */
#pragma once

/* What the methods of files share: file.c lists and removes, file_move.c puts and gets, file_find.c
 * looks for who has one. */

#include "control/methods_internal.h"

/* "mode": permissions as of FILES_MODE_KNOWN, or null. */
void file_add_mode(cJSON *json, uint16_t mode);

/* The file as it stands in lists. */
void file_fill(cJSON *json, const char *node, const struct files_info *info);

/* Answers with why a file could not be had. @reason NULL: what errno says. */
void fail_file(struct call *call, int r, const char *name, const char *node, const char *reason);

/* Tells the journal that a stored file is not what was stored: the same one again only after an
 * hour, or after another one, however often it is asked for. @place: the node, NULL = here. */
void file_tell_changed(struct node *node, const char *name, const char *place);

/* `transfers` of Status: what was begun here and is not over. */
void file_add_transfers(const struct node *node, cJSON *json);

/* Gets the file, from the node that the name means; NULL: this one. */
void file_get_from(struct node *node, struct call *call, const char *place, const char *name);

/* The stored file goes to `to` from the node @place; where that is this one, it is damaged. */
void file_put_from(struct node *node, struct call *call, const char *place, const char *name);

/* Has @from take it from whichever other node has it intact; where there is none, and this one has
 * it damaged, from this one, which says so. */
typedef void (*file_from_t)(struct node *node, struct call *call, const char *place,
                            const char *name);
void file_search(struct node *node, struct call *call, const char *name, file_from_t from,
                 bool is_damaged_here);
