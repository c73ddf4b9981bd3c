# SPDX-License-Identifier: MIT
"""What the fake daemon answers: the lab of the examples in the manual."""
import os
import pathlib

from fake_daemon import Error

STATUS = {
    "schema": "p2pctl.status/1", "instance": "lab", "running": True, "health": "degraded",
    "node": {"name": "lab-01", "uuid": "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e", "role": "peer",
             "state": "alive", "version": "1.0.0", "pid": 1423, "started": "2026-11-21T06:46:11.020Z",
             "uptime_s": 4320, "accepting": True},
    "cluster": {"name": "chem-lab", "nodes": 12, "alive": 10, "suspect": 1, "draining": 1, "dead": 0,
                "left": 0, "seeds": {"configured": 3, "reachable": 2, "needed": 2}},
    "gossip": {"address": "10.0.4.11:7717", "encrypted": True, "key": "3f9a", "rtt_p50_ms": 0.4,
               "rtt_p99_ms": 2.1, "loss": 0.0, "last_sync": "@-12000", "last_sync_with": "lab-05",
               "last_probe": "@-400", "last_gossip": None},
    "net": {"connections": 3, "connections_max": 64},
    "tasks": {"slots": 8, "running": 3, "pending": 5, "succeeded_24h": 128, "failed_24h": 2,
              "types": ["a", "b"]},
    "files": {"count": 41, "used_bytes": 3435973837, "quota_bytes": 21474836480},
    "mem": {"keys": 118, "used_bytes": 1468006, "limit_bytes": 67108864},
    "problems": [{"code": "member-suspect", "node": "lab-07", "since": "@-200",
                  "message": "no answer to lab-03 (direct) nor lab-01, seed-1 (indirect)"}],
    "transfers": [
        {"name": "run2.h5", "files": 1, "node": "lab-05", "direction": "out", "done_bytes": 966367642,
         "total_bytes": 1503238554, "rate_bytes_s": 115552023.0},
        {"name": "a.csv", "files": 3, "node": "lab-03", "direction": "in", "done_bytes": 4096, "total_bytes": None,
         "rate_bytes_s": None}]}


def event(seq, time, kind, node, message, task=None, line=None):
    return {"seq": seq, "time": time, "type": kind, "node": node, "task": task, "message": message,
            "line": line}


METRICS = {"schema": "p2pctl.metrics/1", "text": "# HELP p2pnode_members Members by state in this node's view, itself included.\n"
           "# TYPE p2pnode_members gauge\np2pnode_members{state=\"alive\"} 10\n"}
DOCTOR = {"schema": "p2pctl.doctor/1", "health": "degraded", "checks": [
    {"check": "ports", "status": "failed", "message": "lab-05: UDP reaches them, TCP does not",
     "fix": "open udp and tcp 7717 in the firewalls there and on the way"},
    {"check": "clock", "status": "skipped", "message": "no other node to compare the clock with", "fix": None},
    {"check": "key", "status": "ok", "message": "key 3f9a in use, and no node is known to lack it", "fix": None},
    {"check": "cluster", "status": "warning", "message": "1 node is dead",
     "fix": "p2pctl members --state dead; start p2pnode there, or p2pctl forget NODE"}]}
RELOAD = {"schema": "p2pctl.reload/1", "changed": ["tasks.slots", "log.level"], "needs_restart": ["listen.port"]}

EVENTS = [
    event(1, "2025-11-20T07:58:11.402Z", "member-suspect", "lab-07",
          "member lab-07 suspect, reported by lab-03"),
    event(2, "2025-11-20T07:58:16.410Z", "member-dead", "lab-07", "member lab-07 dead, reported by lab-03",
          line="Dead Node:10.0.4.17:1795247896.410:10.0.4.13"),
    event(3, "2025-11-20T07:58:16.933Z", "task-moved", "lab-11",
          "task 46@lab-01 moved from lab-07 to lab-11: node dead", task="46@lab-01"),
    event(4, "2025-11-20T07:58:17.002Z", "gossip", "lab-03", "gossip 18 of lab-03",
          line="1795247897.002:10.0.4.13:18"),
]


