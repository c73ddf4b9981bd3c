#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""firewalls.py TOP: firewalld and ufw themselves read their files of the source in TOP, and these open the port that
is the default of listen.port, for UDP and TCP alike.
"""
import pathlib
import re
import shutil
import sys
import tempfile

import ufw.applications
from firewall.core.io.service import service_reader

TOP = pathlib.Path(sys.argv[1])


def main():
    header = (TOP / "daemon/config/config.h").read_text()
    port = re.search(r"^#define CONFIG_PORT_DEFAULT\s+(\d+)", header, re.M).group(1)
    lab = re.search(r"port = (\d+)", (TOP / "etc/p2pnode/lab.conf").read_text()).group(1)
    errors = []
    service = service_reader("p2pnode.xml", str(TOP / "packaging/firewall"))
    if sorted(service.ports) != [(port, "tcp"), (port, "udp")]:
        errors.append(f"p2pnode.xml opens {service.ports}, the default of listen.port is {port}")
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(TOP / "packaging/firewall/ufw-p2pnode", f"{directory}/p2pnode")
        profiles = ufw.applications.get_profiles(directory)
    for name, expected in (("p2pnode", port), ("p2pnode-lab", lab)):
        if not ufw.applications.verify_profile(name, profiles[name]) or profiles[name]["ports"] != expected:
            errors.append(f"ufw-p2pnode: {name} opens {profiles[name]}, not {expected}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
