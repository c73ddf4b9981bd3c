/* SPDX-License-Identifier: MIT */
#include "transfer/refusal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"

#define SHOWN_MAX     81 /* of a name, in a sentence */
#define DIRECTORY_MAX 101
#define SIZE_TEXT_MAX 40

/* "3.0 MiB"; to the byte where that would look like @other, which it is not. */
static void format_size(uint64_t size, uint64_t other, char target[static SIZE_TEXT_MAX])
{
    char other_text[32];

    text_show_size((double)size, target);
    if (size != other && strcmp(target, text_show_size((double)other, other_text)) == 0)
        snprintf(target, SIZE_TEXT_MAX, "%" PRIu64 " bytes", size);
}

static char *explain_directory(const char *name, const struct upload_refusal *refusal,
                               char target[static FILE_WIRE_REASON_MAX])
{
    char directory[DIRECTORY_MAX];

    snprintf(directory, sizeof(directory), "%s", refusal->directory);
    text_mend_end(directory);
    snprintf(target, FILE_WIRE_REASON_MAX, "cannot store \"%s\": the directory of files %s: %s",
             name, directory, strerror(refusal->error));
    return target;
}

char *refusal_explain(int r, const char *name, const struct upload_refusal *refusal,
                      char target[static FILE_WIRE_REASON_MAX])
{
    char size[2 * SIZE_TEXT_MAX], limit[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], shown[SHOWN_MAX];

    snprintf(shown, sizeof(shown), "%s", name);
    text_mend_end(shown);
    if (r == -EIO && refusal->directory)
        return explain_directory(shown, refusal, target);
    strcpy(size, refusal->is_least ? "at least " : "");
    format_size(refusal->size, r == -EFBIG ? refusal->limit : refusal->available,
                size + strlen(size));
    format_size(refusal->limit, r == -EFBIG ? refusal->size : refusal->limit, limit);
    format_size(refusal->available, refusal->size, available);
    switch (-r) {
    case EFBIG:
        if (refusal->limit == 0)
            snprintf(target, FILE_WIRE_REASON_MAX,
                     "\"%s\" has %s, more than a file may have there by a limit of the process or "
                     "the file system",
                     shown, size);
        else
            snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" has %s, and files.file_max is %s", shown,
                     size, limit);
        break;
    case EDQUOT:
        if (refusal->limit == 0)
            snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" has %s, and of files.quota less is left",
                     shown, size);
        else
            snprintf(target, FILE_WIRE_REASON_MAX,
                     "\"%s\" has %s, and of files.quota (%s) %s are left", shown, size, limit,
                     available);
        break;
    case ENOSPC:
        if (refusal->has_no_inodes)
            snprintf(target, FILE_WIRE_REASON_MAX,
                     "the disk has no inode left for \"%s\": remove small files there (df -i)",
                     shown);
        else if (refusal->size == 0)
            snprintf(target, FILE_WIRE_REASON_MAX, "the disk has no room for \"%s\"", shown);
        else
            snprintf(target, FILE_WIRE_REASON_MAX,
                     "\"%s\" has %s, and the disk has room for %s (files.reserve is %s)", shown,
                     size, available, limit);
        break;
    case EBADMSG:
        snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" arrived damaged: its SHA-256 is another",
                 shown);
        break;
    case ESTALE:
        snprintf(target, FILE_WIRE_REASON_MAX,
                 "\"%s\" is damaged: it was changed since it was stored", shown);
        break;
    case EMSGSIZE:
        snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" changed while it was read", shown);
        break;
    case ELOOP:
        snprintf(target, FILE_WIRE_REASON_MAX, "what is called \"%s\" is no file, and stays there",
                 shown);
        break;
    default:
        /* Also of what cannot be a name. */
        if (text_is_printable(shown))
            snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\": %s", shown,
                     r == -EINVAL ? "nothing that can name a file" : strerror(-r));
        else
            snprintf(target, FILE_WIRE_REASON_MAX, "%s", strerror(-r));
        break;
    }
    return target;
}
