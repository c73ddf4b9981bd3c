/* SPDX-License-Identifier: MIT */
#include "transfer/file_wire.h"

#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "store/batch.h"

#define INTEGER_MAX ((uint64_t)1 << 53)
#define REASONS_MAX 512 /* of one answer */

static const struct {
    int error;
    const char *name;
} errors[] = {
    {EINVAL, "invalid"},  {ENOENT, "not-found"}, {EEXIST, "exists"},     {EFBIG, "too-large"},
    {EDQUOT, "quota"},    {ENOSPC, "no-space"},  {ELOOP, "not-a-file"},  {EBADMSG, "damaged"},
    {EMSGSIZE, "length"}, {EBUSY, "busy"},       {ECANCELED, "stopped"}, {EIO, "io"},
    {ESTALE, "changed"},
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

static void add_mode(cJSON *frame, uint16_t mode)
{
    if (mode & FILES_MODE_KNOWN)
        json_add_u64(frame, "mode", mode & 0777);
}

/* Return: 0, also where nothing was said; -EBADMSG. */
static int read_mode(const cJSON *frame, uint16_t *ret)
{
    uint64_t mode = 0;
    int r = json_get_u64(frame, "mode", 0777, &mode);

    if (r > 0)
        *ret = (uint16_t)(mode | FILES_MODE_KNOWN);
    return r < 0 ? -EBADMSG : 0;
}

/* A time beyond 2255 is the last of it. */
static uint64_t fit_time(uint64_t wall_usec)
{
    return MIN(wall_usec, INTEGER_MAX);
}

cJSON *file_wire_put(const struct upload_offer *offer)
{
    cJSON *frame = file_wire_new("put");

    json_add_string(frame, "name", offer->name);
    json_add_string(frame, "owner", offer->owner);
    if (offer->size == FILES_SIZE_UNKNOWN)
        json_add_null(frame, "size");
    else
        json_add_u64(frame, "size", offer->size);
    json_add_u64(frame, "modified_usec", fit_time(offer->modified_wall_usec));
    json_add_bool(frame, "executable", offer->is_executable);
    add_mode(frame, offer->mode);
    json_add_bool(frame, "resumable", offer->is_resumable);
    if (offer->is_hashed_later)
        json_add_bool(frame, "hash", false);
    json_add_string(frame, "overwrite", overwrite_names[offer->overwrite]);
    return frame;
}

static int read_overwrite(const cJSON *frame, enum upload_overwrite *ret)
{
    const char *text = NULL;

    if (json_get_string(frame, "overwrite", &text) <= 0)
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(overwrite_names); i++)
        if (strcmp(text, overwrite_names[i]) == 0) {
            *ret = (enum upload_overwrite)i;
            return 0;
        }
    return -EBADMSG;
}

int file_wire_read_put(const cJSON *frame, struct upload_offer *ret)
{
    struct upload_offer offer = {.size = FILES_SIZE_UNKNOWN};
    bool is_hashed = true;

    if (json_get_string(frame, "name", &offer.name) <= 0 ||
        json_get_string(frame, "owner", &offer.owner) <= 0 ||
        json_get_u64(frame, "size", INTEGER_MAX, &offer.size) < 0 ||
        json_get_u64(frame, "modified_usec", INTEGER_MAX, &offer.modified_wall_usec) <= 0 ||
        json_get_bool(frame, "executable", &offer.is_executable) <= 0 ||
        json_get_bool(frame, "resumable", &offer.is_resumable) < 0 ||
        json_get_bool(frame, "hash", &is_hashed) < 0 || read_mode(frame, &offer.mode) < 0 ||
        read_overwrite(frame, &offer.overwrite) < 0)
        return -EBADMSG;
    offer.is_hashed_later = !is_hashed;
    *ret = offer;
    return 0;
}

