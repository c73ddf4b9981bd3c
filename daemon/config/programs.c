/* SPDX-License-Identifier: MIT */
#include "config/programs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/words.h"

/* One look at all of them. */
struct look {
    const struct config *config;
    bool is_unit;
    void (*each)(const struct program_trouble *trouble, void *data);
    void *data;
    struct program_trouble trouble;
};

/* What makes a folder look empty to a unit. */
static const struct {
    const char *directory;
    const char *setting;
} hidden[] = {
    {"/home", "ProtectHome="}, {"/root", "ProtectHome="},   {"/run/user", "ProtectHome="},
    {"/tmp", "PrivateTmp="},   {"/var/tmp", "PrivateTmp="},
};

static bool is_below(const char *path, const char *place)
{
    size_t size = strlen(place);

    while (size > 0 && place[size - 1] == '/')
        size--;
    return strncmp(path, place, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static bool is_below_any(const char *path, const struct config_strings *places)
{
    for (size_t i = 0; i < places->count; i++)
        if (is_below(path, places->items[i]))
            return true;
    return false;
}

static bool tasks_see(const struct config *config, const char *path)
{
    const struct config_sandbox_rules *sandbox = &config->sandbox;

    return sandbox->mode == CONFIG_SANDBOX_NONE || is_below_any(path, &sandbox->read) ||
           is_below_any(path, &sandbox->write);
}

static const char *find_hiding(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        if (is_below(path, hidden[i].directory))
            return hidden[i].setting;
    return NULL;
}

static void _printf_(4, 5)
    tell(struct look *look, const char *who, const char *fix, const char *format, ...)
{
    struct program_trouble *trouble = &look->trouble;
    va_list arguments;

    int used = snprintf(trouble->message, PROGRAM_TEXT_MAX / 2, "%s%s", who, *who ? ": " : "");
    used = MIN(used, PROGRAM_TEXT_MAX / 2 - 1);
    va_start(arguments, format);
    vsnprintf(trouble->message + used, PROGRAM_TEXT_MAX - (size_t)used, format, arguments);
    va_end(arguments);
    snprintf(trouble->fix, sizeof(trouble->fix), "%s; then p2pctl reload", fix);
    look->each(trouble, look->data);
}

/* Whether there is a program at @path. */
static void look_at_file(struct look *look, const char *who, const char *path)
{
    char fix[PROGRAM_TEXT_MAX / 2];
    struct stat status;

    snprintf(fix, sizeof(fix), "put it there, or correct %s", look->trouble.key);
    if (stat(path, &status) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            tell(look, who, fix, "there is no %.200s", path);
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        tell(look, who, fix, "%.200s is no program", path);
    } else if (!(status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH))) {
        snprintf(fix, sizeof(fix), "chmod a+x %.200s", path);
        tell(look, who, fix, "%.200s is not executable", path);
    }
}

/* @is_task: it runs in the sandbox of tasks. @command: "" or NULL = none. */
static int look_at(struct look *look, const char *who, const char *command, bool is_task)
{
    _cleanup_free_ char **words = NULL;
    int r = command && *command ? words_split(command, &words) : 0;

    if (r <= 0 || *words[0] != '/')
        return r == -ENOMEM ? r : 0;
    const char *path = words[0], *setting = look->is_unit ? find_hiding(path) : NULL;
    if (is_task && !tasks_see(look->config, path))
        tell(look, who, "move it below /usr, or add its directory to sandbox.read",
             "tasks do not see %.200s: it is in neither sandbox.read nor sandbox.write", path);
    else if (setting)
        tell(look, who, "move it, below /usr or /opt",
             "the unit that runs it, p2pnode-exec@, does not see %.200s (%s)", path, setting);
    else
        look_at_file(look, who, path);
    return 0;
}

int programs_check(const struct config *config, bool is_unit,
                   void (*each)(const struct program_trouble *trouble, void *data), void *data)
{
    struct look look = {.config = config, .is_unit = is_unit, .each = each, .data = data};
    const struct config_tasks *tasks = &config->tasks;
    char who[96];
    int r = 0;

    look.trouble.key = "tasks.types";
    for (size_t i = 0; i < tasks->types_count && tasks->enabled && r == 0; i++) {
        snprintf(who, sizeof(who), "type \"%s\"", tasks->types[i].name ? tasks->types[i].name : "");
        r = look_at(&look, who, tasks->types[i].command, true);
    }
    look.trouble.key = "tasks.on_done";
    if (r == 0)
        r = look_at(&look, "", tasks->on_done, false);
    look.trouble.key = "messages.handler";
    if (r == 0)
        r = look_at(&look, "", config->messages.handler, false);
    look.trouble.key = "hooks";
    for (size_t i = 0; i < config->hooks_count && r == 0; i++) {
        snprintf(who, sizeof(who), "%s", config->hooks[i].event ? config->hooks[i].event : "");
        r = look_at(&look, who, config->hooks[i].command, false);
    }
    return r;
}
