/* SPDX-License-Identifier: MIT */
#include "base/bundle.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/bytes.h"
#include "base/macro.h"
#include "base/text.h"

#define MARK        UINT64_C(0x70327062756e646c) /* "p2pbundl" */
#define HEAD_MARK   UINT32_C(0x66696c65)         /* "file" */
#define HEAD_SIZE   ((size_t)18)                 /* without the name */
#define COPY_SIZE   ((size_t)256 * 1024)
#define OFFSET_MAX  ((uint64_t)1 << 62)
#define PERMISSIONS 0777

bool bundle_is_name(const char *name)
{
    char part[256];
    size_t count = 0;

    if (strlen(name) > BUNDLE_NAME_MAX)
        return false;
    for (const char *rest = name; rest; count++) {
        size_t size = strcspn(rest, "/");
        if (size == 0 || size >= sizeof(part) || count == BUNDLE_PARTS_MAX)
            return false;
        memcpy(part, rest, size);
        part[size] = '\0';
        if (!text_is_file_name(part))
            return false;
        rest = rest[size] == '/' ? rest + size + 1 : NULL;
    }
    return true;
}

bool bundle_is_clash(const char *a, const char *b)
{
    size_t size = MIN(strlen(a), strlen(b));

    if (*a == '\0' || *b == '\0')
        return *a == *b;
    return strncmp(a, b, size) == 0 && (a[size] == '\0' || a[size] == '/') &&
           (b[size] == '\0' || b[size] == '/');
}

static int write_all(int fd, const uint8_t *data, size_t size, uint64_t at)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)at);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EIO;
        if (n > 0) {
            data += n;
            at += (uint64_t)n;
            size -= (size_t)n;
        }
    }
    return 0;
}

/* Return: how many bytes there are, fewer than @size only at the end; or a negative errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t size, uint64_t at)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)MAX(n, (ssize_t)0);
    }
    return (ssize_t)done;
}

int64_t bundle_begin(int fd)
{
    uint8_t mark[BUNDLE_MARK_SIZE];
    struct writer writer = writer_into(mark, sizeof(mark));

    writer_u64(&writer, MARK);
    int r = write_all(fd, mark, sizeof(mark), 0);
    return r < 0 ? r : (int64_t)sizeof(mark);
}

int64_t bundle_add_head(int fd, uint64_t at, const struct bundle_entry *entry)
{
    uint8_t head[BUNDLE_HEAD_MAX];
    struct writer writer = writer_into(head, sizeof(head));

    if ((entry->name[0] != '\0' && !bundle_is_name(entry->name)) || entry->size > OFFSET_MAX)
        return -EINVAL;
    writer_u32(&writer, HEAD_MARK);
    writer_u16(&writer, entry->mode & PERMISSIONS);
    writer_u16(&writer, entry->tag);
    writer_u64(&writer, entry->size);
    writer_string16(&writer, entry->name);
    if (!writer_ok(&writer))
        return -EINVAL;
    int r = write_all(fd, head, writer.position, at);
    return r < 0 ? r : (int64_t)(at + writer.position);
}

static int check_mark(int fd)
{
    uint8_t mark[BUNDLE_MARK_SIZE];
    ssize_t size = read_all(fd, mark, sizeof(mark), 0);
    struct reader reader = reader_from(mark, sizeof(mark));

    if (size < 0)
        return (int)size;
    return size == (ssize_t)sizeof(mark) && reader_u64(&reader) == MARK ? 0 : -EBADMSG;
}

static int parse_head(const uint8_t *data, size_t size, uint64_t at, struct bundle_entry *ret)
{
    struct reader reader = reader_from(data, size);
    uint32_t mark = reader_u32(&reader);
    uint16_t name_size;

    ret->mode = reader_u16(&reader);
    ret->tag = reader_u16(&reader);
    ret->size = reader_u64(&reader);
    name_size = reader_u16(&reader);
    const uint8_t *name = name_size <= BUNDLE_NAME_MAX ? reader_bytes(&reader, name_size) : NULL;
    if (!name || !reader_ok(&reader) || mark != HEAD_MARK || ret->mode > PERMISSIONS ||
        ret->size > OFFSET_MAX || memchr(name, '\0', name_size))
        return -EBADMSG;
    memcpy(ret->name, name, name_size);
    ret->name[name_size] = '\0';
    ret->offset = at + reader.position;
    return name_size == 0 || bundle_is_name(ret->name) ? 0 : -EBADMSG;
}

int bundle_next(int fd, uint64_t at, struct bundle_entry *ret)
{
    uint8_t head[BUNDLE_HEAD_MAX];
    struct bundle_entry entry;
    struct stat status;
    int r = at == 0 ? check_mark(fd) : 0;

    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (at == 0)
        at = BUNDLE_MARK_SIZE;
    if (at >= (uint64_t)status.st_size)
        return at == (uint64_t)status.st_size ? 0 : -EBADMSG;
    ssize_t size = read_all(fd, head, sizeof(head), at);
    r = size < 0 ? (int)size : parse_head(head, (size_t)size, at, &entry);
    if (r < 0)
        return r;
    if (entry.size > (uint64_t)status.st_size - entry.offset)
        return -EBADMSG;
    *ret = entry;
    return 1;
}

int bundle_check(int fd, struct bundle_content *ret)
{
    struct bundle_content content = {0};
    struct bundle_entry entry;
    uint64_t at = 0;
    int r;

    while ((r = bundle_next(fd, at, &entry)) > 0) {
        at = entry.offset + entry.size;
        if (entry.name[0] == '\0' && content.has_stdin)
            return -EBADMSG;
        if (entry.name[0] == '\0')
            content.has_stdin = true;
        else if (++content.count > BUNDLE_FILES_MAX)
            return -EBADMSG;
        content.size += entry.size;
    }
    if (r == 0)
        *ret = content;
    return r;
}

int bundle_find(int fd, const char *name, struct bundle_entry *ret)
{
    struct bundle_entry entry = {0};
    uint64_t at = 0;
    int r;

    while ((r = bundle_next(fd, at, &entry)) > 0) {
        if (strcmp(entry.name, name) == 0) {
            *ret = entry;
            return 1;
        }
        at = entry.offset + entry.size;
    }
    return r;
}

static int copy_through(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size)
{
    _cleanup_free_ uint8_t *buffer = malloc(COPY_SIZE);

    if (!buffer)
        return -ENOMEM;
    while (size > 0) {
        size_t step = (size_t)MIN(size, (uint64_t)COPY_SIZE);
        ssize_t n = read_all(from, buffer, step, from_offset);
        if (n < 0)
            return (int)n;
        if ((size_t)n < step)
            return -ENODATA;
        int r = write_all(to, buffer, step, to_offset);
        if (r < 0)
            return r;
        from_offset += step;
        to_offset += step;
        size -= step;
    }
    return 0;
}

int bundle_copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size)
{
    while (size > 0) {
        off_t in = (off_t)from_offset, out = (off_t)to_offset;
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)MIN(size, OFFSET_MAX), 0);
        /* Not between these two: by hand. 0 is also what some file systems say for "not here". */
        if (n <= 0 && (n == 0 || errno != ENOSPC))
            return copy_through(from, from_offset, to, to_offset, size);
        if (n < 0)
            return -errno;
        from_offset += (uint64_t)n;
        to_offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}
