/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <string.h>

/*
 * The command table. It feeds the dispatcher, `help`, the suggestions and the check of the manual
 * page, so that they cannot drift. Rows of one noun stand together.
 */

#define END                                                                                        \
    {                                                                                              \
        NULL, 0, NULL, NULL                                                                        \
    }

static const struct option status_options[] = {
    {"check", 0, NULL, "exit 5 if anything is degraded; the first line says it all"},
    END,
};

static const struct option members_options[] = {
    {"alive", 0, NULL, "only those alive"},
    {"state", 's', "STATE", "alive, draining, unstable, suspect, dead or left"},
    {"type", 't', "TYPE", "only those that handle this task type"},
    {"tag", 0, "K=V", "only those with this tag"},
    END,
};

static const struct option node_show_options[] = {
    {"self", 0, NULL, "this node"},
    END,
};

static const struct option ping_options[] = {
    {"all", 0, NULL, "every member"},
    {"count", 'c', "N", "so many times, a second apart"},
    {"udp", 0, NULL, "only the UDP round trip"},
    {"tcp", 0, NULL, "only the TCP connect"},
    END,
};

static const struct option timeout_options[] = {
    {"timeout", 0, "DUR", "how long it may take"},
    END,
};

static const struct option drain_options[] = {
    {"wait", 0, NULL, "until nothing runs there any more"},
    {"deadline", 0, "DUR", "wait at most so long; then exit 124, or with --kill end what runs"},
    {"kill", 0, NULL, "end what runs, to run elsewhere: at the deadline, or at once"},
    {"reason", 0, "TEXT", "why, for status and the log"},
    END,
};

static const struct option submit_options[] = {
    {"wait", 0, NULL, "until it ended: print its stdout, exit with its code"},
    {"follow", 'f', NULL, "as --wait, with live output"},
    {"python", 0, "FILE:FUNC", "call a Python function with JSON arguments"},
    {"code", 0, "STR", "the same with the code itself,"},
    {"function", 0, "FUNC", "and the function in it"},
    {"select", 0, "SELECTOR", "only on nodes with this tag: tag:gpu=1 or gpu=1"},
    {"confidential", 0, NULL, "never leaves this node"},
    {"timeout", 0, "DUR", "how long it may run"},
    {"memory", 0, "SIZE", "how much memory it may have, all its processes together"},
    {"cpus", 0, "X", "how many CPUs it may use, 1.5 for example"},
    {"sandbox", 0, "MODE", "at least landlock, namespaces or full"},
    {"retries", 0, "N", "how often it runs again when its node is lost"},
    {"retry-delay", 0, "DUR", "and how long after; doubled each time"},
    {"in", 0, "FILE[=NAME]", "a file for its work directory; @NAME: a stored one (repeat)"},
    {"out", 0, "GLOB[=DIR]", "bring these results back (repeat)"},
    {"results", 0, "DIR", "where to, instead of the current directory"},
    {"overwrite", 0, "WHEN", "what is there: never (default) or always"},
    {"stdin", 0, "FILE|-", "its standard input"},
    {"after", 0, "ID[:ok|any|failed]", "wait until that task has ended so (repeat)"},
    {"env", 0, "K=V", "into its environment (repeat)"},
    {"name", 0, "LABEL", "what to call it in lists"},
    {"on-done", 0, "CMD", "a command that this node runs when the task has ended"},
    {"dry-run", 0, NULL, "only say where it would run, and why"},
    END,
};

static const struct option run_options[] = {
    {"order", 0, "ORDER", "strict (default), type or free"},
    {"keep-going", 'k', NULL, "go on after a failed task"},
    {"retries", 0, "N", "for every task that does not say its own"},
    {"wait-types", 0, NULL, "wait until some node handles every type"},
    {"var", 0, "K=V", "put in for ${K} in details (repeat)"},
    {"results", 0, "DIR", "bring results back at the end, to DIR/TASK"},
    {"overwrite", 0, "WHEN", "what is there: never (default) or always"},
    {"joblog", 0, "FILE", "what ran where, how long, with which end, as GNU parallel writes it"},
    {"resume", 0, "WF", "go on with a workflow that stopped"},
    {"resume-failed", 0, "WF", "the same, and run again what failed"},
    {"detach", 0, NULL, "print the id of the workflow and return"},
    {"dry-run", 0, NULL, "only show the plan"},
    END,
};

