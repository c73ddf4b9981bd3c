/* SPDX-License-Identifier: MIT */

/*
 * A file that another node, or a task, says is a bundle. What is read of it stays inside of it, its
 * names never lead out, and written again it is the same.
 */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/bundle.h"
#include "base/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct bundle_entry *entry, size_t size)
{
    assert(entry->size <= size && entry->offset <= size - entry->size);
    assert(entry->mode <= 0777);
    if (entry->name[0] == '\0')
        return;
    char path[BUNDLE_NAME_MAX + 3];
    int length = snprintf(path, sizeof(path), "/%s/", entry->name);
    assert(length > 2 && (size_t)length < sizeof(path) && bundle_is_name(entry->name));
    assert(!strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../"));
}

/* Copies one file of the bundle to the end of another. Return: where that ends. */
static uint64_t copy_entry(int from, const struct bundle_entry *entry, int to, uint64_t end)
{
    int64_t offset = bundle_add_head(to, end, entry);

    assert(offset > 0);
    assert(bundle_copy(from, entry->offset, to, (uint64_t)offset, entry->size) == 0);
    return (uint64_t)offset + entry->size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC),
                        copy = memfd_create("copy", MFD_CLOEXEC);
    struct bundle_content content, again;
    struct bundle_entry entry;
    uint64_t at = 0, end;
    int r;

    assert(fd >= 0 && copy >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    r = bundle_check(fd, &content);
    assert(r == 0 || r == -EBADMSG);
    end = (uint64_t)bundle_begin(copy);
    while (bundle_next(fd, at, &entry) > 0) {
        check_entry(&entry, size);
        at = entry.offset + entry.size;
        end = copy_entry(fd, &entry, copy, end);
    }
    if (r < 0)
        return 0;
    assert(bundle_check(copy, &again) == 0);
    assert(end == size && again.count == content.count && again.size == content.size);
    return 0;
}
