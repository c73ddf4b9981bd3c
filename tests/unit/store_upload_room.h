/* SPDX-License-Identifier: MIT */
#pragma once

/* A file store in a directory of the test's own, and files put into it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "store/upload.h"
#include "store_fault.h"

#define QUOTA    (3 * 1024 * 1024)
#define FILE_MAX (2 * 1024 * 1024)
#define WALL     (UINT64_C(1795244870) * 1000000)

struct room {
    char *directory;
    struct files *files;
};

static const struct files_limits limits = {
    .quota = QUOTA, .file_max = FILE_MAX, .part_keep_usec = UINT64_C(3600) * 1000000};
static const uint8_t zeros[FILE_MAX + 1];

_unused_ static void room_open(struct room *room)
{
    char message[FILES_MESSAGE_MAX];

    assert_int_equal(files_open(room->directory, &limits, message, &room->files), 0);
}

_unused_ static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));

    room->directory = directory_new();
    room_open(room);
    *state = room;
    return 0;
}

_unused_ static int room_teardown(void **state)
{
    struct room *room = *state;

    fault_disarm();
    room->files = files_free(room->files);
    directory_free(room->directory);
    free(room);
    return 0;
}

_unused_ static struct upload_offer offer_of(const char *name, uint64_t size)
{
    return (struct upload_offer){.name = name,
                                 .owner = "user1",
                                 .size = size,
                                 .modified_wall_usec = WALL,
                                 .overwrite = UPLOAD_ALWAYS};
}

_unused_ static int put(struct files *files, const struct upload_offer *offer, const void *data,
                        size_t size)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    int r = upload_new(files, offer, NULL, &upload);

    if (r == 0)
        r = upload_write(upload, data, size);
    return r == 0 ? upload_commit(upload, NULL, NULL) : r;
}

_unused_ static int put_text(struct files *files, const char *name, const char *text)
{
    struct upload_offer offer = offer_of(name, strlen(text));

    return put(files, &offer, text, strlen(text));
}

_unused_ static void expect_content(struct files *files, const char *name, const char *text)
{
    _cleanup_close_ int fd = -EBADF;
    struct files_info info;
    char content[256] = "";

    assert_int_equal(files_open_read(files, name, &fd, &info), 0);
    assert_int_equal(info.size, strlen(text));
    assert_int_equal(read(fd, content, sizeof(content)), strlen(text));
    assert_string_equal(content, text);
}

_unused_ static size_t count_parts(const struct room *room)
{
    char path[256];
    size_t count = 0;

    for (unsigned i = 0; i < 64; i++) {
        snprintf(path, sizeof(path), "%s/-parts/%u.part", room->directory, i);
        count += access(path, F_OK) == 0;
    }
    return count;
}

_unused_ static struct files_usage usage_of(struct files *files)
{
    struct files_usage usage;

    files_get_usage(files, &usage);
    return usage;
}