def member(name, state, address, types, load, running, slots, rtt, seen, **more):
    return {"name": name, "uuid": "0b7d9f6e-5a0e-4b6e-9d53-0c9d1f0a7c11", "role": "peer", "state": state,
            "self": False, "address": address, "types": types, "tags": {}, "load": load, "slots": slots,
            "running": running, "queue": None if slots is None else 0, "cpu": load, "mem": 0.5, "loss": 0, "rtt_ms": rtt, "last_seen": seen,
            "version": "1.0.0", "protocol": 1, "incarnation": "3.0", "flaps": 0, "reported_by": None,
            "draining": False, "unstable": False, "key": "3f9a", "first_seen": "@-90000", **more}


MEMBERS = [
    member("lab-01", "alive", "10.0.4.11:7717", ["a", "b"], 0.41, 3, 8, None, "@+60", self=True),
    member("lab-03", "alive", "10.0.4.13:7717", ["a"], 0.88, 8, 8, 0.5, "@-70", tags={"room": "2.07"}),
    member("lab-05", "alive", "10.0.4.15:7717", ["c"], 0.1, 1, 8, 0.4, "@-130", draining=True),
    member("lab-07", "suspect", "10.0.4.17:7717", ["b"], None, None, None, None, "@-190",
           reported_by="lab-03"),
    member("lab-09", "dead", "10.0.4.19:7717", ["b"], None, None, None, None, "@-7300"),
    member("seed-1", "alive", "10.0.4.2:7717", [], 0.02, 0, 0, 0.3, "@-100", role="seed"),
]


def task(id, name, type, state, node, user, wait, run, attempt, reason, **more):
    return {"id": id + "@lab-01", "name": name, "type": type, "state": state, "node": node, "user": user,
            "attempt": attempt, "exit": None, "signal": None, "submitted": "@-600", "started": None,
            "ended": None, "wait_s": wait, "run_s": run, "reason": reason, "workflow": None,
            "confidential": False, **more}


TASKS = [
    task("44", "a1", "a", "running", "lab-03", "user1", 0.1, 4.2, 1, None, workflow="w7@lab-01"),
    task("45", None, "cmd", "running", "lab-01", "user1", 0.0, 12, 1, "paused"),
    task("46", "c2", "c", "pending", None, "user2", 130, 7.5, 1,
         "the only node for type c, lab-05, is draining"),
    task("41", "b3", "b", "failed", "lab-07", "user2", 0.4, 9.1, 3, "exit 1; last of 3 attempts", exit=1),
    task("40", "a9", "a", "succeeded", "lab-11", "user1", 0.2, 2, 2, "first attempt lost with lab-09",
         exit=0),
]

SHOWN = {
    "schema": "p2pctl.task/1",
    **task("41", "b3", "b", "failed", "lab-07", "user2", 0.4, 9.1, 3, "exit 1", exit=1,
           workflow="w6@lab-01"),
    "step": 8, "steps": 11,
    "command": "handler b: /usr/libexec/p2pnode/tasks/b 3",
    "limits": {"timeout_s": 300, "memory_bytes": 536870912, "peak_bytes": 92379546, "cpus": None, "slots": 1,
               "sandbox": None, "retries": 2, "attempts": 3},
    "files": {"in": 1, "in_bytes": 2202010, "out": 0, "out_bytes": 0},
    "timeline": [
        {"time": "2025-11-20T07:41:02.118Z", "text": "submitted"},
        {"time": "2025-11-20T07:41:02.121Z", "text": "placed on lab-09: load 0.08, least of 3"},
        {"time": "2025-11-20T07:41:07.930Z", "text": "lost: lab-09 dead"},
        {"time": "2025-11-20T07:41:24.020Z", "text": "attempt 3 placed on lab-07, exit 1 after 9.1s"}],
    "stderr_tail": ["KeyError: 'temperature'"]}

