/* SPDX-License-Identifier: MIT */
#include "transfer/file_wire.h"

#include <stdio.h>
#include <string.h>
#include "base/text.h"

#define INTEGER_MAX   ((uint64_t)1 << 53)
#define SHOWN_MAX     81 /* of a name, in a sentence */
#define SIZE_TEXT_MAX 40

static const struct {
    int error;
    const char *name;
} errors[] = {
    {EINVAL, "invalid"},  {ENOENT, "not-found"}, {EEXIST, "exists"},     {EFBIG, "too-large"},
    {EDQUOT, "quota"},    {ENOSPC, "no-space"},  {ELOOP, "not-a-file"},  {EBADMSG, "damaged"},
    {EMSGSIZE, "length"}, {EBUSY, "busy"},       {ECANCELED, "stopped"}, {EIO, "io"},
};

cJSON *file_wire_new(const char *op)
{
    cJSON *frame = cJSON_CreateObject();

    json_add_string(frame, "op", op);
    return frame;
}

bool file_wire_is(const cJSON *frame, const char *op)
{
    const char *text = "";

    (void)json_get_string(frame, "op", &text);
    return strcmp(text, op) == 0;
}

static const char *const overwrite_names[] = {
    [UPLOAD_NEVER] = "never", [UPLOAD_NEWER] = "newer", [UPLOAD_ALWAYS] = "always"};

cJSON *file_wire_put(const struct upload_offer *offer)
{
    cJSON *frame = file_wire_new("put");

    json_add_string(frame, "name", offer->name);
    json_add_string(frame, "owner", offer->owner);
    if (offer->size == FILES_SIZE_UNKNOWN)
        json_add_null(frame, "size");
    else
        json_add_u64(frame, "size", offer->size);
    json_add_u64(frame, "modified_usec", offer->modified_wall_usec);
    json_add_bool(frame, "executable", offer->is_executable);
    json_add_string(frame, "overwrite", overwrite_names[offer->overwrite]);
    return frame;
}

int file_wire_read_put(const cJSON *frame, struct upload_offer *ret)
{
    struct upload_offer offer = {.size = FILES_SIZE_UNKNOWN};
    const char *overwrite = NULL;

    if (json_get_string(frame, "name", &offer.name) <= 0 ||
        json_get_string(frame, "owner", &offer.owner) <= 0 ||
        json_get_u64(frame, "size", INTEGER_MAX, &offer.size) < 0 ||
        json_get_u64(frame, "modified_usec", INTEGER_MAX, &offer.modified_wall_usec) <= 0 ||
        json_get_bool(frame, "executable", &offer.is_executable) <= 0 ||
        json_get_string(frame, "overwrite", &overwrite) <= 0)
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(overwrite_names); i++)
        if (strcmp(overwrite, overwrite_names[i]) == 0) {
            offer.overwrite = (enum upload_overwrite)i;
            *ret = offer;
            return 0;
        }
    return -EBADMSG;
}

