/* SPDX-License-Identifier: MIT */

/*
 * A hostile task: tries what a task must not be able to do. "hostile NAME" makes one attempt, and
 * says how it went; 0 = kept out, 1 = it got somewhere. What there is to attack comes by variables:
 * P2_SOCKET, P2_STATE, P2_KEYS, P2_ROOT (where tasks have their directories), P2_PID, P2_EXEC (the
 * daemon and p2pnode-exec), P2_ADDRESS and P2_PORT.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOMB_MAX 3000

/* What it got; "" = nothing. */
static char got[512];

static const char *get(const char *name)
{
    const char *value = getenv(name);

    if (!value) {
        fprintf(stderr, "%s is not set\n", name);
        exit(2);
    }
    return value;
}

static pid_t get_pid(const char *name)
{
    return (pid_t)strtol(get(name), NULL, 10);
}

/* Notes that @what was possible. */
static void note(const char *what, const char *which)
{
    snprintf(got + strlen(got), sizeof(got) - strlen(got), " [%s %.100s]", what, which);
}

static void try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    char byte;

    if (fd < 0)
        return;
    /* What opens and gives nothing is nothing, as with /proc/PID/mem. */
    if (flags != O_RDONLY || read(fd, &byte, 1) > 0)
        note(flags == O_RDONLY ? "read" : "opened to write", path);
    close(fd);
}

static void try_list(const char *path)
{
    DIR *dir = opendir(path);

    if (dir) {
        note("listed", path);
        closedir(dir);
    }
}

static void try_file(const char *directory, const char *name, int flags)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    try_open(path, flags);
}

static void attempt_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0)
        return;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", get("P2_SOCKET"));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        note("connected to", address.sun_path);
}

static void attempt_keys(void)
{
    try_open(get("P2_KEYS"), O_RDONLY);
    try_file(get("P2_STATE"), "keyring", O_RDONLY);
    try_open("/etc/p2pnode/keys", O_RDONLY);
}

static void attempt_state(void)
{
    try_list(get("P2_STATE"));
    try_file(get("P2_STATE"), "state.db", O_RDONLY);
    try_file(get("P2_STATE"), "state.db", O_RDWR);
    try_file(get("P2_STATE"), "identity", O_RDONLY);
    try_open("/etc/shadow", O_RDONLY);
    try_open("/etc/passwd", O_RDONLY);
}

/* Directories of other tasks, and ways around: by links and by what is above. */
static void attempt_other_tasks(void)
{
    char path[PATH_MAX], name[32];

    try_list(get("P2_ROOT"));
    for (int i = 0; i < 16; i++) {
        snprintf(name, sizeof(name), "task-%d/secret", i);
        try_file(get("P2_ROOT"), name, O_RDONLY);
        snprintf(path, sizeof(path), "../%s", name);
        try_open(path, O_RDONLY);
        snprintf(path, sizeof(path), "/proc/%s/cwd/%s", get("P2_EXEC"), name);
        try_open(path, O_RDONLY);
    }
}

static void attempt_links(void)
{
    char path[PATH_MAX];

    (void)symlink(get("P2_KEYS"), "link");
    try_open("link", O_RDONLY);
    (void)symlink("/", "root");
    snprintf(path, sizeof(path), "root%s", get("P2_KEYS"));
    try_open(path, O_RDONLY);
    if (link(get("P2_KEYS"), "hard") == 0)
        try_open("hard", O_RDONLY);
    (void)symlink("/etc", "etc");
    try_open("etc/passwd", O_RDONLY);
    snprintf(path, sizeof(path), "root%s/escaped", get("P2_STATE"));
    try_open(path, O_WRONLY | O_CREAT);
    try_open("/proc/self/root/etc/passwd", O_RDONLY);
}

static void attempt_proc(void)
{
    static const char *const names[] = {"environ", "mem", "maps", "root", "cwd"};
    const pid_t pids[] = {get_pid("P2_PID"), get_pid("P2_EXEC"), getppid(), 1};
    char path[64], target[PATH_MAX];

    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            /* In a namespace of its own these numbers are its own. */
            if (pids[i] == getpid() || pids[i] <= 0)
                continue;
            snprintf(path, sizeof(path), "/proc/%d/%s", (int)pids[i], names[j]);
            if (j >= 3)
                try_list(path);
            else
                try_open(path, O_RDONLY);
            if (readlink(path, target, sizeof(target)) > 0)
                note("followed", path);
        }
    /* How many files another process has open is no secret, what they are is one. */
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
        for (int fd = 0; fd < 64 && pids[i] > 0 && pids[i] != getpid(); fd++) {
            snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pids[i], fd);
            if (readlink(path, target, sizeof(target)) > 0)
                note("followed", path);
            try_open(path, O_RDONLY);
            try_open(path, O_WRONLY);
        }
}

