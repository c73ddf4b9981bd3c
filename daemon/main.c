/* SPDX-License-Identifier: MIT */

/* p2pnode: options, configuration, log; then the node. Never forks: systemd, a container or a shell
 * holds it. */

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/json_pool.h"
#include "base/log.h"
#include "base/stdfd.h"
#include "base/text.h"
#include "config/config.h"
#include "journal.h"
#include "node.h"

#define EXIT_USAGE      2
#define EXIT_BAD_CONFIG 78
#define CONFIG_DIR      "/etc/p2pnode"

/* Of malloc. In one for all the loop would wait for a thread of the files lane that was put aside
 * while it had the lock: up to 17 ms were seen. Threads that are not there cost nothing. */
#define HEAPS_MAX 8

struct options {
    const char *config_path;
    const char *instance;
    bool check_config;
};

static void print_help(void)
{
    puts("p2pnode [-c FILE] [-i INSTANCE] [--check-config] [--version] [--help]\n"
         "\n"
         "Makes this machine a member of a cluster that shares CPU, memory and disk.\n"
         "\n"
         "  -c, --config FILE        read FILE; alone, the instance is named after it\n"
         "  -i, --instance INSTANCE  alone: read " CONFIG_DIR "/INSTANCE.conf\n"
         "      --check-config       tell all errors of the configuration, and end\n"
         "  -V, --version            print the version, and end\n"
         "  -h, --help               print this, and end\n"
         "\n"
         "p2pctl talks to it. See p2pnode(8) and p2pnode.conf(5).");
}

/* Return: -1 to go on, or the exit code. */
static int parse_options(int argc, char **argv, struct options *ret)
{
    enum { OPTION_CHECK_CONFIG = 256 };
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"instance", required_argument, NULL, 'i'},
        {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "c:i:Vh", long_options, NULL)) >= 0)
        switch (option) {
        case 'c':
            ret->config_path = optarg;
            break;
        case 'i':
            ret->instance = optarg;
            break;
        case OPTION_CHECK_CONFIG:
            ret->check_config = true;
            break;
        case 'V':
            puts("p2pnode " P2PNODE_VERSION);
            return 0;
        case 'h':
            print_help();
            return 0;
        default:
            fputs("hint: p2pnode --help\n", stderr);
            return EXIT_USAGE;
        }
    if (optind < argc) {
        fprintf(stderr, "p2pnode: unexpected argument \"%s\"\nhint: p2pnode --help\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    if (!ret->config_path && !ret->instance) {
        fputs("p2pnode: which node? give -i INSTANCE or -c FILE\nhint: p2pnode --help\n", stderr);
        return EXIT_USAGE;
    }
    return -1;
}

/* "lab" of "/etc/p2pnode/lab.conf". */
static char *instance_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');

    return strndup(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

/* Return: 0, or the exit code; all errors and warnings are told. */
static int load_config(const char *path, struct config **ret)
{
    _cleanup_strings_ struct config_strings errors = {0};
    int r = config_load(path, environ, ret, &errors);

    for (size_t i = 0; r == 0 && i < (*ret)->warnings.count; i++)
        fprintf(stderr, "warning: %s\n", text_mask_controls((*ret)->warnings.items[i]));
    for (size_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s\n", text_mask_controls(errors.items[i]));
    if (r == -ENOMEM)
        fputs("p2pnode: out of memory\n", stderr);
    return r == 0 ? 0 : r == -EINVAL ? EXIT_BAD_CONFIG : EXIT_FAILURE;
}

/* Before any thread is: all of them inherit the mask. */
static void block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

/* One life of the node, and another with a new id where its own turns out to be somebody else's.
 * Return: the exit code. */
static int run(const char *instance, const char *path, struct config *config)
{
    struct renewal renewal = {0};
    int r;

    for (;;) {
        _cleanup_(node_freep) struct node *node = NULL;
        r = node_new(instance, path, config, &renewal, &node);
        if (r != 0)
            config_free(config);
        else
            r = node_run(node, &renewal);
        if (r != NODE_AGAIN || (r = load_config(path, &config)) != 0)
            break;
    }
    return r;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    _cleanup_free_ char *path = NULL, *instance = NULL;
    _cleanup_(config_freep) struct config *config = NULL;
    int r = stdfd_hold();

    if (r < 0)
        return EXIT_FAILURE;
    r = parse_options(argc, argv, &options);
    if (r >= 0)
        return r;
    path = options.config_path ? strdup(options.config_path) : NULL;
    if (!path && asprintf(&path, CONFIG_DIR "/%s.conf", options.instance) < 0)
        return EXIT_FAILURE;
    instance = options.instance ? strdup(options.instance) : instance_of(path);
    if (!instance)
        return EXIT_FAILURE;
    if (!text_is_node_name(instance)) {
        fprintf(stderr,
                "p2pnode: \"%s\" cannot name an instance: letters, digits, '.', '_' and '-'\n",
                instance);
        return EXIT_USAGE;
    }
    r = load_config(path, &config);
    if (r != 0 || options.check_config)
        return r;
    block_signals();
    (void)mallopt(M_ARENA_MAX, HEAPS_MAX);
    json_pool_start();
    umask(0077);
    (void)journal_open(config);
    r = run(instance, path, TAKE_PTR(config));
    journal_close();
    return r;
}
