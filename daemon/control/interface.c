/* SPDX-License-Identifier: MIT */

/* The interface files as texts in the program, so that GetInterfaceDescription shows the very
 * files.
 */

#define TEXT(name, file)                                                                           \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " name "\n" name ":\n"                                                        \
            ".incbin \"" file "\"\n"                                                               \
            ".byte 0\n"                                                                            \
            ".popsection\n")

TEXT("interface_text", "daemon/control/org.p2pnode.varlink");
TEXT("service_interface_text", "daemon/control/org.varlink.service.varlink");