static void add_hash(cJSON *frame, const uint8_t hash[static FILES_HASH_SIZE])
{
    char text[2 * FILES_HASH_SIZE + 1];

    json_add_string(frame, "sha256", text_format_hex(hash, FILES_HASH_SIZE, text));
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
    json_add_u64(frame, "modified_usec", fit_time(info->modified_wall_usec));
    json_add_bool(frame, "executable", info->is_executable);
    add_mode(frame, info->mode);
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
        json_get_bool(frame, "executable", &info.is_executable) <= 0 ||
        read_mode(frame, &info.mode) < 0)
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

cJSON *file_wire_done(const uint8_t *hash)
{
    cJSON *frame = file_wire_new("done");

    if (hash)
        add_hash(frame, hash);
    return frame;
}

int file_wire_read_done(const cJSON *frame, uint8_t ret[static FILES_HASH_SIZE])
{
    return file_wire_is(frame, "done") ? get_hash(frame, ret) : -EBADMSG;
}

void file_wire_add_offset(cJSON *frame, uint64_t offset, const uint8_t hash[static FILES_HASH_SIZE])
{
    if (offset == 0)
        return;
    json_add_u64(frame, "offset", offset);
    add_hash(frame, hash);
}

int file_wire_read_offset(const cJSON *frame, uint64_t *ret, uint8_t hash[static FILES_HASH_SIZE])
{
    uint64_t offset = 0;

    if (json_get_u64(frame, "offset", INTEGER_MAX, &offset) < 0 ||
        (offset > 0 && get_hash(frame, hash) <= 0))
        return -EBADMSG;
    *ret = offset;
    return 0;
}

/* --- Packs --- */

void file_wire_write_mode(char target[static FILE_WIRE_MODE_SIZE + 1], uint16_t mode)
{
    static const char digits[] = "01234567";

    for (size_t i = 0; i < FILE_WIRE_MODE_SIZE; i++)
        target[i] =
            mode & FILES_MODE_KNOWN ? digits[mode >> (3 * (FILE_WIRE_MODE_SIZE - 1 - i)) & 7] : '-';
    target[FILE_WIRE_MODE_SIZE] = '\0';
}

static bool is_mode(const char text[static FILE_WIRE_MODE_SIZE])
{
    size_t digits = 0, hyphens = 0;

    for (size_t i = 0; i < FILE_WIRE_MODE_SIZE; i++) {
        digits += text[i] >= '0' && text[i] <= '7';
        hyphens += text[i] == '-';
    }
    return digits == FILE_WIRE_MODE_SIZE || hyphens == FILE_WIRE_MODE_SIZE;
}

int file_wire_read_modes(const cJSON *frame, size_t count, const char **ret)
{
    const char *modes = NULL;
    int r = json_get_string(frame, "modes", &modes);

    if (r < 0 || (r > 0 && strlen(modes) != count * FILE_WIRE_MODE_SIZE))
        return -EBADMSG;
    for (size_t i = 0; r > 0 && i < count; i++)
        if (!is_mode(modes + i * FILE_WIRE_MODE_SIZE))
            return -EBADMSG;
    *ret = modes;
    return 0;
}

uint16_t file_wire_get_mode(const char *modes, size_t i)
{
    uint16_t mode = 0;

    if (!modes || modes[i * FILE_WIRE_MODE_SIZE] == '-')
        return 0;
    for (const char *digit = modes + i * FILE_WIRE_MODE_SIZE, *end = digit + FILE_WIRE_MODE_SIZE;
         digit < end; digit++)
        mode = (uint16_t)(mode << 3 | (*digit - '0'));
    return mode | FILES_MODE_KNOWN;
}

cJSON *file_wire_pack(const struct file_wire_pack *pack)
{
    cJSON *frame = file_wire_new("pack");

    json_add_string(frame, "owner", pack->owner);
    json_add_string(frame, "overwrite", overwrite_names[pack->overwrite]);
    json_add_u64(frame, "count", pack->count);
    if (pack->modes)
        json_add_string(frame, "modes", pack->modes);
    json_add_bool(frame, "last", pack->is_last);
    return frame;
}