# Lost with its first node; nothing was limited.
MOVED = {
    **SHOWN,
    **task("40", "a9", "a", "succeeded", "lab-11", "user1", 0.2, 2.1, 2, "attempt 2; before: lab-09 dead", exit=0),
    "command": "handler a: /usr/libexec/p2pnode/tasks/a 9",
    "limits": {**SHOWN["limits"], "timeout_s": None, "memory_bytes": None},
    "timeline": [
        {"time": "2025-11-20T07:41:02.118Z", "text": "submitted"},
        {"time": "2025-11-20T07:41:07.930Z", "text": "lost: lab-09 dead"},
        {"time": "2025-11-20T07:41:24.020Z", "text": "attempt 2 placed on lab-11, exit 0 after 2.1s"}],
    "stderr_tail": []}

HASHES = {"run1.h5": "9c1b77e0" + "0" * 52 + "77e0", "data.csv": "01ffa2c8" + "0" * 56}


def stored(name, node, size, modified="@-150"):
    return {"name": name, "node": node, "size_bytes": size, "sha256": HASHES[name], "owner": "user1",
            "modified": modified}


FILES = [stored("run1.h5", "lab-05", 1288490188), stored("data.csv", "lab-01", 66479718, "@-3700"),
         stored("data.csv", "lab-03", 66479718, "@-3700")]

KEYS = [{"node": "lab-01", "key": "greeting", "size_bytes": 5, "version": 1, "ttl_s": 3599,
         "modified": "@-130"}]

NAMES = ["a1", "a2", "c1", "b1", "c2", "a3", "b2", "b3", "a4", "c3", "b4"]


def plan(names=None, **more):
    names = names or NAMES
    return {"type": "plan", "id": "w7@lab-01", "total": len(names),
            "tasks": [{"task": name, "type": name[0], "number": int(name[1:]), "step": index + 1}
                      for index, name in enumerate(names)],
            "types": [{"name": "a", "nodes": ["lab-01", "lab-03"]}, {"name": "b", "nodes": ["lab-07"]},
                      {"name": "c", "nodes": ["lab-05"]}], **more}


def run(parameters, descriptors):
    if "resume" in parameters:
        parameters = {"text": "a1 b3", "file": "fail"}
    names = parameters["text"].split()
    fails = {"b3"} if "fail" in parameters["file"] else set()
    if "typo" in parameters["file"]:
        return Error("Usage", message="tasks.txt: 1 error, nothing was started", hint=None, details=[
            'tasks.txt:1:7: "c" has no number; a task is a type letter and a number, for example c1'])
    if parameters.get("dry_run"):
        return [plan(names, id=None), {"type": "end", "id": None, "total": len(names), "exit": None}]
    if parameters.get("detach"):
        return [plan(names), {"type": "end", "id": "w7@lab-01", "total": len(names), "exit": None}]
    objects = [plan(names)]
    for number, name in enumerate(names):
        one = {"type": "task", "id": "%d@lab-01" % (44 + number), "task": name, "node": "lab-03",
               "attempt": 1, "exit": None, "signal": None, "reason": None}
        # Queued, and granted: nothing of that can be seen from outside.
        objects += [{**one, "state": "pending"}] * 2
        objects.append({**one, "state": "running"})
        objects.append({**one, "state": "failed", "exit": 1} if name in fails
                       else {**one, "state": "succeeded", "exit": 0})
        if name in fails:
            break
    failed = 1 if fails else 0
    objects.append({"type": "end", "id": "w7@lab-01", "total": len(names),
                    "succeeded": len(names) if not fails else names.index("b3"), "failed": failed,
                    "skipped": len(names) - names.index("b3") - 1 if fails else 0,
                    "nodes": 3, "elapsed_ms": 33102, "exit": failed})
    return objects


