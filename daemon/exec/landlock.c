/* SPDX-License-Identifier: MIT */
#include "exec/landlock.h"

#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What the headers of the oldest system we build on lack. */
#define ACCESS_TRUNCATE  (1ULL << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define SCOPE_ABSTRACT   (1ULL << 0)  /* ABI 6 */
#define SCOPE_SIGNAL     (1ULL << 1)

struct ruleset_attributes {
    uint64_t handled_fs;
    uint64_t handled_net;
    uint64_t scoped;
};

#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* All rights that a kernel of @abi knows. */
static uint64_t known_rights(int abi)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= ACCESS_TRUNCATE;
    if (abi >= 5)
        rights |= ACCESS_IOCTL_DEV;
    return rights;
}

static uint64_t rights_of(enum landlock_right right)
{
    switch (right) {
    case LANDLOCK_READ:
        return LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
               LANDLOCK_ACCESS_FS_READ_DIR;
    case LANDLOCK_WRITE:
        return ~(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | ACCESS_IOCTL_DEV);
    case LANDLOCK_DEVICE:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE;
    case LANDLOCK_LIST:
        return LANDLOCK_ACCESS_FS_READ_DIR;
    case LANDLOCK_PROCESS:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
               LANDLOCK_ACCESS_FS_READ_DIR | ACCESS_TRUNCATE;
    }
    return 0;
}

int landlock_get_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? -errno : (int)abi;
}

int landlock_new_ruleset(int abi)
{
    struct ruleset_attributes attributes = {.handled_fs = known_rights(abi)};
    size_t size = sizeof(attributes.handled_fs);

    if (abi >= LANDLOCK_SCOPE_ABI) {
        attributes.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
        size = sizeof(attributes);
    }
    long fd = syscall(SYS_landlock_create_ruleset, &attributes, size, 0U);
    return fd < 0 ? -errno : (int)fd;
}

int landlock_allow(int ruleset, int abi, int path_fd, enum landlock_right right)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = rights_of(right) & known_rights(abi), .parent_fd = path_fd};
    struct stat status;

    if (fstat(path_fd, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= FILE_RIGHTS;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) < 0)
        return -errno;
    return 0;
}

int landlock_enter(int ruleset)
{
    return syscall(SYS_landlock_restrict_self, ruleset, 0U) < 0 ? -errno : 0;
}