static const struct option workflow_show_options[] = {
    {"follow", 'f', NULL, "look on until it has ended; exit as run"},
    END,
};

static const struct option workflow_resume_options[] = {
    {"failed", 0, NULL, "run again what failed too"},
    END,
};

static const struct option workflow_cancel_options[] = {
    {"signal", 0, "SIGNAL", "instead of TERM"},
    {"grace", 0, "DUR", "how long until KILL"},
    END,
};

static const struct option task_list_options[] = {
    {"all-nodes", 0, NULL, "ask every node"},
    {"state", 's', "STATE", "only tasks in this state"},
    {"type", 't', "TYPE", "only tasks of this type"},
    {"workflow", 'w', "WF", "only tasks of this workflow"},
    {"mine", 0, NULL, "only my own"},
    {"since", 0, "DUR|TIME", "only those submitted since then"},
    END,
};

static const struct option task_logs_options[] = {
    {"follow", 'f', NULL, "until the task ended"},
    {"lines", 'n', "N", "only the last lines"},
    {"stdout", 0, NULL, "only its stdout"},
    {"stderr", 0, NULL, "only its stderr"},
    {"timestamps", 0, NULL, "a time before each line"},
    {"attempt", 0, "N", "of this attempt instead of the last"},
    END,
};

static const struct option task_wait_options[] = {
    {"any", 0, NULL, "until one of them ended"},
    {"state", 's', "STATE", "until they are in this state"},
    {"timeout", 0, "DUR", "at most so long; then exit 124"},
    END,
};

static const struct option task_cancel_options[] = {
    {"all", 0, NULL, "all that have not ended"},
    {"type", 't', "TYPE", "all of this type"},
    {"signal", 0, "SIGNAL", "instead of TERM"},
    {"grace", 0, "DUR", "how long until KILL"},
    END,
};

static const struct option task_retry_options[] = {
    {"all-failed", 0, NULL, "all of mine that failed"},
    {"edit", 0, NULL, "change its words in $EDITOR first"},
    END,
};

static const struct option task_get_options[] = {
    {"overwrite", 0, "WHEN", "what is there: never (default) or always"},
    END,
};

static const struct option task_clean_options[] = {
    {"older", 0, "DUR", "only those that ended so long ago"},
    {"state", 's', "STATE", "only those in this state"},
    END,
};

static const struct option file_put_options[] = {
    {"overwrite", 0, "WHEN", "never (default), newer or always"},
    {"rate", 0, "SIZE", "at most so many bytes per second"},
    {"no-wait", 0, NULL, "leave it to the daemon; not for stdin"},
    END,
};

static const struct option file_get_options[] = {
    {"overwrite", 0, "WHEN", "never (default), newer or always"},
    {"rate", 0, "SIZE", "at most so many bytes per second"},
    {"verify", 0, NULL, "read back and hash what was written"},
    END,
};

static const struct option file_list_options[] = {
    {"all-nodes", 0, NULL, "ask every node"},
    {"bytes", 0, NULL, "sizes in bytes"},
    {"human", 0, NULL, "sizes in KiB, MiB, GiB (default)"},
    END,
};

static const struct option file_remove_options[] = {
    {"all-nodes", 0, NULL, "from every node that has them"},
    END,
};

static const struct option mem_set_options[] = {
    {"ttl", 0, "DUR", "forget it after so long"},
    {"if-absent", 0, NULL, "only where there is none yet"},
    {"if-version", 0, "N", "only where it has this version"},
    END,
};

static const struct option mem_get_options[] = {
    {"default", 0, "V", "print this where there is none"},
    {"any", 0, NULL, "ask all nodes"},
    END,
};

