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

/* What is tried with a process that dies at the first call to the disk, at the second, ... */
struct crash_trial {
    void (*fill)(struct files *files);
    int (*change)(struct files *files);       /* 0 where nothing failed */
    size_t (*count)(const struct room *room); /* how much of it is seen by who comes after */
};

struct crash {
    const struct crash_trial *trial;
    char *directory;
    int at;
};

static void change_until_it_crashes(void *data)
{
    const struct crash *crash = data;
    struct room room = {.directory = crash->directory};

    room_open(&room);
    fault_arm(crash->at, FAULT_CRASH);
    if (crash->trial->change(room.files) != 0)
        _exit(3);
    fault_disarm();
    files_free(room.files);
}

/* @counts: how often each count was seen, until a process did not die any more. */
_unused_ static void crash_everywhere(const struct crash_trial *trial, size_t *counts)
{
    int code = FAULT_CRASH_CODE;

    for (int at = 1; code == FAULT_CRASH_CODE; at++) {
        _cleanup_(directory_freep) char *directory = directory_new();
        struct room room = {.directory = directory};
        struct crash crash = {.trial = trial, .directory = directory, .at = at};
        room_open(&room);
        trial->fill(room.files);
        files_free(room.files);
        code = in_child(change_until_it_crashes, &crash);
        assert_true(code == FAULT_CRASH_CODE || code == 0);
        room_open(&room);
        counts[trial->count(&room)]++;
        files_free(room.files);
    }
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

/* At each sync of one, whether another has room for all that the quota leaves. */
static struct {
    struct files *files;
    uint64_t size;
    unsigned granted;
    unsigned refused;
} rival;

static void offer_as_rival(void)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_offer offer = offer_of("rival", rival.size);

    if (upload_new(rival.files, &offer, NULL, &upload) == 0)
        rival.granted++;
    else
        rival.refused++;
}

_unused_ static void rival_begin(struct files *files, uint64_t size)
{
    rival.files = files;
    rival.size = size;
    rival.granted = rival.refused = 0;
    fault_on_sync = offer_as_rival;
}

_unused_ static void rival_end(void)
{
    fault_on_sync = NULL;
    assert_true(rival.granted > 1);
    assert_int_equal(rival.refused, 0);
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