/* Its supervisor, p2pnode-exec, the daemon: all of them go on. */
static void attempt_signal(void)
{
    if (kill(get_pid("P2_PID"), 0) == 0)
        note("can signal", "the daemon");
    if (kill(get_pid("P2_EXEC"), 0) == 0)
        note("can signal", "p2pnode-exec");
    if (getppid() ==
        1) /* in a namespace of its own: outside of one this would be all of the user's */
        (void)kill(-1, SIGKILL);
    (void)kill(getppid(), SIGKILL);
    (void)kill(getppid(), SIGSTOP);
}

static void attempt_trace(void)
{
    const pid_t pids[] = {get_pid("P2_PID"), get_pid("P2_EXEC"), getppid()};
    char byte = 0;
    struct iovec ours = {&byte, 1}, its = {got, 1};

    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        if (ptrace(PTRACE_SEIZE, pids[i], NULL, NULL) == 0)
            note("traces", "a process");
        if (process_vm_readv(pids[i], &ours, 1, &its, 1, 0) > 0)
            note("reads memory of", "a process");
    }
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
        note("is traced", "by its supervisor");
}

static void attempt_network(void)
{
    static const int families[] = {AF_PACKET, AF_VSOCK, AF_BLUETOOTH, AF_ALG, AF_CAN, AF_TIPC};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(get("P2_PORT")))};
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};

    inet_pton(AF_INET, get("P2_ADDRESS"), &address.sin_addr);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int fd = socket(AF_INET, types[i], types[i] == SOCK_RAW ? IPPROTO_ICMP : 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
            send(fd, "x", 1, MSG_NOSIGNAL) == 1)
            note("sent to", get("P2_ADDRESS"));
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (socket(families[i], SOCK_RAW, 0) >= 0 || socket(families[i], SOCK_DGRAM, 0) >= 0 ||
            socket(families[i], SOCK_SEQPACKET, 0) >= 0)
            note("has a socket", "of another family");
}

/* Waits for the end of the task, as all of them do. */
static void attempt_bomb(void)
{
    int count = 0;
    pid_t pid;

    while (count < BOMB_MAX && (pid = fork()) >= 0) {
        if (pid == 0)
            for (;;)
                pause();
        count++;
    }
    printf("%d processes\n", count);
    if (count >= 1024)
        note("had", "1024 processes and more");
}

/* Goes on when the task has ended. */
static void attempt_outlive(void)
{
    char name[] = "sleep", time[] = "1000.77";
    char *const words[] = {name, time, NULL}, *const none[] = {NULL};

    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            setsid();
            (void)prctl(PR_SET_PDEATHSIG, 0);
            (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
            if (fork() == 0) {
                setsid();
                (void)!chdir("/");
                for (int fd = 0; fd < 3; fd++)
                    close(fd);
                execve("/usr/bin/sleep", words, none);
            }
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
}

/* What was left open for it, and what it does to its own. */
static void attempt_descriptors(void)
{
    char text[32];

    for (int fd = 3; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            snprintf(text, sizeof(text), "%d", fd);
            note("inherited", text);
        }
    for (int fd = 0; fd < 3; fd++) {
        (void)fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND);
        (void)fcntl(fd, F_SETPIPE_SZ, 1 << 24);
        (void)ftruncate(fd, 1L << 40);
        (void)lseek(fd, 1L << 40, SEEK_SET);
        (void)ioctl(fd, TIOCSTI, "x");
    }
    if (write(0, "x", 1) == 1)
        note("wrote to", "its standard input");
}

static void attempt_namespaces(void)
{
    static const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    int fd = open("/proc/1/ns/mnt", O_RDONLY);

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (unshare(flags[i]) == 0 ||
            (pid_t)syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0) >= 0)
            note("made", "a namespace");
    if (fd >= 0 && setns(fd, 0) == 0)
        note("entered", "another namespace");
    if (mount("tmpfs", ".", "tmpfs", 0, NULL) == 0 || mount("proc", ".", "proc", 0, NULL) == 0 ||
        umount2("/proc", MNT_DETACH) == 0)
        note("mounted", "something");
    if (chroot(".") == 0 || syscall(SYS_pivot_root, ".", ".") == 0)
        note("changed", "its root");
}

