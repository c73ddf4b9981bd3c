/* SPDX-License-Identifier: MIT */
#include "net/port_owner.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

#define INODES_MAX 16

/* The sockets that are in the way. */
struct inodes {
    unsigned long items[INODES_MAX];
    size_t count;
};

static void close_filep(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}

static void close_folderp(DIR **folder)
{
    if (*folder)
        (void)closedir(*folder);
}

/*
 * "0100007F" is 127.0.0.1, and 32 digits are IPv6: words of network bytes, printed as numbers of
 * this machine. Return: false where it is neither.
 */
static bool parse_address(const char *text, struct address *ret)
{
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    uint32_t words[4];
    int count = sscanf(text, "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 "%8" SCNx32, &words[0], &words[1],
                       &words[2], &words[3]);

    if (count == 4) {
        memcpy(&ip6.sin6_addr, words, sizeof(words));
        return address_from_sockaddr((const struct sockaddr *)&ip6, sizeof(ip6), ret) == 0;
    }
    ip4.sin_addr.s_addr = words[0];
    return count == 1 &&
           address_from_sockaddr((const struct sockaddr *)&ip4, sizeof(ip4), ret) == 0;
}

/* Whether sockets on one port of @a and @b collide. An IPv6 wildcard may include all of IPv4. */
static bool overlap(const struct address *a, const struct address *b)
{
    const struct address *all = address_is_wildcard(a) ? a : b;

    if (address_is_wildcard(all))
        return a->family == b->family || all->family == 6;
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Reads one of /proc/net/{udp,udp6,tcp,tcp6}. */
static void read_table(const char *path, bool is_udp, const struct address *wanted,
                       struct inodes *inodes)
{
    _cleanup_(close_filep) FILE *file = fopen(path, "re");
    char line[512];

    while (file && fgets(line, sizeof(line), file) && inodes->count < INODES_MAX) {
        struct address local;
        unsigned port, state;
        unsigned long inode;
        char text[33];
        if (sscanf(line,
                   " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
                   text, &port, &state, &inode) != 4)
            continue;
        if (port != wanted->port || inode == 0 || !parse_address(text, &local) ||
            !overlap(&local, wanted))
            continue;
        if (is_udp || state == 0x0a) /* TCP: listening sockets only. */
            inodes->items[inodes->count++] = inode;
    }
}

/* Whether the process whose /proc folder is @path has one of @inodes open. */
static bool has_socket(const char *path, const struct inodes *inodes)
{
    char folder_path[300], link_path[600], target[64];
    _cleanup_(close_folderp) DIR *folder = NULL;

    (void)snprintf(folder_path, sizeof(folder_path), "%s/fd", path);
    folder = opendir(folder_path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        unsigned long inode;
        (void)snprintf(link_path, sizeof(link_path), "%s/%s", folder_path, entry->d_name);
        ssize_t size = readlink(link_path, target, sizeof(target) - 1);
        if (size <= 0)
            continue;
        target[size] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) != 1)
            continue;
        for (size_t i = 0; i < inodes->count; i++)
            if (inodes->items[i] == inode)
                return true;
    }
    return false;
}

static void read_name(const char *path, char *target, size_t target_size)
{
    _cleanup_(close_filep) FILE *file = NULL;
    char name_path[300];

    (void)snprintf(name_path, sizeof(name_path), "%s/comm", path);
    file = fopen(name_path, "re");
    if (!file || !fgets(target, (int)target_size, file))
        (void)snprintf(target, target_size, "?");
    target[strcspn(target, "\n")] = '\0';
}

void port_owner_describe(bool is_udp, const struct address *address, char *target,
                         size_t target_size)
{
    const char *protocol = is_udp ? "udp" : "tcp";
    _cleanup_(close_folderp) DIR *processes = NULL;
    struct inodes inodes = {.count = 0};
    char path[280], name[64];

    read_table(is_udp ? "/proc/net/udp" : "/proc/net/tcp", is_udp, address, &inodes);
    read_table(is_udp ? "/proc/net/udp6" : "/proc/net/tcp6", is_udp, address, &inodes);
    if (inodes.count > 0)
        processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%s", entry->d_name);
        if (!has_socket(path, &inodes))
            continue;
        read_name(path, name, sizeof(name));
        (void)snprintf(target, target_size, "%s %u is in use by pid %s (%s)", protocol,
                       address->port, entry->d_name, name);
        return;
    }
    (void)snprintf(target, target_size, "%s %u is in use", protocol, address->port);
}
