/* SPDX-License-Identifier: MIT */

/*
 * A configuration file from anybody: it loads or it is complained about, never both, never neither;
 * what loads can be shown, dumped and compared. Includes stay out: they would read the fuzzer's
 * machine.
 */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the string that a syntax error ends. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void use(const struct config *config)
{
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};

    for (size_t i = 0; i < config_keys_count(); i++) {
        _cleanup_free_ char *value = config_format_value(config, i);
        assert(value && *config_origin(config, i));
    }
    assert(config_diff(config, config, &changed, &restart) == 0);
    assert(changed.count == 0 && restart.count == 0);
    assert(*config->node.name && config->all_seeds.count <= CONFIG_LIST_MAX);
    assert(config->membership.probe_timeout_usec <= config->membership.probe_interval_usec / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    _cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
    char path[64];

    if (fd < 0 || memmem(data, size, "@include", 8) || memmem(data, size, "seeds_file", 10) ||
        write(fd, data, size) != (ssize_t)size)
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int r = config_load(path, NULL, &config, &errors);
    assert((r == 0) == (config != NULL) && (r == 0) == (errors.count == 0));
    if (config)
        use(config);
    return 0;
}