static const struct option message_options[] = {
    {"all", 0, NULL, "to every node"},
    {"no-wait", 0, NULL, "do not wait for the receipts"},
    END,
};

static const struct option inbox_options[] = {
    {"follow", 'f', NULL, "go on with what comes"},
    {"lines", 'n', "N", "only the last so many"},
    {"since", 0, "DUR|TIME", "only those since then"},
    END,
};

static const struct option events_options[] = {
    {"follow", 'f', NULL, "go on with what comes"},
    {"lines", 'n', "N", "only the last so many"},
    {"since", 0, "DUR|TIME", "only those since then"},
    {"type", 't', "GLOB,...", "only these types"},
    {"format", 0, "FORMAT", "text, or seed: the lines of the first such systems"},
    END,
};

static const struct option keys_rotate_options[] = {
    {"grace", 0, "DUR", "how long old keys still open what comes (10min)"},
    END,
};

static const struct option monitor_options[] = {
    {"log-level", 0, "L", "err, warning, notice, info or debug (default)"},
    {"wire", 0, NULL, "only what is sent and received, in its exact text"},
    {"subsystem", 0, "S", "only lines of this one: membership, gossip, tasks, ..."},
    END,
};

static const struct option config_show_options[] = {
    {"origin", 0, NULL, "and where each value comes from"},
    END,
};

static const struct option doctor_options[] = {
    {"report", 0, "FILE", "write all there is to be said to a file, to be sent to others"},
    END,
};

static const struct option graph_options[] = {
    {"output-file", 'O', "FILE", "write it there, whole or not at all"},
    END,
};

static const struct option metrics_options[] = {
    {"textfile", 0, "FILE", "write it there, whole or not at all"},
    END,
};

