/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where an instance keeps things: one rule for root, for an ordinary user and under systemd. All
 * results are owned by the caller.
 */

/*
 * The state directory: @configured where that is not "", else $STATE_DIRECTORY, else
 * /var/lib/p2pnode/NAME for root, else $XDG_STATE_HOME/p2pnode/NAME. Made where it is missing
 * (0711: tasks have their directories below it, everything else in it is closed to them). Return:
 * 0, or what mkdir said.
 */
int paths_get_state_dir(const char *configured, const char *instance, char **ret);

/*
 * The control socket: @configured, else INSTANCE.sock in /run/p2pnode for root (or
 * $RUNTIME_DIRECTORY), else in $XDG_RUNTIME_DIR/p2pnode. Its directory is made where it is missing.
 * Return: 0; -ENOENT for a user without XDG_RUNTIME_DIR; -ENOMEM, or what mkdir said.
 */
int paths_get_socket(const char *configured, const char *instance, char **ret);

/*
 * Under systemd (with $RUNTIME_DIRECTORY): makes a link from the standard place of the socket to
 * @socket, where that is another one, so that "p2pctl -i INSTANCE" finds it. A former link is
 * replaced, all else is left alone. Return: 1 with the link's path; 0 where none is needed; -EEXIST
 * where something else is there; -ENOMEM, or what symlink said.
 */
int paths_link_socket(const char *socket, const char *instance, char **ret);

/*
 * The file of a key ring called @configured: absolute, or a systemd credential of that name, or in
 * the state directory. One that is an empty line is none: that is what the unit hands over
 * where the machine has no key ring. Return: 0, -ENOMEM.
 */
int paths_get_keyring(const char *configured, const char *state_dir, char **ret);

/* Where a person puts the key ring that @path, from the above, is or would be. Borrowed. */
const char *paths_get_keyring_origin(const char *configured, const char *path);