int file_wire_read_pack(const cJSON *frame, struct file_wire_pack *ret)
{
    struct file_wire_pack pack = {.owner = NULL};
    uint64_t count = 0;

    if (json_get_string(frame, "owner", &pack.owner) <= 0 ||
        read_overwrite(frame, &pack.overwrite) < 0 ||
        json_get_u64(frame, "count", BATCH_FILES_MAX, &count) <= 0 ||
        json_get_bool(frame, "last", &pack.is_last) <= 0 ||
        file_wire_read_modes(frame, (size_t)count, &pack.modes) < 0)
        return -EBADMSG;
    pack.count = (size_t)count;
    *ret = pack;
    return 0;
}

void file_wire_write_row(struct writer *writer, const char *name, uint32_t size,
                         uint64_t modified_wall_usec, bool is_executable)
{
    writer_string8(writer, name);
    writer_u32(writer, size);
    writer_u64(writer, fit_time(modified_wall_usec));
    writer_u8(writer, is_executable);
}

bool file_wire_read_row(struct reader *reader, struct file_wire_row *ret)
{
    reader_string8(reader, ret->name, sizeof(ret->name));
    ret->size = reader_u32(reader);
    ret->modified_wall_usec = fit_time(reader_u64(reader));
    uint8_t flags = reader_u8(reader);
    ret->is_executable = flags & 1;
    return reader_ok(reader) && flags <= 1;
}

cJSON *file_wire_packed(size_t count)
{
    cJSON *frame = file_wire_new("packed");

    json_add_u64(frame, "count", count);
    cJSON_AddArrayToObject(frame, "others");
    return frame;
}

static const char *error_name(int r)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i].error == -r)
            return errors[i].name;
    return "io";
}

static int error_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (strcmp(errors[i].name, name) == 0)
            return -errors[i].error;
    return -EBADMSG;
}

void file_wire_add_result(cJSON *frame, size_t i, int r, const char *reason,
                          const struct upload_refusal *refusal)
{
    cJSON *others = cJSON_GetObjectItemCaseSensitive(frame, "others");
    cJSON *item = cJSON_CreateObject();

    json_add_u64(item, "index", i);
    json_add_string(item, "error", r == UPLOAD_KEPT ? "kept" : error_name(r));
    /* All together have to fit into a header. */
    if (reason && cJSON_GetArraySize(others) < REASONS_MAX) {
        json_add_string(item, "reason", reason);
    } else if (refusal && (r == -EFBIG || r == -EDQUOT || r == -ENOSPC)) {
        json_add_u64(item, "limit", MIN(refusal->limit, INTEGER_MAX));
        json_add_u64(item, "available", MIN(refusal->available, INTEGER_MAX));
    }
    cJSON_AddItemToArray(others, item);
}

/* Calls @take for each of the others among @count files. */
static int read_others(const cJSON *frame, size_t count, file_wire_take_t take, void *data)
{
    const cJSON *others = NULL;

    if (json_get_array(frame, "others", &others) <= 0)
        return -EBADMSG;
    json_for_each (item, others) {
        const char *name = NULL, *reason = NULL;
        struct upload_refusal refusal = {0};
        uint64_t i = 0;
        if (count == 0 || json_get_u64(item, "index", count - 1, &i) <= 0 ||
            json_get_string(item, "error", &name) <= 0 ||
            json_get_string(item, "reason", &reason) < 0 ||
            json_get_u64(item, "limit", INTEGER_MAX, &refusal.limit) < 0 ||
            json_get_u64(item, "available", INTEGER_MAX, &refusal.available) < 0)
            return -EBADMSG;
        int r = take((size_t)i, strcmp(name, "kept") == 0 ? UPLOAD_KEPT : error_of(name),
                     reason && text_is_printable(reason) ? reason : NULL, &refusal, data);
        if (r < 0)
            return r;
    }
    return 0;
}

