/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the rows of the command table run: one function per command, one file per noun. Each returns
 * the exit code of the program.
 */

#include "ctl.h"

/* status.c */
int status_run(struct ctl *ctl);

/* cluster.c */
int members_run(struct ctl *ctl);
int peers_run(struct ctl *ctl);
int types_run(struct ctl *ctl);
int ping_run(struct ctl *ctl);
int join_run(struct ctl *ctl);
int leave_run(struct ctl *ctl);
int forget_run(struct ctl *ctl);
int node_show_run(struct ctl *ctl);

/* drain.c */
int drain_run(struct ctl *ctl);
int undrain_run(struct ctl *ctl);

/* submit.c */
int submit_run(struct ctl *ctl);

/* run.c */
int run_run(struct ctl *ctl);

/* workflow.c */
int workflow_list_run(struct ctl *ctl);
int workflow_show_run(struct ctl *ctl);
int workflow_resume_run(struct ctl *ctl);
int workflow_cancel_run(struct ctl *ctl);

/* task.c, task_show.c */
int task_list_run(struct ctl *ctl);
int task_show_run(struct ctl *ctl);
int task_logs_run(struct ctl *ctl);
int task_wait_run(struct ctl *ctl);
int task_cancel_run(struct ctl *ctl);

/* task_again.c, results.c */
int task_retry_run(struct ctl *ctl);
int task_clean_run(struct ctl *ctl);
int task_get_run(struct ctl *ctl);

/* file.c */
int file_put_run(struct ctl *ctl);
int file_get_run(struct ctl *ctl);
int file_list_run(struct ctl *ctl);
int file_remove_run(struct ctl *ctl);

/* memory.c */
int memory_set_run(struct ctl *ctl);
int memory_get_run(struct ctl *ctl);
int memory_list_run(struct ctl *ctl);
int memory_remove_run(struct ctl *ctl);

/* message.c */
int message_run(struct ctl *ctl);
int inbox_run(struct ctl *ctl);

/* events.c */
int events_run(struct ctl *ctl);
int monitor_run(struct ctl *ctl);

/* doctor.c */
int doctor_run(struct ctl *ctl);

/* top.c */
int top_run(struct ctl *ctl);

/* metrics.c */
int metrics_run(struct ctl *ctl);
int graph_run(struct ctl *ctl);

/* config.c, keys.c */
int config_show_run(struct ctl *ctl);
int config_check_run(struct ctl *ctl);
int config_dump_default_run(struct ctl *ctl);
int reload_run(struct ctl *ctl);
int keys_gen_run(struct ctl *ctl);
int keys_list_run(struct ctl *ctl);
int keys_install_run(struct ctl *ctl);
int keys_use_run(struct ctl *ctl);
int keys_remove_run(struct ctl *ctl);
int keys_rotate_run(struct ctl *ctl);

/* completion.c */
int completion_run(struct ctl *ctl);

/* help.c */
int help_run(struct ctl *ctl);
int version_run(struct ctl *ctl);
