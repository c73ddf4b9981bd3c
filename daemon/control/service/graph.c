/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Graph: the lab as one picture, a self-contained SVG: the members on a circle with their load,
 * how far they are from this node, who reported whom dead, and the tasks of the last hour that were
 * submitted here. Nothing in it is fetched from elsewhere, and no script runs.
 */

#define WIDTH       960
#define HEIGHT      720
#define CENTER_X    480.0
#define CENTER_Y    310.0
#define RADIUS      240.0
#define MEMBERS_MAX 500 /* drawn; of more nobody could read anything */
#define MINUTES     60
#define CHART_Y     620 /* of its upper edge */
#define CHART_SIZE  60

struct place {
    double x, y;
};

/* Names are letters, digits and a few signs, but a cluster's name may come from a file of others.
 */
static void write_text(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '<' || *text == '&' || *text == '>' || *text == '"')
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text, out);
}

static const char *color_of(const struct swim_member *member)
{
    switch (member->state) {
    case SWIM_ALIVE:
        return member->load.draining || member->is_unstable ? "#c90" : "#2a2";
    case SWIM_SUSPECT:
        return "#e80";
    case SWIM_DEAD:
        return "#c22";
    default:
        return "#999";
    }
}

static struct place place_of(size_t i, size_t count)
{
    double angle = 2 * M_PI * (double)i / (double)MAX(count, (size_t)1) - M_PI / 2;

    return (struct place){CENTER_X + RADIUS * cos(angle), CENTER_Y + RADIUS * sin(angle)};
}

static size_t find(const struct swim_member *const *members, size_t count, const struct node_id *id)
{
    for (size_t i = 0; i < count; i++)
        if (node_id_is_equal(&members[i]->id, id))
            return i;
    return count;
}

/* From this node to those whose round trip it has measured; from who reported a death to the dead.
 */
static void write_lines(FILE *out, const struct swim_member *const *members, size_t count)
{
    size_t self = count;

    for (size_t i = 0; i < count; i++)
        self = members[i]->is_self ? i : self;
    for (size_t i = 0; i < count; i++) {
        struct place to = place_of(i, count);
        bool is_dead = members[i]->state == SWIM_DEAD;
        size_t from = is_dead ? find(members, count, swim_get_reporter(members[i])) : self;
        if (from == count || from == i || (!is_dead && members[i]->rtt_usec == 0))
            continue;
        struct place start = place_of(from, count);
        fprintf(out,
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"%s><title>",
                start.x, start.y, to.x, to.y, is_dead ? "#c22" : "#bbb",
                is_dead ? " stroke-dasharray=\"6 4\"" : "");
        write_text(out, members[from]->name);
        fputs(" - ", out);
        write_text(out, members[i]->name);
        if (is_dead)
            fputs(": reported dead", out);
        else
            fprintf(out, ": %.1f ms", (double)members[i]->rtt_usec / (double)USEC_PER_MSEC);
        fputs("</title></line>\n", out);
    }
}

/* The filled part of the disc is its load. */
static void write_member(FILE *out, const struct swim_member *member, struct place at, double size)
{
    double load = MIN(member->load.load_permille / 1000.0, 1.0);
    bool is_alive = member->state == SWIM_ALIVE;

    fprintf(out,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"#fff\" stroke=\"%s\" "
            "stroke-width=\"%d\"><title>",
            at.x, at.y, size, color_of(member), member->is_self ? 4 : 2);
    write_text(out, member->name);
    fprintf(out, " %s", member_state_name(member));
    if (is_alive)
        fprintf(out, ", load %.2f, %u of %u slots", member->load.load_permille / 1000.0,
                member->load.running, member->load.slots);
    fputs("</title></circle>\n", out);
    if (is_alive && load > 0)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>\n", at.x, at.y,
                size * sqrt(load), color_of(member));
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", at.x, at.y + size + 12);
    write_text(out, member->name);
    fputs("</text>\n", out);
}

struct minute {
    unsigned succeeded;
    unsigned failed;
};