int file_wire_read_packed(const cJSON *frame, size_t count, file_wire_take_t take, void *data)
{
    uint64_t answered = 0;

    if (!file_wire_is(frame, "packed") ||
        json_get_u64(frame, "count", BATCH_FILES_MAX, &answered) <= 0 || answered != count)
        return -EBADMSG;
    return read_others(frame, count, take, data);
}

cJSON *file_wire_fetch(size_t count)
{
    cJSON *frame = file_wire_new("fetch");

    json_add_u64(frame, "count", count);
    return frame;
}

int file_wire_read_fetch(const cJSON *frame, size_t *ret_count)
{
    uint64_t count = 0;

    if (json_get_u64(frame, "count", BATCH_FILES_MAX, &count) <= 0 || count == 0)
        return -EBADMSG;
    *ret_count = (size_t)count;
    return 0;
}

cJSON *file_wire_fetched(void)
{
    cJSON *frame = file_wire_new("fetched");

    cJSON_AddArrayToObject(frame, "others");
    return frame;
}

void file_wire_end_fetched(cJSON *frame, size_t count, bool is_last)
{
    json_add_u64(frame, "count", count);
    json_add_bool(frame, "last", is_last);
}

int file_wire_read_fetched(const cJSON *frame, size_t max, size_t *ret_count, bool *ret_is_last,
                           file_wire_take_t take, void *data)
{
    uint64_t count = 0;
    bool is_last = false;

    if (!file_wire_is(frame, "fetched") || json_get_u64(frame, "count", max, &count) <= 0 ||
        count == 0 || json_get_bool(frame, "last", &is_last) <= 0 || is_last != (count == max))
        return -EBADMSG;
    *ret_count = (size_t)count;
    *ret_is_last = is_last;
    return read_others(frame, (size_t)count, take, data);
}

enum { HEAD_EXECUTABLE = 1, HEAD_HASH = 2 };

void file_wire_write_head(struct writer *writer, const struct files_info *info)
{
    writer_u32(writer, (uint32_t)info->size);
    writer_u64(writer, fit_time(info->modified_wall_usec));
    writer_u8(writer, (uint8_t)((info->is_executable ? HEAD_EXECUTABLE : 0) |
                                (info->has_sha256 ? HEAD_HASH : 0)));
    if (info->has_sha256)
        writer_bytes(writer, info->sha256, FILES_HASH_SIZE);
    writer_string8(writer, info->owner);
}

bool file_wire_read_head(struct reader *reader, struct files_info *ret)
{
    ret->size = reader_u32(reader);
    ret->modified_wall_usec = fit_time(reader_u64(reader));
    uint8_t flags = reader_u8(reader);
    ret->is_executable = flags & HEAD_EXECUTABLE;
    ret->has_sha256 = flags & HEAD_HASH;
    if (ret->has_sha256)
        reader_copy(reader, ret->sha256, FILES_HASH_SIZE);
    reader_string8(reader, ret->owner, sizeof(ret->owner));
    return reader_ok(reader) && flags <= (HEAD_EXECUTABLE | HEAD_HASH) &&
           text_is_printable(ret->owner);
}

cJSON *file_wire_error(int r, const char *reason)
{
    cJSON *frame = file_wire_new("error");

    file_wire_add_error(frame, r, reason);
    return frame;
}

void file_wire_add_error(cJSON *frame, int r, const char *reason)
{
    json_add_string(frame, "error", error_name(r));
    json_add_string(frame, "reason", reason);
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
    return error_of(name);
}

bool file_wire_says_damaged(const cJSON *frame)
{
    const char *name = "";

    (void)json_get_string(frame, "error", &name);
    return file_wire_is(frame, "error") && strcmp(name, error_name(-EBADMSG)) == 0;
}
