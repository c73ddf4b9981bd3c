/* SPDX-License-Identifier: MIT */
#include "paths.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/macro.h"

/* Return: 0; 1 where it was there; -errno. The umask has no say. */
static int make_one(const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0)
        return errno == EEXIST ? 1 : -errno;
    return chmod(path, mode) < 0 ? -errno : 0;
}

/* Makes @path and what is missing above it. */
static int make_directory(const char *path, mode_t mode)
{
    char text[PATH_MAX];

    if (!*path)
        return -ENOENT;
    if (snprintf(text, sizeof(text), "%s", path) >= (int)sizeof(text))
        return -ENAMETOOLONG;
    for (char *slash = strchr(text + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = make_one(text, 0755);
        if (r < 0)
            return r;
        *slash = '/';
    }
    int r = make_one(text, mode);
    return MIN(r, 0);
}

static const char *get_variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int get_user_state_dir(const char *instance, char **ret)
{
    const char *state = get_variable("XDG_STATE_HOME"), *home = get_variable("HOME");
    int r;

    if (!state && !home)
        return -ENOENT;
    r = state ? asprintf(ret, "%s/p2pnode/%s", state, instance)
              : asprintf(ret, "%s/.local/state/p2pnode/%s", home, instance);
    return r < 0 ? -ENOMEM : 0;
}

int paths_get_state_dir(const char *configured, const char *instance, char **ret)
{
    const char *systemd = get_variable("STATE_DIRECTORY");
    _cleanup_free_ char *path = NULL;
    int r = 0;

    if (*configured)
        path = strdup(configured);
    else if (systemd)
        path = strndup(systemd, strcspn(systemd, ":"));
    else if (geteuid() == 0)
        r = asprintf(&path, "/var/lib/p2pnode/%s", instance) < 0 ? -ENOMEM : 0;
    else
        r = get_user_state_dir(instance, &path);
    if (r < 0 || !path)
        return r < 0 ? r : -ENOMEM;
    r = make_directory(path, 0711);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(path);
    return 0;
}

int paths_get_socket(const char *configured, const char *instance, char **ret)
{
    const char *systemd = get_variable("RUNTIME_DIRECTORY"),
               *user = get_variable("XDG_RUNTIME_DIR");
    _cleanup_free_ char *directory = NULL;
    char *path;
    int r;

    if (*configured) {
        path = strdup(configured);
        return path ? (*ret = path, 0) : -ENOMEM;
    }
    if (systemd)
        directory = strndup(systemd, strcspn(systemd, ":"));
    else if (geteuid() == 0)
        directory = strdup("/run/p2pnode");
    else if (!user)
        return -ENOENT;
    else if (asprintf(&directory, "%s/p2pnode", user) < 0)
        directory = NULL;
    if (!directory)
        return -ENOMEM;
    r = make_directory(directory, 0755);
    if (r < 0)
        return r;
    if (asprintf(&path, "%s/%s.sock", directory, instance) < 0)
        return -ENOMEM;
    *ret = path;
    return 0;
}

int paths_link_socket(const char *socket, const char *instance, char **ret)
{
    const char *systemd = get_variable("RUNTIME_DIRECTORY");
    _cleanup_free_ char *path = NULL;
    struct stat status;

    if (!systemd)
        return 0;
    if (asprintf(&path, "%.*s/%s.sock", (int)strcspn(systemd, ":"), systemd, instance) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (strcmp(path, socket) == 0)
        return 0;
    if (lstat(path, &status) == 0) {
        if (!S_ISLNK(status.st_mode))
            return -EEXIST;
        if (unlink(path) < 0)
            return -errno;
    }
    if (symlink(socket, path) < 0)
        return -errno;
    *ret = TAKE_PTR(path);
    return 1;
}

const char *paths_get_keyring_origin(const char *configured, const char *path)
{
    bool is_handed_over = get_variable("CREDENTIALS_DIRECTORY") && strcmp(configured, "keys") == 0;

    return is_handed_over ? "/etc/p2pnode/keys" : path;
}

int paths_get_keyring(const char *configured, const char *state_dir, char **ret)
{
    const char *credentials = get_variable("CREDENTIALS_DIRECTORY");
    struct stat status;
    char *path;

    if (configured[0] == '/') {
        path = strdup(configured);
    } else {
        if (credentials && asprintf(&path, "%s/%s", credentials, configured) >= 0) {
            if (stat(path, &status) == 0 && status.st_size > 1) {
                *ret = path;
                return 0;
            }
            free(path);
        }
        if (asprintf(&path, "%s/%s", state_dir, configured) < 0)
            path = NULL;
    }
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 0;
}