const struct command commands[] = {
    {"status", NULL, NULL, "", "this node and its view of the cluster",
     "p2pctl status\np2pctl status --check && echo all is well\np2pctl -N lab-05 status",
     status_options, 0, 0, status_run},
    {"members", NULL, NULL, "", "table of all nodes",
     "p2pctl members\np2pctl members --alive --type a\np2pctl members -o +uuid --sort load:desc",
     members_options, 0, 0, members_run},
    {"peers", NULL, NULL, "", "name and address of the other nodes",
     "p2pctl peers\np2pctl peers --json", NULL, 0, 0, peers_run},
    {"node", "show", NULL, "[NODE|--self]", "everything about one node", "p2pctl node show lab-05",
     node_show_options, 0, 1, node_show_run},
    {"types", NULL, NULL, "", "task types, who handles them, free slots", "p2pctl types", NULL, 0,
     0, types_run},
    {"ping", NULL, NULL, "[NODE...|--all]", "is the daemon there; are the others",
     "p2pctl ping\np2pctl ping lab-05\np2pctl ping --all", ping_options, 0, COMMAND_WORDS_MAX,
     ping_run},
    {"join", NULL, NULL, "ADDR|NODE...", "join a cluster through these nodes",
     "p2pctl join 10.0.4.2:7717", timeout_options, 1, COMMAND_WORDS_MAX, join_run},
    {"leave", NULL, NULL, "", "leave the cluster until told to join, or until restart",
     "p2pctl leave", timeout_options, 0, 0, leave_run},
    {"forget", NULL, NULL, "NODE|ADDR|UUID", "drop a node that is gone for good",
     "p2pctl forget lab-09 --yes\np2pctl forget 10.0.4.9:7717\np2pctl forget 8f3ac2d1", NULL, 1, 1,
     forget_run},
    {"drain", NULL, NULL, "[NODE]", "take no more tasks: what runs ends, what waits goes elsewhere",
     "p2pctl drain --wait --deadline 30min --reason 'kernel update'\np2pctl drain lab-05",
     drain_options, 0, 1, drain_run},
    {"undrain", NULL, NULL, "[NODE]", "take tasks again", "p2pctl undrain lab-05", NULL, 0, 1,
     undrain_run},
    {"submit", NULL, NULL, "TYPEn [ARG...] | -- CMD... | --python FILE:FUNC [JSON...]",
     "queue a task, print its id",
     "p2pctl submit a1\np2pctl submit --wait -- sort -u /etc/passwd\np2pctl submit -f --timeout "
     "5min -- make\n"
     "p2pctl submit -f --in data.csv --out 'plot*.png' -- python3 plot.py data.csv\n"
     "p2pctl submit --wait --python stats.py:mean '[1, 2, 3, 6]'\n"
     "p2pctl submit --dry-run a1",
     submit_options, 0, COMMAND_WORDS_MAX, submit_run},
    {"run", NULL, NULL, "[FILE]", "run a list of tasks (./tasks.txt) in order",
     "p2pctl run\np2pctl run --dry-run tasks.txt\necho a1 b1 a2 | p2pctl run -\np2pctl run "
     "--resume-failed w7",
     run_options, 0, 1, run_run},
    {"workflow", "list", "ls", "", "what run started, and how far it is", "p2pctl workflow list",
     NULL, 0, 0, workflow_list_run},
    {"workflow", "show", NULL, "ID", "every step of a workflow",
     "p2pctl workflow show w7\np2pctl workflow show -f w7", workflow_show_options, 1, 1,
     workflow_show_run},
    {"workflow", "resume", NULL, "ID", "run what a workflow has not run",
     "p2pctl workflow resume w7\np2pctl workflow resume --failed w7", workflow_resume_options, 1, 1,
     workflow_resume_run},
    {"workflow", "cancel", NULL, "ID", "end a workflow and the tasks of it that run",
     "p2pctl workflow cancel w7", workflow_cancel_options, 1, 1, workflow_cancel_run},
    {"task", "list", "ls", "", "the queue and what ended lately",
     "p2pctl task list\np2pctl task list -s failed --since 2h\np2pctl task list --all-nodes",
     task_list_options, 0, 0, task_list_run},
    {"task", "show", NULL, "ID...", "all about a task, and why it is where it is",
     "p2pctl task show 42", NULL, 1, COMMAND_WORDS_MAX, task_show_run},
    {"task", "logs", NULL, "ID", "what a task printed",
     "p2pctl task logs 42\np2pctl task logs -f 42@lab-01", task_logs_options, 1, 1, task_logs_run},
    {"task", "wait", NULL, "ID...", "until tasks have ended", "p2pctl task wait 42 --timeout 1h",
     task_wait_options, 1, COMMAND_WORDS_MAX, task_wait_run},
    {"task", "cancel", NULL, "ID... | --all | --type T", "end tasks: TERM, then KILL",
     "p2pctl task cancel 42", task_cancel_options, 0, COMMAND_WORDS_MAX, task_cancel_run},
    {"task", "retry", NULL, "ID... | --all-failed", "run tasks that have ended once more",
     "p2pctl task retry 42\np2pctl task retry 42 -N lab-11\np2pctl task retry --edit 42\n"
     "p2pctl task retry --all-failed",
     task_retry_options, 0, COMMAND_WORDS_MAX, task_retry_run},
    {"task", "get", NULL, "ID [DIR]", "fetch the results of a task",
     "p2pctl task get 42\np2pctl task get 42 results/", task_get_options, 1, 2, task_get_run},
    {"task", "clean", NULL, "", "drop tasks that have ended, with output and results",
     "p2pctl task clean --older 7d\np2pctl task clean -s cancelled --yes", task_clean_options, 0, 0,
     task_clean_run},
    {"file", "put", NULL, "PATH|NODE:NAME... [NODE:[NAME]]",
     "store files, here or there; - is stdin",
     "p2pctl file put data.csv\np2pctl file put run1.h5 run2.h5 lab-05:\ntar c dir | p2pctl file "
     "put - lab-05:dir.tar\np2pctl file put lab-05:run1.h5 lab-07:",
     file_put_options, 1, COMMAND_WORDS_MAX, file_put_run},
    {"file", "get", NULL, "[NODE:]NAME... [PATH|-|NODE:[NAME]]",
     "fetch files; without a node from the best holder",
     "p2pctl file get data.csv\np2pctl file get lab-05:run1.h5 /tmp/\np2pctl file get data.csv - | "
     "head -1\np2pctl file get 'lab-05:*.csv' results/",
     file_get_options, 1, COMMAND_WORDS_MAX, file_get_run},
    {"file", "ls", "list", "[NODE:][GLOB]", "what is stored",
     "p2pctl file ls\np2pctl file ls --all-nodes '*.csv'", file_list_options, 0, 1, file_list_run},
    {"file", "rm", NULL, "[NODE:]NAME...", "remove stored files",
     "p2pctl file rm lab-05:run1.h5\np2pctl file rm --all-nodes run1.h5", file_remove_options, 1,
     COMMAND_WORDS_MAX, file_remove_run},
    {"mem", "set", NULL, "[NODE:]KEY VALUE|-|@FILE", "keep a value",
     "p2pctl mem set lab-01:greeting hello --ttl 1h\np2pctl mem set picture @plot.png",
     mem_set_options, 2, 2, memory_set_run},
    {"mem", "get", NULL, "[NODE:]KEY", "print a value, nothing else",
     "p2pctl mem get lab-01:greeting", mem_get_options, 1, 1, memory_get_run},
    {"mem", "ls", "list", "[NODE:][PREFIX]", "which values there are",
     "p2pctl mem ls lab-01:", NULL, 0, 1, memory_list_run},
    {"mem", "rm", NULL, "[NODE:]KEY...", "drop values", "p2pctl mem rm lab-01:greeting", NULL, 1,
     COMMAND_WORDS_MAX, memory_remove_run},
    {"message", NULL, NULL, "NODE|SELECTOR|--all TEXT|-", "send a message, count who has it",
     "p2pctl message node2 'Hello Node2!'\np2pctl message --all 'reboot at 18:00'", message_options,
     1, 2, message_run},
    {"inbox", NULL, NULL, "", "messages that came here", "p2pctl inbox -n 5\np2pctl inbox -f",
     inbox_options, 0, 0, inbox_run},
    {"events", NULL, NULL, "", "what happened, from the daemon's history and live",
     "p2pctl events -n 20\np2pctl events -f --type 'member-*,task-*'\np2pctl events --format=seed "
     "--type member-dead",
     events_options, 0, 0, events_run},
    {"monitor", NULL, NULL, "", "the daemon's log live, at any level",
     "p2pctl monitor --log-level info\np2pctl monitor --wire\np2pctl -N lab-05 monitor --subsystem "
     "tasks",
     monitor_options, 0, 0, monitor_run},
    {"top", NULL, NULL, "", "nodes, transfers, tasks, messages and events on one screen",
     "p2pctl top\np2pctl -N lab-05 top", NULL, 0, 0, top_run},
    {"keys", "gen", NULL, "", "print a fresh key ring for security.keyring",
     "(umask 077; p2pctl keys gen > /etc/p2pnode/lab.keys)", NULL, 0, 0, keys_gen_run},
    {"keys", "list", "ls", "", "the keys of this node, and which nodes have them",
     "p2pctl keys list", NULL, 0, 0, keys_list_run},
    {"keys", "install", NULL, "FILE|-", "add the keys of a key ring, not to be used yet",
     "p2pctl keys install /root/keyring-of-lab-01", NULL, 1, 1, keys_install_run},
    {"keys", "use", NULL, "KEY", "seal with this key, which all have, from now on",
     "p2pctl keys use 8be1", NULL, 1, 1, keys_use_run},
    {"keys", "remove", NULL, "KEY", "drop a key that nobody uses any more",
     "p2pctl keys remove 3f9a --yes", NULL, 1, 1, keys_remove_run},
    {"keys", "rotate", NULL, "", "a new key for the whole cluster while it runs",
     "p2pctl keys rotate\np2pctl keys rotate --grace 1h", keys_rotate_options, 0, 0,
     keys_rotate_run},
    {"config", "show", NULL, "[KEY]", "what the daemon goes by",
     "p2pctl config show\np2pctl config show --origin seeds", config_show_options, 0, 1,
     config_show_run},
    {"config", "check", NULL, "[FILE]", "all mistakes of a configuration file; asks no daemon",
     "p2pctl config check /etc/p2pnode/lab.conf", NULL, 0, 1, config_check_run},
    {"config", "dump-default", NULL, "", "the annotated file with all defaults",
     "p2pctl config dump-default > /etc/p2pnode/lab.conf", NULL, 0, 0, config_dump_default_run},
    {"graph", NULL, NULL, "", "the lab as a picture (SVG)",
     "p2pctl graph -O lab.svg\np2pctl -N lab-05 graph > lab.svg", graph_options, 0, 0, graph_run},
    {"metrics", NULL, NULL, "", "what the daemon counts, as Prometheus reads it",
     "p2pctl metrics\np2pctl metrics --textfile /var/lib/prometheus/node-exporter/p2pnode.prom",
     metrics_options, 0, 0, metrics_run},
    {"doctor", NULL, NULL, "[CHECK...]", "what is wrong here, and what to do about it",
     "p2pctl doctor\np2pctl doctor ports clock\np2pctl -i lab doctor --report /tmp/report.json",
     doctor_options, 0, COMMAND_WORDS_MAX, doctor_run},
    {"reload", NULL, NULL, "", "let the daemon read its configuration again",
     "p2pctl reload\np2pctl -N lab-05 reload", NULL, 0, 0, reload_run},
    {"completion", NULL, NULL, "bash|zsh|fish", "a script for the shell, with live names",
     "eval \"$(p2pctl completion bash)\"\n"
     "p2pctl completion fish > ~/.config/fish/completions/p2pctl.fish",
     NULL, 1, COMMAND_WORDS_MAX, completion_run},
    {"help", NULL, NULL, "[COMMAND|TOPIC]", "help; topics: examples, tasks.txt, exit-codes",
     "p2pctl help submit\np2pctl help exit-codes", NULL, 0, 2, help_run},
    {"version", NULL, NULL, "", "of p2pctl, and of the daemon where one runs",
     "p2pctl version --json", NULL, 0, 0, version_run},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

const struct command *command_find(const char *noun, const char *verb)
{
    for (const struct command *command = commands; command->noun; command++) {
        if (strcmp(command->noun, noun) != 0 || !command->verb != !verb)
            continue;
        if (!verb || strcmp(command->verb, verb) == 0 ||
            (command->alias && strcmp(command->alias, verb) == 0))
            return command;
    }
    return NULL;
}

/* @runs ends with NULL. */
static bool is_among(const struct command *command, int (*const *runs)(struct ctl *))
{
    for (; *runs; runs++)
        if (*runs == command->run)
            return true;
    return false;
}

bool command_is_watchable(const struct command *command)
{
    static int (*const runs[])(struct ctl *) = {
        status_run,    members_run,   peers_run,       types_run, ping_run,          task_list_run,
        task_show_run, file_list_run, memory_list_run, inbox_run, workflow_list_run, NULL,
    };

    return is_among(command, runs);
}

bool command_has_list(const struct command *command)
{
    static int (*const runs[])(struct ctl *) = {
        members_run,   peers_run,       types_run,         ping_run,
        submit_run,    run_run,         workflow_list_run, task_list_run,
        file_list_run, memory_list_run, workflow_show_run, events_run,
        keys_list_run, config_show_run, inbox_run,         NULL,
    };

    return is_among(command, runs);
}

bool command_is_local_text(const struct command *command)
{
    static int (*const runs[])(struct ctl *) = {config_dump_default_run, completion_run, help_run,
                                                NULL};

    return is_among(command, runs);
}

bool command_is_noun(const char *word)
{
    for (const struct command *command = commands; command->noun; command++)
        if (command->verb && strcmp(command->noun, word) == 0)
            return true;
    return false;
}
