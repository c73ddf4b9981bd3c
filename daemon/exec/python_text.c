/* SPDX-License-Identifier: MIT */

/* The text that interpreters run, in the program: tasks may not be able to read where it is. */
__asm__(".pushsection .rodata\n"
        ".global exec_python_text\n"
        "exec_python_text:\n"
        ".incbin \"daemon/exec/python.py\"\n"
        ".byte 0\n"
        ".popsection\n");
