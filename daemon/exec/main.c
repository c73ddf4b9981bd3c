/* SPDX-License-Identifier: MIT */

/*
 * p2pnode-exec: runs tasks for one p2pnode, and has nothing else: no network, no keys, no state.
 * Started by p2pnode as its child, or by systemd with a listening socket.
 */

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include "base/log.h"
#include "base/stdfd.h"
#include "exec/server.h"
#include "exec/workroot.h"

#define EXIT_USAGE 2

struct options {
    int socket_fd;         /* negative = the one that systemd passes */
    const char *work_root; /* NULL = $STATE_DIRECTORY */
};

static void print_help(void)
{
    puts("Usage: p2pnode-exec [OPTIONS]\n"
         "\n"
         "Runs tasks for p2pnode in a sandbox. Started by p2pnode, or by systemd with a socket.\n"
         "\n"
         "  --socket-fd N     serve the connected socket N, then end\n"
         "  --work-root DIR   where tasks have their directories (default: $STATE_DIRECTORY)\n"
         "  -h, --help        show this\n"
         "  -V, --version     show the version");
}

/* Return: -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"socket-fd", required_argument, NULL, 's'},
                                          {"work-root", required_argument, NULL, 'w'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    char *end = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "hV", known, NULL)) != -1)
        switch (c) {
        case 's':
            errno = 0;
            long fd = strtol(optarg, &end, 10);
            if (errno != 0 || *end != '\0' || fd <= STDERR_FILENO || fd > INT32_MAX) {
                fprintf(stderr, "p2pnode-exec: --socket-fd: \"%s\" is no descriptor\n", optarg);
                return EXIT_USAGE;
            }
            options->socket_fd = (int)fd;
            break;
        case 'w':
            options->work_root = optarg;
            break;
        case 'h':
            print_help();
            return EXIT_SUCCESS;
        case 'V':
            puts("p2pnode-exec " P2PNODE_VERSION);
            return EXIT_SUCCESS;
        default:
            return EXIT_USAGE;
        }
    if (optind < argc) {
        fprintf(stderr, "p2pnode-exec: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

/* Signals are as a task expects them, and enough files can be open. */
static int prepare_process(void)
{
    struct rlimit files;
    sigset_t waited;

    for (int i = 1; i <= SIGRTMAX; i++)
        if (i != SIGKILL && i != SIGSTOP)
            (void)signal(i, SIG_DFL);
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGINT);
    if (sigprocmask(SIG_SETMASK, &waited, NULL) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    files.rlim_cur = files.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

/* Return: 0; or -EINVAL where there is not exactly one SOCK_SEQPACKET socket of the right kind. */
static int find_socket(const struct options *options, int *ret_fd, bool *ret_is_listening)
{
    const bool is_listening = options->socket_fd < 0;
    int fd = options->socket_fd;

    if (is_listening) {
        if (sd_listen_fds(1) != 1)
            return -EINVAL;
        fd = SD_LISTEN_FDS_START;
    }
    if (sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, is_listening) <= 0)
        return -EINVAL;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    *ret_fd = fd;
    *ret_is_listening = is_listening;
    return 0;
}

static int serve(const char *work_root, int fd, bool is_listening)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(exec_server_freep) struct exec_server *server = NULL;
    int r = sd_event_new(&event);

    if (r >= 0)
        r = exec_server_new(event, work_root, fd, is_listening, &server);
    if (r < 0)
        return r;
    (void)sd_event_set_watchdog(event, true);
    (void)sd_notify(false, "READY=1");
    return sd_event_loop(event);
}

int main(int argc, char **argv)
{
    struct options options = {.socket_fd = -1, .work_root = getenv("STATE_DIRECTORY")};
    _cleanup_free_ char *work_root = NULL;
    bool is_listening = false;
    int fd = -EBADF;
    int r = stdfd_hold();

    if (r < 0)
        return EXIT_FAILURE;
    r = parse_options(argc, argv, &options);
    if (r >= 0)
        return r;
    if (!options.work_root) {
        fputs("p2pnode-exec: no work root: give --work-root DIR\n", stderr);
        return EXIT_USAGE;
    }
    r = find_socket(&options, &fd, &is_listening);
    if (r < 0) {
        fputs("p2pnode-exec: no socket: it is started by p2pnode or by systemd\n", stderr);
        return EXIT_USAGE;
    }
    r = prepare_process();
    if (r == 0)
        r = workroot_enter(options.work_root, &work_root);
    if (r < 0) {
        log_error_errno(r, "Cannot work in %s as a user without rights: %m", options.work_root);
        return EXIT_FAILURE;
    }
    r = serve(work_root, fd, is_listening);
    if (r < 0) {
        log_error_errno(r, "Cannot serve: %m");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
