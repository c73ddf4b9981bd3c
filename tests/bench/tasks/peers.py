# SPDX-License-Identifier: MIT
"""Other programs that start small commands: each function gives a rate or a time, and leaves nothing running.

Programs of Debian, as their packages make them; where one is missing, `missing()` says which.
"""
import contextlib
import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

PROGRAMS = {"xargs": ["xargs"], "gearmand": ["gearmand", "gearman"], "beanstalkd": ["beanstalkd"],
            "GNU parallel": ["parallel"], "bwrap": ["bwrap"], "GNU parallel over ssh": ["parallel", "ssh", "sshd"],
            "ssh with ControlMaster": ["ssh", "sshd"]}
FLIGHT = 16


def find(program):
    """Its path; daemons are not always in the path of whoever runs this."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def missing(peer):
    return [program for program in PROGRAMS[peer] if not find(program)]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextlib.contextmanager
def daemon(command, port, wait_for):
    """A server while the block runs, from the moment that it takes connections."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), 10, command[0])
        yield process
    finally:
        process.kill()
        process.wait()


def rate_of(count, *command, **options):
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600, **options)
    return count / (time.monotonic() - begin)


def xargs(count, _tools):
    return rate_of(count, "xargs", "-P", str(FLIGHT), "-n", "1", "true", input=b"x\n" * count)


def bwrap(count, _tools):
    return rate_of(count, "xargs", "-P", str(FLIGHT), "-n", "1", "bwrap", "--unshare-all", "--ro-bind", "/", "/",
                   "true", input=b"--\n" * count)


def parallel(count, _tools, *options):
    """It says on stderr what it wants to be cited for, and once waits for an answer."""
    return rate_of(count, find("parallel"), "-j", str(FLIGHT), *options, "true", input=b"\n" * count,
                   stderr=subprocess.DEVNULL)


def gearmand(count, tools):
    """gearmand, sixteen of libgearman's workers that fork, sixteen clients."""
    port = free_port()
    where = ["-h", "127.0.0.1", "-p", str(port)]
    command = [find("gearmand"), "-L", "127.0.0.1", "-p", str(port), "--log-file", "stderr"]
    with daemon(command, port, tools.wait_for), contextlib.ExitStack() as stack:
        for _ in range(FLIGHT):
            worker = subprocess.Popen(["gearman", "-w", *where, "-f", "run", "true"])
            stack.callback(worker.wait)
            stack.callback(worker.kill)
        begin = time.monotonic()
        clients = [subprocess.Popen(["gearman", *where, "-n", "-f", "run"], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL) for _ in range(FLIGHT)]
        for client in clients:
            client.stdin.write(b"x\n" * (count // FLIGHT))
            client.stdin.close()
        for client in clients:
            client.wait(120)
        return count // FLIGHT * FLIGHT / (time.monotonic() - begin)


def beanstalkd(count, tools):
    """beanstalkd, sixteen workers that fork, one client that waits for the answers."""
    port = free_port()
    with daemon([find("beanstalkd"), "-l", "127.0.0.1", "-p", str(port)], port, tools.wait_for):
        return json.loads(tools.output_of(tools.beanstalk, port, count, FLIGHT))["rate"]


@contextlib.contextmanager
def ssh_config(wait_for):
    """A server of our own on loopback and the client's file that leads to `peer` there, on one kept connection.

    With a SHLVL, Debian's bash does not take itself for the first shell of a login by ssh: what the administrator's
    .bashrc costs is not to be counted.
    """
    with tempfile.TemporaryDirectory(prefix="p2pnode-ssh-") as name:
        directory, port = pathlib.Path(name), free_port()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / key], check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        server, client = directory / "sshd.conf", directory / "ssh.conf"
        server.write_text(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nUsePAM no\n"
                          f"AuthorizedKeysFile {directory}/authorized\nStrictModes no\nPermitRootLogin yes\n"
                          f"PidFile none\nMaxSessions 100\nMaxStartups 100\nSetEnv SHLVL=2\n")
        client.write_text(f"Host peer\n HostName 127.0.0.1\n Port {port}\n IdentityFile {directory}/user\n"
                          f" StrictHostKeyChecking no\n UserKnownHostsFile {directory}/known\n LogLevel ERROR\n"
                          f" ControlMaster auto\n ControlPath {directory}/control\n ControlPersist 60\n")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        with daemon([find("sshd"), "-D", "-f", str(server)], port, wait_for):
            try:
                subprocess.run(["ssh", "-F", client, "peer", "true"], check=True, timeout=30)
                yield client
            finally:
                subprocess.run(["ssh", "-F", client, "-O", "exit", "peer"], check=False,
                               stderr=subprocess.DEVNULL, timeout=30)


def parallel_ssh(count, tools):
    with ssh_config(tools.wait_for) as client:
        return parallel(count, tools, "--ssh", f"ssh -F {client}", "-S", f"{FLIGHT}/peer")


def ssh_time(count, tools):
    """Milliseconds of `ssh peer true` as a whole process, over a connection that is there."""
    with ssh_config(tools.wait_for) as client:
        return median_time(count, ["ssh", "-F", str(client), "peer", "true"])


def median_time(count, command, **options):
    """Without a timeout: with one Python looks at the process only after 0.5, 1.5, 3.5 and 7.5 ms."""
    times = []
    for _ in range(count):
        begin = time.monotonic()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
        times.append((time.monotonic() - begin) * 1e3)
    return statistics.median(times)


# Beside which throughput of ours each stands, how many tasks it gets for each of ours, and our goal.
RATES = [("xargs", "none", xargs, 1, 0), ("gearmand", "none", gearmand, 1, 1),
         ("beanstalkd", "none", beanstalkd, 1, 0), ("GNU parallel", "none", parallel, 0.2, 1),
         ("GNU parallel over ssh", "none", parallel_ssh, 0.1, 1), ("bwrap", "namespaces", bwrap, 0.3, 1)]
