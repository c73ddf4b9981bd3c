# SPDX-License-Identifier: MIT
"""The Python end of a function's task: calls it and prints its result as one line of JSON.

p2pnode-exec hands this text to an interpreter in one of two ways. Without arguments that interpreter
is the task: descriptor 3 is the job, a file of JSON. With arguments it is a warm helper: it imports
what is configured, then serve() of the extension module forks a process for each task, which comes
back from there fenced in like any other task, with its job at descriptor 3 too. A page of memory
that such a process writes to is copied first, and counting a reference is writing: most of what a
small function costs is that. So the helper rehearses a call before it forks, and a task looks at
nothing that it need not see.

Standard output is for the result alone, so that programs can read it: what the function prints goes
to standard error.
"""
import atexit
import gc
import json
import os
import sys

JOB_FD = 3
OWN_NAME = "p2pnode"  # what this text was compiled as
MODULE = "__task__"
REHEARSALS = 20
MODULES = sys.modules  # whatever the function makes of that name


class Failure(Exception):
    """Something is wrong with what was asked for, in one sentence."""


def read_all(fd):
    """All bytes of a file, from its beginning whatever its offset."""
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    while len(data) < size:  # one call gives 2 GiB at most
        data += os.pread(fd, size - len(data), len(data))
    return data


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def parse_arguments(texts):
    """JSON by position; NAME=JSON by name."""
    args, kwargs = [], {}
    for number, text in enumerate(texts, 1):
        name, equals, value = text.partition("=")
        is_named = bool(equals) and name.isidentifier()
        try:
            parsed = json.loads(value if is_named else text, parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Failure(f"argument {number} is no JSON: {error}") from None
        if name in kwargs and is_named:
            raise Failure(f"argument {number} gives {name} a second value")
        if is_named:
            kwargs[name] = parsed
        else:
            args.append(parsed)
    return args, kwargs


def load(file, code):
    """The module that the code makes; it is no program: __name__ is not "__main__"."""
    module = type(sys)(MODULE)
    module.__file__ = file
    sys.modules[MODULE] = module
    exec(compile(code, file, "exec", dont_inherit=True), module.__dict__)
    return module


def find(module, file, name):
    """The function, or Failure with the names there are."""
    target = module
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            names = [known for known, value in vars(module).items()
                     if callable(value) and getattr(value, "__module__", None) == MODULE]
            known = f"; it has: {', '.join(names)}" if names else ""
            raise Failure(f'{file} has no function "{name}"{known}') from None
    if not callable(target):
        raise Failure(f'"{name}" in {file} is no function but of type {type(target).__name__}')
    return target


def format_result(name, result):
    try:
        try:
            return json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:  # half a surrogate pair, which only an escape can show
            return json.dumps(result, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure(f"the result of {name} is no JSON: {error}") from None


def show_traceback(error, file, code):
    """As Python does it, without the frames of this file."""
    import linecache
    import traceback
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == OWN_NAME:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def exit_code(error):
    """What sys.exit() in the function means, as Python has it."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xff
    print(error.code, file=sys.stderr)
    return 1


def list_new_modules():
    """Names and modules: the task's own, and what came after it; all, where it is not to be found."""
    found = []
    for item in reversed(MODULES.items()):
        found.append(item)
        if item[0] == MODULE:
            break
    return found


def end(code, directory):
    """Ends the process. Python's own way takes everything apart, also what the process shares with
    the helper, which costs a multiple of a small task: here only what is the task's."""
    if "threading" in MODULES:
        MODULES["threading"]._shutdown()  # waits for those that are no daemons
    atexit._run_exitfuncs()
    for name, module in reversed(list_new_modules()):
        file = getattr(module, "__file__", None) or ""
        if name == MODULE or str(file).startswith(directory):
            vars(module).clear()  # which closes, and so writes, the files that it left open
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except Exception:  # whatever the function has put in their places
            code = code or 120  # as Python
    os._exit(code)


def call(job):
    """The result as JSON."""
    args, kwargs = parse_arguments(job["args"])
    function = find(load(job["file"], job["code"]), job["file"], job["function"])
    return format_result(job["function"], function(*args, **kwargs))


def set_environment(variables):
    """What os knows of it; the process has it already. By what os.environ is made of: by its own way each
    variable would be set once more. Where it is made of something else, a helper ends here at once."""
    data = os.environ._data
    data.clear()
    data.update([variable.split(b"=", 1) for variable in variables])


def rehearse():
    """A call of nothing, again and again: the interpreter makes itself fast for what comes often, and
    writes that into memory that all tasks then have in common."""
    job = {"file": "p2pnode.py", "function": "f", "code": "def f(x):\n return x\n", "args": ["0"]}
    data = json.dumps(job).encode()
    for _ in range(REHEARSALS):
        set_environment([b"P2P_TASK_ID="])
        job = json.loads(data)
        call(job)
        list_new_modules()
        del MODULES[MODULE]


def run(job):
    """Return: the exit code."""
    file, code = job["file"], job["code"]
    getpid = os.getpid  # whatever the function makes of that name
    own = getpid()
    result_fd = os.dup(1)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv[:] = [file]
    sys.path.insert(0, os.getcwd())
    sys.dont_write_bytecode = True
    try:
        text = call(job)
    except Failure as failure:
        print(f"p2pnode: {failure}", file=sys.stderr)
        return 1
    except SystemExit as error:
        return exit_code(error)
    except BaseException as error:
        show_traceback(error, file, code)
        return 1
    if getpid() != own:  # the task has one result, of the process that was called
        print(f"p2pnode: {job['function']} forked, and returned in the new process too: that result is dropped",
              file=sys.stderr)
        return 1
    write_all(result_fd, text + b"\n")
    return 0


def serve(socket_fd, library, modules):
    """Returns in the process of a task."""
    import importlib
    import importlib.machinery
    for name in modules:
        importlib.import_module(name)
    loader = importlib.machinery.ExtensionFileLoader("p2pnode_warm", library)
    warm = loader.create_module(importlib.machinery.ModuleSpec("p2pnode_warm", loader, origin=library))
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("p2pnode: what python.modules imports starts threads, and cannot be forked")
    rehearse()
    gc.collect()
    gc.freeze()  # so that a task's collections do not touch, and thereby copy, what is shared
    set_environment(warm.serve(socket_fd))
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random:  # all tasks would draw the same numbers; Python's own generator sees to itself
        numpy_random.seed()


def main(arguments):
    if arguments:
        serve(int(arguments[0]), arguments[1], arguments[2:])
    job = json.loads(read_all(JOB_FD))
    os.close(JOB_FD)
    directory = os.path.join(os.getcwd(), "")
    end(run(job), directory)


if __name__ == "__main__":
    main(sys.argv[1:])