static void add_hash(cJSON *frame, const uint8_t hash[static FILES_HASH_SIZE])
{
    char text[2 * FILES_HASH_SIZE + 1];

    for (size_t i = 0; i < FILES_HASH_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    json_add_string(frame, "sha256", text);
}

/* Return: 1; 0 where there is none; -EBADMSG. */
static int get_hash(const cJSON *frame, uint8_t ret[static FILES_HASH_SIZE])
{
    const char *text = NULL;
    int r = json_get_string(frame, "sha256", &text);

    if (r <= 0)
        return r < 0 ? -EBADMSG : 0;
    if (strlen(text) != 2 * FILES_HASH_SIZE ||
        strspn(text, "0123456789abcdef") != 2 * FILES_HASH_SIZE)
        return -EBADMSG;
    for (size_t i = 0; i < FILES_HASH_SIZE; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        ret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return 1;
}

cJSON *file_wire_info(const char *op, const struct files_info *info)
{
    cJSON *frame = file_wire_new(op);

    json_add_string(frame, "name", info->name);
    json_add_string(frame, "owner", info->owner);
    json_add_u64(frame, "size", info->size);
    json_add_u64(frame, "modified_usec", info->modified_wall_usec);
    json_add_bool(frame, "executable", info->is_executable);
    if (info->has_sha256)
        add_hash(frame, info->sha256);
    return frame;
}

int file_wire_read_info(const cJSON *frame, struct files_info *ret)
{
    struct files_info info = {0};
    const char *name = NULL, *owner = NULL;

    if (json_get_string(frame, "name", &name) <= 0 || !text_is_file_name(name) ||
        json_get_string(frame, "owner", &owner) <= 0 || strlen(owner) > FILES_OWNER_MAX ||
        !text_is_printable(owner) || json_get_u64(frame, "size", INTEGER_MAX, &info.size) <= 0 ||
        json_get_u64(frame, "modified_usec", INTEGER_MAX, &info.modified_wall_usec) <= 0 ||
        json_get_bool(frame, "executable", &info.is_executable) <= 0)
        return -EBADMSG;
    int r = get_hash(frame, info.sha256);
    if (r < 0)
        return r;
    info.has_sha256 = r > 0;
    strcpy(info.name, name);
    strcpy(info.owner, owner);
    *ret = info;
    return 0;
}

cJSON *file_wire_done(const uint8_t hash[static FILES_HASH_SIZE])
{
    cJSON *frame = file_wire_new("done");

    add_hash(frame, hash);
    return frame;
}

int file_wire_read_done(const cJSON *frame, uint8_t ret[static FILES_HASH_SIZE])
{
    return file_wire_is(frame, "done") && get_hash(frame, ret) > 0 ? 0 : -EBADMSG;
}

cJSON *file_wire_error(int r, const char *reason)
{
    cJSON *frame = file_wire_new("error");
    const char *name = "io";

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].error == -r)
            name = errors[i].name;
    json_add_string(frame, "error", name);
    json_add_string(frame, "reason", reason);
    return frame;
}

int file_wire_read_error(const cJSON *frame, char reason[static FILE_WIRE_REASON_MAX])
{
    const char *name = "", *text = "it did not say why";

    (void)json_get_string(frame, "error", &name);
    /* It is shown to a user as it is. */
    if (json_get_string(frame, "reason", &text) > 0 && !text_is_printable(text))
        text = "it gave a reason that cannot be shown";
    snprintf(reason, FILE_WIRE_REASON_MAX, "%s", text);
    text_mend_end(reason);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (strcmp(errors[i].name, name) == 0)
            return -errors[i].error;
    return -EBADMSG;
}

/* "3MiB", "1000 bytes" */
static void format_size(uint64_t size, char target[static SIZE_TEXT_MAX])
{
    char text[32];

    text_format_size(size, text);
    snprintf(target, SIZE_TEXT_MAX, "%s%s", text, text[strspn(text, "0123456789")] ? "" : " bytes");
}

char *file_wire_explain(int r, const char *name, const struct upload_refusal *refusal,
                        char target[static FILE_WIRE_REASON_MAX])
{
    char size[SIZE_TEXT_MAX], limit[SIZE_TEXT_MAX], available[SIZE_TEXT_MAX], shown[SHOWN_MAX];

    snprintf(shown, sizeof(shown), "%s", name);
    text_mend_end(shown);
    format_size(refusal->size, size);
    format_size(refusal->limit, limit);
    format_size(refusal->available, available);
    switch (-r) {
    case EFBIG:
        snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" has %s, and files.file_max is %s", shown,
                 size, limit);
        break;
    case EDQUOT:
        snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" has %s, and of files.quota (%s) %s are left",
                 shown, size, limit, available);
        break;
    case ENOSPC:
        snprintf(target, FILE_WIRE_REASON_MAX,
                 "\"%s\" has %s, and the disk has room for %s (files.reserve is %s)", shown, size,
                 available, limit);
        break;
    case EBADMSG:
        snprintf(target, FILE_WIRE_REASON_MAX, "\"%s\" arrived damaged: its SHA-256 is another",
                 shown);
        break;
    case EMSGSIZE:
        snprintf(target, FILE_WIRE_REASON_MAX,
                 "\"%s\" changed while it was read: its size is another", shown);
        break;
    default:
        snprintf(target, FILE_WIRE_REASON_MAX, "%s", strerror(-r));
        break;
    }
    return target;
}
