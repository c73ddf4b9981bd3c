/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Removing what a task left: its directory was the task's own, so it may hold anything - trees of
 * any depth and width, links to anywhere, directories without permissions. Never follows a link,
 * never leaves the directory, needs neither stack nor descriptors for depth.
 */

/*
 * Empties the directory @fd, of which nothing is in use any more. Return: 0; or -errno of the first
 * entry that would not go, others being gone.
 */
int tree_empty(int fd);

/* Empties and removes the directory @name of the directory @parent_fd. Return: 0 or -errno. */
int tree_remove(int parent_fd, const char *name);
