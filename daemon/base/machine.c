/* SPDX-License-Identifier: MIT */
#include "base/machine.h"

#include <unistd.h>

bool machine_has_systemd(void)
{
    return access("/run/systemd/system", F_OK) >= 0;
}
