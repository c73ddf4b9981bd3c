/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"

/* `p2pctl config`, `reload`: what the daemon goes by; and, without a daemon, whether a file is
 * right.
 */

int config_show_run(struct ctl *ctl)
{
    static const struct column plain[] = {{"KEY", "key", COLUMN_NAME, NULL},
                                          {"VALUE", "value", 0, NULL}};
    static const struct column full[] = {{"KEY", "key", COLUMN_NAME, NULL},
                                         {"VALUE", "value", 0, NULL},
                                         {"ORIGIN", "origin", 0, NULL}};
    bool origin = options_has(&ctl->options, "origin");
    const struct screen screen = {"config", origin ? full : plain,
                                  origin ? ARRAY_SIZE(full) : ARRAY_SIZE(plain)};
    const char *key = ctl->options.words_count > 0 ? ctl->options.words[0] : NULL;
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = client_parameters(ctl);

    if (key)
        json_add_string(parameters, "key", key);
    int r = client_list(ctl, (struct call){"ShowConfig", parameters, -1, false, NULL}, "config",
                        &answer);
    if (r != 0)
        return r;
    const cJSON *rows = json_member(answer, "config");
    /* One key: its value and nothing else, for scripts. */
    if (key && !origin && ctl->globals.json == JSON_OFF && cJSON_GetArraySize(rows) == 1 &&
        strcmp(json_text(rows->child, "key", ""), key) == 0) {
        const char *value = json_text(rows->child, "value", "");
        render_text(stdout, value, strlen(value));
        putchar('\n');
        return 0;
    }
    return screen_show(ctl, &screen, answer, NULL);
}

static int tell_errors(const char *path, const struct config_strings *errors)
{
    _cleanup_json_ cJSON *details = cJSON_CreateArray();

    if (!details)
        return fail_memory();
    for (size_t i = 0; i < errors->count; i++)
        cJSON_AddItemToArray(details, cJSON_CreateString(errors->items[i]));
    return fail_in_detail(ERROR_BAD_CONFIG, details, NULL, "%s: %zu error%s", path, errors->count,
                          PLURAL(errors->count));
}

int config_check_run(struct ctl *ctl)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    _cleanup_free_ char *path = NULL;

    if (ctl->options.words_count == 0 && !ctl->globals.instance)
        return fail_usage(
            "check which file? p2pctl config check FILE, or -i NAME for its file in /etc");
    if (ctl->options.words_count > 0)
        path = strdup(ctl->options.words[0]);
    else if (asprintf(&path, "/etc/p2pnode/%s.conf", ctl->globals.instance) < 0)
        path = NULL;
    if (!path)
        return fail_memory();
    int r = config_load(path, environ, &config, &errors);
    if (r == -ENOMEM)
        return fail_memory();
    if (r < 0)
        return tell_errors(path, &errors);
    if (ctl->globals.json != JSON_OFF) {
        _cleanup_json_ cJSON *answer = cJSON_CreateObject();
        json_add_string(answer, "schema", "p2pctl.config-check/1");
        json_add_string(answer, "file", path);
        json_add_bool(answer, "ok", true);
        cJSON *warnings = cJSON_AddArrayToObject(answer, "warnings");
        for (size_t i = 0; i < config->warnings.count; i++)
            cJSON_AddItemToArray(warnings, cJSON_CreateString(config->warnings.items[i]));
        return render_json(ctl, answer, NULL);
    }
    for (size_t i = 0; i < config->warnings.count && !ctl->globals.quiet; i++) {
        fputs("warning: ", stderr);
        render_text(stderr, config->warnings.items[i], strlen(config->warnings.items[i]));
        fputc('\n', stderr);
    }
    if (ctl_is_chatty(ctl))
        fprintf(stderr, "%s: no errors\n", path);
    return 0;
}

/* "reloaded: log.level tasks.slots" */
static void print_keys(const char *what, const cJSON *keys, const char *none)
{
    if (cJSON_GetArraySize(keys) == 0 && !none)
        return;
    printf("%s:", what);
    if (cJSON_GetArraySize(keys) == 0)
        printf(" %s", none);
    json_for_each (key, keys) {
        putchar(' ');
        render_text(stdout, cJSON_IsString(key) ? key->valuestring : "?",
                    cJSON_IsString(key) ? strlen(key->valuestring) : 1);
    }
    putchar('\n');
}

int reload_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r =
        client_call(ctl, (struct call){"Reload", client_parameters(ctl), -1, false, NULL}, &answer);

    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    print_keys("reloaded", json_member(answer, "changed"), "nothing changed");
    print_keys("needs restart", json_member(answer, "needs_restart"), NULL);
    return 0;
}

int config_dump_default_run(struct ctl *ctl)
{
    _cleanup_free_ char *text = config_dump_default();

    (void)ctl;
    if (!text)
        return fail_memory();
    fputs(text, stdout);
    return 0;
}
