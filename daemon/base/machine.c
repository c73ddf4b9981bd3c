/* SPDX-License-Identifier: MIT */
#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

bool machine_has_systemd(void)
{
    return access("/run/systemd/system", F_OK) >= 0;
}

uint16_t machine_count_cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) < 0 ? 0 : (uint16_t)CPU_COUNT(&set);
}
