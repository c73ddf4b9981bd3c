/* SPDX-License-Identifier: MIT */

/*
 * main() of a fuzz target that is built as an ordinary program: feeds it every file that the
 * command line names, and every file in the folders that it names. Prints how many there were.
 * Built with libFuzzer, a target has a main() of its own and this file stays out.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (4U << 20)

static void fclosep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

static void closedirp(DIR **folder)
{
    if (*folder)
        (void)closedir(*folder);
}

/* Return: 0, or a negative errno. */
static int replay_file(const char *path)
{
    _cleanup_(fclosep) FILE *file = fopen(path, "re");
    _cleanup_free_ uint8_t *data = NULL;
    struct stat status;

    if (!file || fstat(fileno(file), &status) < 0)
        return -errno;
    if (status.st_size > INPUT_MAX)
        return -EFBIG;
    /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
    data = malloc(status.st_size > 0 ? (size_t)status.st_size : 1);
    if (!data)
        return -ENOMEM;
    size_t size = fread(data, 1, (size_t)status.st_size, file);
    if (ferror(file))
        return -EIO;
    (void)LLVMFuzzerTestOneInput(data, size);
    return 0;
}

/* Return: how many files there were, or a negative errno. */
static int replay(const char *path)
{
    _cleanup_(closedirp) DIR *folder = opendir(path);
    int count = 0;

    if (!folder) {
        int r = replay_file(path);
        return r < 0 ? r : 1;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        _cleanup_free_ char *name = NULL;
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
            return -ENOMEM;
        int r = replay(name);
        if (r < 0)
            return r;
        count += r;
    }
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        int r = replay(argv[i]);
        if (r < 0) {
            fprintf(stderr, "%s: %s: %s\n", argv[0], argv[i], strerror(-r));
            return 1;
        }
        count += r;
    }
    printf("%s: %d inputs\n", argv[0], count);
    return 0;
}