static unsigned count_minutes(const struct node *node, const struct call *call,
                              struct minute minutes[static MINUTES])
{
    uint64_t now = node_wall(node);
    unsigned most = 0;

    for (const struct task *task = NULL; (task = next_task(node, call, task));) {
        uint64_t age = usec_sub(now, task->ended_wall_usec) / USEC_PER_MIN;
        if (!task_state_is_final(task->state) || task->ended_wall_usec == 0 || age >= MINUTES)
            continue;
        struct minute *minute = &minutes[MINUTES - 1 - age];
        *(task->state == TASK_SUCCEEDED ? &minute->succeeded : &minute->failed) += 1;
        most = MAX(most, minute->succeeded + minute->failed);
    }
    return most;
}

static void write_tasks(FILE *out, const struct node *node, const struct call *call)
{
    struct minute minutes[MINUTES] = {{0}};
    unsigned most = count_minutes(node, call, minutes);
    double step = (WIDTH - 80.0) / MINUTES, unit = most > 0 ? (double)CHART_SIZE / most : 0;

    fprintf(out, "<text x=\"40\" y=\"%d\">tasks of the last hour, submitted here: %s</text>\n",
            CHART_Y - 8, most > 0 ? "ended per minute" : "none has ended");
    fprintf(out, "<line x1=\"40\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#999\"/>\n",
            CHART_Y + CHART_SIZE, WIDTH - 40, CHART_Y + CHART_SIZE);
    for (int i = 0; i < MINUTES; i++) {
        double good = minutes[i].succeeded * unit, bad = minutes[i].failed * unit;
        double x = 40 + i * step, bottom = CHART_Y + CHART_SIZE;
        if (good > 0)
            fprintf(out,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                    "fill=\"#2a2\"><title>%u succeeded</title></rect>\n",
                    x, bottom - good, step - 2, good, minutes[i].succeeded);
        if (bad > 0)
            fprintf(out,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                    "fill=\"#c22\"><title>%u failed</title></rect>\n",
                    x, bottom - good - bad, step - 2, bad, minutes[i].failed);
    }
}

static void write_picture(FILE *out, const struct node *node, const struct call *call,
                          const struct swim_member *const *members, size_t all)
{
    size_t count = MIN(all, (size_t)MEMBERS_MAX);
    double size = CLAMP(2 * M_PI * RADIUS / (double)MAX(count, (size_t)1) / 3, 3.0, 22.0);
    struct member_counts counts;

    members_count(cluster_get_swim(node->cluster), &counts);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
            "<text x=\"40\" y=\"30\" font-size=\"16\">",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    write_text(out, node->config->node.cluster);
    fputs(" as seen by ", out);
    write_text(out, node->config->node.name);
    fprintf(out, ": %zu nodes, %zu alive, %zu draining, %zu suspect, %zu dead, %zu left</text>\n",
            counts.nodes, counts.states[SWIM_ALIVE], counts.draining, counts.states[SWIM_SUSPECT],
            counts.states[SWIM_DEAD], counts.states[SWIM_LEFT]);
    if (count < all)
        fprintf(out, "<text x=\"40\" y=\"48\">the first %zu of them, by name</text>\n", count);
    write_lines(out, members, count);
    for (size_t i = 0; i < count; i++)
        write_member(out, members[i], place_of(i, count), size);
    write_tasks(out, node, call);
    fputs("</svg>\n", out);
}

void method_graph(struct node *node, struct call *call)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_free_ const struct swim_member **members = sort_members(swim);
    char *text = NULL;
    size_t size = 0;
    FILE *out = members ? open_memstream(&text, &size) : NULL;

    if (!out)
        return fail_memory(call);
    write_picture(out, node, call, members, swim_members_count(swim));
    if (fclose(out) != 0) {
        free(text);
        return fail_memory(call);
    }
    cJSON *reply = call_new_reply("p2pctl.graph/1");
    json_add_string(reply, "svg", text);
    free(text);
    call_reply(call, reply);
}