static void attempt_kernel(void)
{
    static char attributes[256];
    static const char *const files[] = {"/proc/sys/kernel/core_pattern",
                                        "/proc/sysrq-trigger",
                                        "/proc/sys/kernel/hostname",
                                        "/sys/power/state",
                                        "/dev/mem",
                                        "/dev/kmsg",
                                        "/dev/sda",
                                        "/dev/nvme0n1"};

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        try_open(files[i], O_WRONLY);
    if (syscall(SYS_bpf, 5, attributes, sizeof(attributes)) >= 0)
        note("has", "bpf");
    if (syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) >= 0)
        note("has", "perf");
    if (syscall(SYS_io_uring_setup, 4, attributes) >= 0)
        note("has", "io_uring");
    if (syscall(SYS_userfaultfd, 0) >= 0)
        note("has", "userfaultfd");
    if (syscall(SYS_add_key, "user", "p2", "x", 1, -3) >= 0)
        note("has", "keys");
    if (sethostname("x", 1) == 0)
        note("changed", "the name of the machine");
}

static void attempt_privileges(void)
{
    struct stat status;

    if (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0)
        note("became", "root");
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        note("gets privileges of", "setuid programs");
    if (chown(".", 0, 0) == 0 && stat(".", &status) == 0 && status.st_uid == 0)
        note("gave away", "its directory");
    if (mknod("device", S_IFBLK | 0600, 0x0800) == 0)
        note("made", "a device");
}

static void attempt_limits(void)
{
    static const int resources[] = {RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_DATA};
    const struct sched_param real_time = {.sched_priority = 1};
    int fd;

    for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
        struct rlimit limit;
        if (getrlimit(resources[i], &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
            continue;
        limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
        if (setrlimit(resources[i], &limit) == 0)
            note("raised", "a limit");
    }
    if (sched_setscheduler(0, SCHED_FIFO, &real_time) == 0)
        note("runs", "in real time");
    if (setpriority(PRIO_PROCESS, 0, -20) == 0)
        note("has", "a better priority");
    fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd >= 0 && write(fd, "-1000", 5) == 5)
        note("is spared", "when memory is short");
    /* What its supervisor and all tasks share. */
    try_open("/proc/1/oom_score_adj", O_WRONLY);
    try_open("/proc/1/coredump_filter", O_WRONLY);
    try_open("/proc/self/autogroup", O_WRONLY);
    try_open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);
    try_list("/sys/fs/cgroup");
}

/* Prints for ever. */
static void attempt_output(void)
{
    static char line[65536];

    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 1024; i++)
        if (write(STDOUT_FILENO, line, sizeof(line)) < 0 ||
            write(STDERR_FILENO, line, sizeof(line)) < 0)
            return;
}

/* Until there is no room, or 1 GiB. */
static void attempt_fill(void)
{
    static char block[1 << 20];
    int fd = open("full", O_WRONLY | O_CREAT, 0600), count = 0;

    while (count < 1024 && write(fd, block, sizeof(block)) > 0)
        count++;
    printf("%d times, then %s\n", count, count < 1024 ? strerror(errno) : "enough");
}

static const struct {
    const char *name;
    void (*attempt)(void);
} attempts[] = {
    {"socket", attempt_socket},         {"keys", attempt_keys},
    {"state", attempt_state},           {"other-tasks", attempt_other_tasks},
    {"links", attempt_links},           {"proc", attempt_proc},
    {"signal", attempt_signal},         {"trace", attempt_trace},
    {"network", attempt_network},       {"bomb", attempt_bomb},
    {"outlive", attempt_outlive},       {"descriptors", attempt_descriptors},
    {"namespaces", attempt_namespaces}, {"kernel", attempt_kernel},
    {"privileges", attempt_privileges}, {"limits", attempt_limits},
    {"output", attempt_output},         {"fill", attempt_fill},
};

int main(int argc, char **argv)
{
    const size_t count = sizeof(attempts) / sizeof(attempts[0]);

    for (size_t i = 0; i < count; i++) {
        if (argc != 2)
            puts(attempts[i].name);
        else if (strcmp(argv[1], attempts[i].name) == 0) {
            attempts[i].attempt();
            printf("%s%s\n", *got ? "got" : "kept out", got);
            return *got ? 1 : 0;
        }
    }
    return argc == 2 ? 2 : 0;
}
