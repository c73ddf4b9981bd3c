#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The pure floors reach nothing outside: no clock, no file, no environment, no randomness, no output.

Their objects may need what other pure objects and base/ define, and of the C library only what is on
the list; seal/ needs libcrypto too.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("P2PNODE_BUILD", ROOT / "build")) / "obj" / "daemon"
LIBC = re.compile(
    r"mem(cpy|move|set|cmp|chr|rchr|mem)|str(n?len|n?cmp|chr|rchr|c?spn|pbrk|n?dup|str|n?cpy|n?cat|to[dlu]l*)"
    r"|stpn?cpy|strsep|raw?memchr|strchrnul|strcase(cmp|str)|strncasecmp"
    r"|malloc|calloc|realloc|reallocarray|free|explicit_bzero|qsort(_r)?|bsearch|abort"
    r"|v?snprintf|sscanf|v?asprintf|is(al(num|pha)|digit|space|print|upper|lower|xdigit|punct)|to(upper|lower)"
    r"|log(10|2|1p)?|exp|pow|sqrt|l?l?round|floor|ceil|fabs|fmin|fmax|inet_(pton|ntop)"
    r"|timegm|gmtime_r"
    # What the compiler puts in by itself.
    r"|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__assert_fail|__ctype_(b|tolower|toupper)_loc|__errno_location"
    r"|__(mem(cpy|move|set)|st[rp]n?(cpy|cat)|v?snprintf|v?asprintf|explicit_bzero)_chk"
    r"|__isoc(99|23)_(sscanf|strto[a-z]+)|__[a-z]*san_.*|__ubsan_.*|__sanitizer_.*|__gcov_.*|.*udivti3|__umodti3|__popcount[ds]i2|__c[lt]z[ds]i2")
CJSON = re.compile(r"cJSON_\w+")
CRYPTO = re.compile(r"(EVP|HMAC|CRYPTO|OPENSSL|RAND|OSSL|ERR)_\w+")
# base/ reaches the world in these; the pure floors may not use them.
FORBIDDEN_BASE = re.compile(r"(log_line|log_line_errno|log_set_sink|worker_)\w*")


def symbols(path, kind):
    output = subprocess.run(["nm", kind, path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].partition("@")[0] for line in output.splitlines() if line.strip()}


def main():
    errors = []
    pure = {folder: sorted((BUILD / folder).glob("*.o")) for folder in ("swim", "sched", "seal")}
    ours = set()
    for path in [*sorted((BUILD / "base").glob("*.o")), *(p for paths in pure.values() for p in paths)]:
        ours |= symbols(path, "--defined-only")
    for folder, paths in pure.items():
        if not paths:
            errors.append(f"{folder}: no objects in {BUILD}")
        for path in paths:
            if not (ROOT / "daemon" / folder / f"{path.stem}.c").is_file():
                continue
            for name in sorted(symbols(path, "-u")):
                is_ours = name in ours and not FORBIDDEN_BASE.fullmatch(name)
                is_crypto = folder == "seal" and CRYPTO.fullmatch(name)
                if not (is_ours or is_crypto or CJSON.fullmatch(name) or LIBC.fullmatch(name)):
                    errors.append(f"daemon/{folder}/{path.stem}.c: uses {name}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
