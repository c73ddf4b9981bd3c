/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "commands.h"
#include "failure.h"
#include "file.h"
#include "part.h"
#include "place.h"
#include "render.h"

/* `p2pctl file get`: what arrives is visible under its name only when all of it is there. */

/* To stdout: whoever reads there may have had enough, which is no failure to talk about. */
static bool reader_is_gone(enum error_code code)
{
    struct pollfd pollfd = {.fd = STDOUT_FILENO, .events = POLLOUT};

    (void)code;
    return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLERR;
}

static cJSON *get_parameters(const struct ctl *ctl, const struct place *place)
{
    cJSON *parameters = place_parameters(ctl, place);

    json_add_string(parameters, "name", place->rest);
    return parameters;
}

static int get_to_stdout(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *end = NULL;

    if (ctl->globals.json != JSON_OFF)
        return fail_usage("the content and --json cannot both go to stdout");
    fflush(stdout);
    int r = file_transfer(
        ctl,
        (struct call){"GetFile", get_parameters(ctl, place), STDOUT_FILENO, true, reader_is_gone},
        place->rest, &end);
    return r == 0 && !end ? 128 + SIGPIPE : r;
}

/* --overwrite=newer: whether what was stored is younger than what lies here. */
static bool is_newer(const cJSON *end, const struct stat *here)
{
    uint64_t stored = render_parse_time(json_text(end, "modified", NULL));
    return stored / USEC_PER_SEC > (uint64_t)MAX(here->st_mtim.tv_sec, 0);
}

static int get_to_file(struct ctl *ctl, const struct place *place, const char *target)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");
    _cleanup_(part_done) struct part part = PART_NONE;
    _cleanup_json_ cJSON *end = NULL;
    struct stat here;
    bool exists = lstat(target, &here) == 0;
    int r;

    if (exists && (!overwrite || strcmp(overwrite, "never") == 0))
        return fail(ERROR_CONFLICT, NULL,
                    "to replace it: repeat the command with --overwrite=always",
                    "%s exists already", target);
    r = part_open(target, 0666, &part);
    if (r == 0)
        r = file_transfer(ctl,
                          (struct call){"GetFile", get_parameters(ctl, place), part.fd, true, NULL},
                          place->rest, &end);
    if (r != 0)
        return r;
    if (exists && strcmp(overwrite, "newer") == 0 && !is_newer(end, &here)) {
        if (!ctl->globals.quiet)
            fprintf(stderr, "%s is as new as the stored one, and was kept\n", target);
        return 0;
    }
    r = part_keep(&part, target);
    return r != 0 ? r : file_show_end(ctl, end);
}

int file_get_run(struct ctl *ctl)
{
    const char *path = ctl->options.words_count > 1 ? ctl->options.words[1] : ".";
    _cleanup_free_ char *inside = NULL;
    struct place place;
    struct stat status;
    int r;

    place_parse(ctl->options.words[0], &place);
    r = file_check_name(place.rest);
    if (r == 0)
        r = file_check_overwrite(&ctl->options);
    if (r != 0)
        return r;
    if (strcmp(path, "-") == 0)
        return get_to_stdout(ctl, &place);
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        if (asprintf(&inside, "%s/%s", path, place.rest) < 0)
            return fail_memory();
        path = inside;
    }
    return get_to_file(ctl, &place, path);
}