WORKFLOWS = [
    {"id": "w6@lab-01", "file": "tasks.txt", "user": "user2", "state": "failed", "order": "strict",
     "keep_going": False, "total": 11, "waiting": 0, "running": 0, "succeeded": 7, "failed": 1, "skipped": 3,
     "started": "@-7200", "ended": "@-7168", "elapsed_s": 31.05},
    {"id": "w7@lab-01", "file": "diamond.txt", "user": "user1", "state": "running", "order": "free",
     "keep_going": True, "total": 4, "waiting": 1, "running": 2, "succeeded": 1, "failed": 0, "skipped": 0,
     "started": "@-130000", "ended": None, "elapsed_s": 12.4}]


def show_workflow(parameters, descriptors):
    def step(task, number, state, **more):
        return {"task": task, "step": number, "id": None, "state": state, "node": None, "attempt": None,
                "exit": None, "signal": None, "run_s": None, "reason": None, **more}
    if not parameters["id"].startswith("w7"):
        return Error("NotFound", message="no workflow w8 on lab-01", hint="p2pctl workflow list")
    return {"schema": "p2pctl.workflow/1", **WORKFLOWS[1], "steps": [
        step("a1", 0, "succeeded", id="44@lab-01", node="lab-03", attempt=1, exit=0, run_s=4.2),
        step("b1", 0, "running", id="45@lab-01", node="lab-07", attempt=2, run_s=8.1),
        step("b2", 0, "pending", id="46@lab-01", reason="the only node for type b, lab-07, is draining"),
        step("c1", 0, "waiting")]}


def submit(parameters, descriptors):
    if parameters.get("type") == "d":
        return Error("NoHandler", message='no node handles task type "d"  (known types: a b c)',
                     hint="see who does what: p2pctl types\n"
                     "to wait until one appears: p2pctl run --wait-types tasks.txt")
    if parameters.get("dry_run"):
        return {"schema": "p2pctl.submit/1", "id": None, "type": "a", "number": 1, "state": None,
                "node": "lab-11", "confidential": False,
                "reason": "load 0.12, 6 free slots, rtt 0.4 ms", "candidates": [
                    {"name": "lab-11", "load": 0.12, "free": 6, "verdict": "chosen: least load of 3"},
                    {"name": "lab-01", "load": 0.41, "free": 5, "verdict": "ok"},
                    {"name": "lab-03", "load": 0.88, "free": 0, "verdict": "no free slot"},
                    {"name": "lab-07", "load": None, "free": None, "verdict": "suspect"}]}
    code = int(parameters.get("argv", ["exit", "0"])[-1])
    return {"schema": "p2pctl.submit/1", "id": "%d@lab-01" % (42 + code),
            "type": parameters.get("type", "cmd"), "number": parameters.get("number"), "state": "pending",
            "node": "lab-03", "confidential": parameters.get("confidential", False),
            "reason": "load 0.12"}


def ended(id):
    code = int(id.split("@")[0]) - 42
    ends = {0: {"state": "succeeded", "exit": 0}, 95: {"state": "failed", "exit": None, "signal": 9},
            82: {"state": "timed-out"}, 83: {"state": "unknown", "exit": None}}
    return {**task("0", None, "cmd", "failed", "lab-05", "user1", 0, 12.4, 1, None, exit=code),
            "id": id, **ends.get(code, {})}


def logs(parameters, descriptors):
    objects = [{"type": "output", "stream": "stdout", "time": "2025-11-20T07:41:02.118Z", "attempt": 1,
                "data": "3.0\nhalf "},
               {"type": "output", "stream": "stderr", "time": "2025-11-20T07:41:02.120Z", "attempt": 1,
                "data": "read 120000 rows\n"},
               {"type": "output", "stream": "stdout", "time": "2025-11-20T07:41:02.130Z", "attempt": 1,
                "data_b64": "AP8K"}]
    wanted = parameters.get("stream")
    return [item for item in objects if not wanted or item["stream"] == wanted] + [
        {"type": "end", **{key: value for key, value in ended(parameters["id"]).items()
                           if key not in ("type", "name")}, "cut": False}]


