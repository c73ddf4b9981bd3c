/* SPDX-License-Identifier: MIT */
#include "exec/filter.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Refused with EPERM. A name that this libseccomp or this machine does not know is passed over. */
static const char *const denied[] = {
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
    /* mounts and namespaces */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "setns", "unshare", "open_by_handle_at",
    /* the kernel */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "fanotify_init", "lookup_dcookie", "modify_ldt", "iopl", "ioperm", "syslog",
    /* keys */
    "keyctl", "add_key", "request_key",
    /* the machine */
    "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "settimeofday",
    "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime",
    "sethostname", "setdomainname", "vhangup", "nfsservctl"};

static const int namespace_flags[] = {CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNS,  CLONE_NEWIPC,
                                      CLONE_NEWUTS,  CLONE_NEWCGROUP, CLONE_NEWNET, CLONE_NEWTIME};

static void releasep(scmp_filter_ctx *context)
{
    if (*context)
        seccomp_release(*context);
}

static int add_sockets(scmp_filter_ctx context, enum filter_kind kind)
{
    const int last_family = AF_MAX > 64 ? AF_MAX : 64;
    int r = 0;

    if (kind == FILTER_NO_SOCKETS)
        return seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 0);
    for (int family = 0; family < last_family && r >= 0; family++) {
        if (family == AF_INET || family == AF_INET6 || family == AF_NETLINK ||
            (family == AF_UNIX && kind == FILTER_NAMESPACES))
            continue;
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    }
    return r;
}

static int add_rules(scmp_filter_ctx context, enum filter_kind kind)
{
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
        int number = seccomp_syscall_resolve_name(denied[i]);
        if (number == __NR_SCMP_ERROR || number < 0)
            continue;
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(namespace_flags); i++) {
        const scmp_datum_t flag = (scmp_datum_t)namespace_flags[i];
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        if (r < 0)
            return r;
    }
    /* Its flags are in memory, out of a filter's reach; without it the C library takes clone. */
    r = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (r >= 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                             SCMP_A0(SCMP_CMP_NE, 0, 0));
    if (r >= 0)
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
    return r < 0 ? r : add_sockets(context, kind);
}

int filter_init(enum filter_kind kind, struct filter *filter)
{
    _cleanup_(releasep) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    _cleanup_close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat status;
    int r;

    if (!context)
        return -ENOMEM;
    if (fd < 0)
        return -errno;
    /* Programs of another word size see EPERM everywhere rather than calls by other numbers. */
    r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    /* A tree, not a list: at each installation the kernel runs the program for every call that
     * there is, to remember those that are always allowed. */
    if (r >= 0)
        r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r >= 0)
        r = add_rules(context, kind);
    if (r >= 0)
        r = seccomp_export_bpf(context, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0)
        return -errno;
    size_t size = (size_t)status.st_size;
    _cleanup_free_ struct sock_filter *code = malloc(size);
    if (!code)
        return -ENOMEM;
    if (pread(fd, code, size, 0) != (ssize_t)size)
        return -EIO;
    filter->code = TAKE_PTR(code);
    filter->count = size / sizeof(*code);
    return 0;
}

void filter_done(struct filter *filter)
{
    free(filter->code);
    *filter = (struct filter){0};
}

int filter_install(const struct filter *filter)
{
    struct sock_fprog program = {.len = (unsigned short)filter->count, .filter = filter->code};

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        return -errno;
    return 0;
}
