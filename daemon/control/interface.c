/* SPDX-License-Identifier: MIT */

/* The interface file as a text in the program, so that GetInterfaceDescription shows the very file.
 */

__asm__(".pushsection .rodata\n"
        ".global interface_text\n"
        "interface_text:\n"
        ".incbin \"daemon/control/org.p2pnode.varlink\"\n"
        ".byte 0\n"
        ".popsection\n");