def wait(parameters, descriptors):
    if parameters.get("timeout"):
        return Error("Timeout", message="42@lab-01 is still running after 1s", hint=None)
    return {"schema": "p2pctl.tasks/1", "tasks": [ended(id) for id in parameters["ids"]]}


def list_tasks(parameters, descriptors):
    """In two parts, as a long list comes."""
    wanted = [task for task in TASKS if all(
        parameters.get(key) in (None, task[key], (task[key] or "").partition("@")[0])
        for key in ("state", "type", "user", "workflow"))]
    return [{"schema": "p2pctl.tasks/1", "tasks": part, "left_out": [], "unanswered": []}
            for part in (wanted[:2], wanted[2:])]


def put(parameters, descriptors):
    size = 0
    while True:
        data = os.read(descriptors[0], 65536)
        if not data:
            break
        size += len(data)
    end = {"type": "end", "schema": "p2pctl.file/1", "name": parameters["name"],
           "node": parameters.get("node", "lab-01"), "size_bytes": size, "sha256": HASHES["run1.h5"],
           "owner": "user1", "modified": "2025-11-20T07:41:02.118Z", "elapsed_ms": 11}
    return [{"type": "progress", "done_bytes": size // 2, "total_bytes": size}, end]


def get(parameters, descriptors):
    if parameters["name"] == "absent":
        return Error("NotFound", message='no file "absent" on any node', hint="see what there is: p2pctl file ls")
    os.write(descriptors[0], b"col1,col2\n")
    return {"type": "end", "schema": "p2pctl.file/1", "name": parameters["name"], "node": "lab-03",
            "size_bytes": 10, "sha256": HASHES["data.csv"], "owner": "user1",
            "modified": "2025-11-20T07:41:02.118Z", "elapsed_ms": 3}


def get_memory(parameters, descriptors):
    if parameters["key"] != "greeting":
        return Error("NotFound", message='no key "%s" on lab-01' % parameters["key"], hint=None)
    answer = {"schema": "p2pctl.mem/1", "key": "greeting", "node": "lab-01", "version": 1, "ttl_s": 3599}
    if descriptors:
        os.write(descriptors[0], b"hello")
        return answer
    return {**answer, "value": "hello"}


def set_memory(parameters, descriptors):
    size = os.fstat(descriptors[0]).st_size if descriptors else len(parameters.get("value", ""))
    return {"schema": "p2pctl.mem/1", "key": parameters["key"], "node": parameters.get("node", "lab-01"),
            "size_bytes": size, "version": 1, "ttl_s": 3600}


def send(parameters, descriptors):
    nodes = [{"name": "node2", "received": True, "rtt_ms": 0.6, "state": "alive"}]
    if parameters.get("all"):
        nodes += [{"name": "lab-07", "received": False, "rtt_ms": None, "state": "suspect"},
                  {"name": "lab-09", "received": False, "rtt_ms": None, "state": "dead"}]
    elif parameters["to"] == "lab-09":
        return Error("Unreachable", message="no answer from lab-09: dead for 3min", hint=None)
    return {"schema": "p2pctl.message/1", "status": "partial" if len(nodes) > 1 else "received",
            "nodes": nodes, "elapsed_ms": 310}


def ping(parameters, descriptors):
    answer = {"schema": "p2pctl.ping/1", "message": "Node 6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e is running!",
              "uuid": "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e", "name": "lab-01", "udp_ms": None,
              "tcp_ms": None, "nodes": None}
    if parameters.get("all") or parameters.get("nodes"):
        answer["nodes"] = [
            {"name": "lab-03", "uuid": None, "udp": "ok", "udp_ms": 0.5, "tcp": "ok", "tcp_ms": 0.8,
             "note": None},
            {"name": "lab-05", "uuid": None, "udp": "ok", "udp_ms": 0.4, "tcp": "refused", "tcp_ms": None,
             "note": "firewall? allow tcp 7717 on lab-05"},
            {"name": "lab-09", "uuid": None, "udp": "no answer", "udp_ms": None, "tcp": None,
             "tcp_ms": None, "note": "dead for 3min"}]
        if parameters.get("nodes"):
            answer["nodes"] = [node for node in answer["nodes"] if node["name"] in parameters["nodes"]]
    return answer


def events(parameters, descriptors):
    chosen = EVENTS[-parameters["lines"]:] if "lines" in parameters else EVENTS
    if parameters.get("follow"):
        return chosen + [{"type": "end"}]
    return {"schema": "p2pctl.events/1", "events": chosen}


def monitor(parameters, descriptors):
    lines = [
        {"type": "log", "time": "2025-11-20T07:58:16.410Z", "level": "notice", "subsystem": "membership",
         "event": "member-dead", "message": "member lab-07 dead, reported by lab-01",
         "line": "Dead Node:10.0.4.17:1795247896.410:10.0.4.11"},
        {"type": "log", "time": "2025-11-20T07:58:16.870Z", "level": "debug", "subsystem": "liveness",
         "event": "liveness", "message": "Liveness Request:1795247896.870:10.0.4.11",
         "line": "Liveness Request:1795247896.870:10.0.4.11"},
        {"type": "missed", "count": 3},
        {"type": "log", "time": "2025-11-20T07:58:17.002Z", "level": "warning", "subsystem": None,
         "event": None, "message": "No group \"p2pnode\"\u001b[31m", "line": None}]
    if parameters.get("wire"):
        lines = [line for line in lines if line.get("line")]
    if parameters.get("level") == "info":
        lines = [line for line in lines if line.get("level") != "debug"]
    return lines + [{"type": "end"}]


INTERFACE = (pathlib.Path(__file__).parents[2] / "daemon/control/org.p2pnode.varlink").read_text()

ANSWERS = {
    "org.varlink.service.GetInfo": {"vendor": "p2pnode", "product": "p2pnode", "version": "1.0.0",
                                    "url": "", "interfaces": ["org.p2pnode"]},
    "org.varlink.service.GetInterfaceDescription": {"description": INTERFACE},
    "Status": STATUS,
    "Metrics": METRICS,
    "Doctor": DOCTOR,
    "Reload": RELOAD,
    "Members": {"schema": "p2pctl.members/1", "members": MEMBERS},
    "Peers": {"schema": "p2pctl.peers/1", "peers": [
        {"name": "lab-03", "address": "10.0.4.13:7717"}, {"name": "seed-1", "address": "10.0.4.2:7717"}]},
    "ShowNode": {"schema": "p2pctl.node/1", "member": MEMBERS[1], "timeline": [
        {"time": "2025-11-20T07:41:02.118Z", "text": "joined through seed-1"}]},
    "Types": {"schema": "p2pctl.types/1", "types": [
        {"name": "a", "nodes": ["lab-01", "lab-03"], "slots": 16, "free": 5, "handler": "/usr/bin/a"},
        {"name": "c", "nodes": ["lab-05"], "slots": 8, "free": 7, "handler": None}]},
    "Ping": ping,
    "Events": events,
    "Monitor": monitor,
    "Submit": submit,
    "Run": run,
    # In two parts, as a long list comes.
    "ListWorkflows": [{"schema": "p2pctl.workflows/1", "workflows": WORKFLOWS[:1]},
                      {"schema": "p2pctl.workflows/1", "workflows": WORKFLOWS[1:]}],
    "ShowWorkflow": show_workflow,
    "ResumeWorkflow": lambda parameters, descriptors: {
        "schema": "p2pctl.workflow/1", **WORKFLOWS[0], "state": "running"} if parameters.get("failed") else Error(
        "Conflict", message="nothing of workflow w6 is left to run",
        hint="to run what failed again: p2pctl workflow resume --failed w6"),
    "CancelWorkflow": lambda parameters, descriptors: {
        "schema": "p2pctl.workflow/1", **WORKFLOWS[parameters["id"] == "w7"]},
    "ListTasks": list_tasks,
    "ShowTask": lambda parameters, descriptors: MOVED if parameters["id"] == "40" else SHOWN,
    "TaskLogs": logs,
    "WaitTask": wait,
    "CancelTask": {"schema": "p2pctl.tasks/1", "tasks": [TASKS[0], {**TASKS[2], "state": "cancelled"}]},
    "PutFile": put,
    "GetFile": get,
    "ListFiles": {"schema": "p2pctl.files/1", "files": FILES, "unanswered": ["lab-09"]},
    "RemoveFile": lambda parameters, descriptors: {
        "schema": "p2pctl.file/1", "name": parameters["name"], "node": parameters.get("node", "lab-01"),
        "size_bytes": 1288490188},
    "SetMemory": set_memory,
    "GetMemory": get_memory,
    "ListMemory": {"schema": "p2pctl.mem/1", "keys": KEYS},
    "RemoveMemory": lambda parameters, descriptors: {
        "schema": "p2pctl.mem/1", "key": parameters["key"], "node": "lab-01", "size_bytes": 5},
    "SendMessage": send,
    "Inbox": {"schema": "p2pctl.inbox/1", "messages": [
        {"time": "2025-11-20T07:41:02.118Z", "sender": "user1", "msg": "reboot at 18:00"},
        {"time": "2025-11-20T07:41:09.118Z", "sender": "evil", "msg": "\u001b[2Jgone"}]},
    "ShowConfig": {"schema": "p2pctl.config/1", "config": [
        {"key": "listen.port", "value": "7717", "origin": "default"},
        {"key": "membership.probe_interval", "value": '"2s"', "origin": "/etc/p2pnode/lab.conf:12"}]},
    "ListKeys": {"schema": "p2pctl.keys/1", "keyring": [
        {"fingerprint": "8be1", "id": "8be1f00d", "primary": True, "nodes": ["lab-01", "lab-03", "lab-05"],
         "missing": [], "used_by": 3, "made": "@-130000", "until": None},
        {"fingerprint": "3f9a", "id": "3f9a0123", "primary": False, "nodes": ["lab-01", "lab-03"],
         "missing": ["lab-05"], "used_by": 0, "made": None, "until": "2025-11-20T07:41:09.000Z"}]},
    "InstallKey": {"schema": "p2pctl.keys-install/1", "keys": ["8be1", "3f9a"]},
    "UseKey": {"schema": "p2pctl.keys-use/1", "key": "8be1"},
    "RemoveKey": Error("Conflict", message="lab-05 still needs key 3f9a", hint="p2pctl keys rotate"),
    "RotateKeys": [
        {"type": "installed", "key": "8be1", "nodes": 12, "resumed": False},
        {"type": "used", "key": "8be1", "nodes": 12, "resumed": False},
        {"schema": "p2pctl.keys-rotate/1", "type": "end", "key": "8be1", "nodes": 12, "old": ["3f9a"],
         "grace_s": 600, "resumed": False}],
    "Forget": lambda parameters, descriptors: {
        "schema": "p2pctl.forget/1", "name": "lab-09", "uuid": "0b7d9f6e-5a0e-4b6e-9d53-0c9d1f0a7c11",
        "address": "10.0.4.19:7717"} if parameters["name"] == "lab-09" else Error(
        "Conflict", message="lab-03 is alive", hint="make it leave first, on lab-03: p2pctl leave"),
}
