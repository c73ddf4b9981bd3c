/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of config/: what texts have to look like, beyond their type. Shape only: nothing is looked
 * up, opened or resolved here.
 */

#include "config/table.h"

extern const struct key_form form_node_name;
extern const struct key_form form_node_name_or_empty;
extern const struct key_form form_tag;
extern const struct key_form form_ip_or_empty;
extern const struct key_form form_address_or_empty;
extern const struct key_form form_interface;
extern const struct key_form form_seed;
extern const struct key_form form_network;
extern const struct key_form form_path;
extern const struct key_form form_path_or_empty;
extern const struct key_form form_socket_or_empty;
extern const struct key_form form_not_empty;
extern const struct key_form form_command; /* at least one word */
extern const struct key_form form_command_or_empty;
extern const struct key_form form_module;
extern const struct key_form form_subsystem;
extern const struct key_form form_type_name;
extern const struct key_form form_event;

/* Whether @text is free of control characters and well-formed UTF-8: every text has to be. */
bool form_is_printable(const char *text);
