# SPDX-License-Identifier: MIT
"""What a call of a Python function costs at least, in microseconds at the median.

  python_limit.py warm COUNT     an interpreter that runs already forks a process per call, which calls the function
                                 on JSON and gives its result back as JSON
  python_limit.py cold COUNT     an interpreter is started for each call
"""
import json
import os
import statistics
import subprocess
import sys
import time

CODE = "import json; print(json.dumps((lambda a, b: a + b)(*json.loads('[1, 2]'))))"


def add(a, b):
    return a + b


def call_warm():
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(its, json.dumps(add(*json.loads("[1, 2]"))).encode())
        os._exit(0)
    os.close(its)
    result = json.loads(os.read(ours, 64))
    os.close(ours)
    os.waitpid(pid, 0)
    return result


def call_cold():
    return json.loads(subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, check=True).stdout)


def main(kind, count):
    call = {"warm": call_warm, "cold": call_cold}[kind]
    times = []
    for _ in range(count):
        begin = time.monotonic()
        if call() != 3:
            sys.exit("the function is wrong")
        times.append((time.monotonic() - begin) * 1e6)
    print(json.dumps({"p50_us": statistics.median(times)}))


main(sys.argv[1], int(sys.argv[2]))
