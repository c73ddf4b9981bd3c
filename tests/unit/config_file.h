/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration from a text, and what was complained about, for the tests of config/. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "config/config.h"

struct config_file {
    char directory[64];
    char path[128];
    struct config *config;
    struct config_strings errors;
    int result;
};

static inline void config_file_write(const char *directory, const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static inline void config_file_begin(struct config_file *file)
{
    *file = (struct config_file){.directory = "/tmp/p2pnode-config-XXXXXX"};
    assert_non_null(mkdtemp(file->directory));
    snprintf(file->path, sizeof(file->path), "%s/lab.conf", file->directory);
}

static inline void config_file_load(struct config_file *file, const char *text,
                                    char *const *environment)
{
    config_file_write(file->directory, "lab.conf", text);
    config_strings_done(&file->errors);
    file->config = config_free(file->config);
    file->result = config_load(file->path, environment, &file->config, &file->errors);
    assert_int_equal(file->result == 0, file->errors.count == 0);
    assert_int_equal(file->result == 0, file->config != NULL);
}

/* Whether the i-th complaint is "lab.conf:LINE: TEXT", seen from the file's directory. */
static inline void config_file_assert_error(const struct config_file *file, size_t i,
                                            const char *text)
{
    assert_true(i < file->errors.count);
    const char *error = file->errors.items[i];
    size_t length = strlen(file->directory);

    if (strncmp(error, file->directory, length) == 0)
        error += length + 1;
    assert_string_equal(error, text);
}

static inline void config_file_end(struct config_file *file)
{
    static const char *const names[] = {"lab.conf", "common.conf", "config.txt"};
    char path[128];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", file->directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(file->directory);
    config_strings_done(&file->errors);
    file->config = config_free(file->config);
}
