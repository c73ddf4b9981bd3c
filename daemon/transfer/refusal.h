/* SPDX-License-Identifier: MIT */
#pragma once

/* What people read where a file is not stored or given. */

#include "store/upload.h"
#include "transfer/file_wire.h"

/* The sentence for what upload.h and files.h said about @name on node "this"; of @refusal the size
 * alone may be known. Returns @target. */
char *refusal_explain(int r, const char *name, const struct upload_refusal *refusal,
                      char target[static FILE_WIRE_REASON_MAX]);
