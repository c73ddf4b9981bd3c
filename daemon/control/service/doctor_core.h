/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of doctor: one examination under way, and the checks of this machine (doctor_machine.c).
 * Those of the network and of the cluster, and the method itself, are in doctor.c.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/macro.h"

#define DOCTOR_TEXT_SIZE 1024

struct node;
struct call;
struct inner;

enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAILED, VERDICT_SKIPPED };

struct doctor {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct inner *inner;
    cJSON *checks;     /* owned */
    cJSON *status;     /* owned: the reply of Status */
    const char *check; /* under way */
    bool wants[8];
};

/* A finding of the check that is under way. @fix: NULL = there is nothing to be done. */
void doctor_report(struct doctor *doctor, enum verdict verdict, const char *fix, const char *format,
                   ...) _printf_(4, 5);

/* The problems of Status with one of these codes. Return: how many. */
size_t doctor_report_problems(struct doctor *doctor, enum verdict verdict, const char *code,
                              const char *fix);

/* One check each: all of its findings are reported when it returns. */
void doctor_check_clock(struct doctor *doctor);
void doctor_check_key(struct doctor *doctor);
void doctor_check_sandbox(struct doctor *doctor);
void doctor_check_disk(struct doctor *doctor);
void doctor_check_python(struct doctor *doctor);
