#include "sim/schedule.h"

#include "util/cleanup.h"

enum { MINUTE_MS = 60 * 1000, HOUR_S = 3600 };

/* Half of the schedules know nothing of a kind of fault, so that others show. */
static uint32_t rate(struct draw *d, uint32_t most)
{
    return draw_below(d, 2) ? draw_between(d, 1, most) : 0;
}

void schedule_draw(struct schedule *s, struct draw *d)
{
    *s = (struct schedule){
        .sides = 1 + (draw_below(d, 5) < 2),
        .jobs = draw_between(d, 1, JOBS),
        .messages = draw_between(d, 1, MESSAGES),
        .leases = draw_below(d, 4) > 0,
        .long_polls = draw_below(d, 2) > 0,
        .channel = draw_below(d, 2) > 0,
        .repeats_conflict = draw_below(d, 2) > 0,
        .first_one_dies = draw_below(d, 2) > 0,
        .heal_ms = draw_between(d, 2 * MINUTE_MS, 20 * MINUTE_MS),
        .stale_ms = rate(d, 20 * 1000),
        .lost = rate(d, 150),
        .repeated = rate(d, 100),
        .slow = rate(d, 150),
        .busy = rate(d, 100),
        .failed = rate(d, 100),
        .refused_key = rate(d, draw_below(d, 8) ? 20 : 500),
        .paged = rate(d, 50),
        .answer_lost = rate(d, 150),
        .full_disk = rate(d, 20),
        .slow_disk = rate(d, 100),
        .half_synced = rate(d, 500),
        .bad_child = rate(d, 600),
        .lost_session = rate(d, 300),
        .long_turn = rate(d, 500),
        .crash_steps = draw_below(d, 3) ? draw_between(d, 10, 300) : 0,
        .words = rate(d, 6),
        .mishaps = rate(d, 6),
        .stops = rate(d, 4),
    };
    s->leases = s->leases || s->sides > 1; /* else one daemon an agent: design, section 8 */
    s->long_polls = s->long_polls || s->leases;
    s->stale_ms = s->leases ? 0 : s->stale_ms;
    switch (draw_below(d, 32)) {
    case 0:
    case 1:
        s->deaf_spawner = true; /* then the end of a daemon meets tasks that go on */
        s->jobs = JOBS;
        s->bad_child = 300;
        s->slow_disk = 500;
        break;
    case 2:
    case 3:
        s->seesaw = s->leases = s->long_polls = true;
        s->sides = SIDES;
        s->jobs = draw_between(d, 1, 2);
        s->messages = MESSAGES;
        s->mishaps = 12;
        s->crash_steps = 0;
        break;
    case 4:
        s->heal_ms = draw_between(d, 65 * MINUTE_MS, 130 * MINUTE_MS); /* tombstones grow old */
        s->mishaps = 10;
        break;
    default:
        break;
    }
}

void schedule_draw_options(struct draw *d, struct core_options *ret_options)
{
    static const uint32_t retention_s[] = { HOUR_S, 24 * HOUR_S, 7 * 24 * HOUR_S };

    *ret_options = (struct core_options){
        .max_concurrency = draw_between(d, 1, CONCURRENCY_MAX),
        .max_queued = draw_below(d, 2) ? 1000 : draw_between(d, 1, 6),
        .max_attempts = draw_between(d, 1, ATTEMPTS_MAX),
        .poll_ms = 50 * 1000,
        .poll_interval_ms = draw_between(d, 5, 30) * 1000,
        .realtime = (enum core_realtime)draw_below(d, 3),
        .start_limit_ms = draw_below(d, 4) ? MINUTE_MS : 0,
        .drain_timeout_ms = draw_between(d, 5, 300) * 1000,
        .task_timeout_ms = draw_between(d, 1, 10) * MINUTE_MS,
        .task_idle_timeout_ms = draw_between(d, 10, 240) * 1000,
        .output_limit_bytes = 1 << 20,
        .reply_limit_bytes = 1 << 18,
        .memory_bytes = 1 << 30,
        .survey = draw_below(d, 4) > 0,
        .job_idle_ms = draw_between(d, 5, 300) * 1000,
        .journal_retention_s = retention_s[draw_below(d, ARRAY_SIZE(retention_s))],
        .workspace_retention_s = draw_below(d, 2) ? 0 : 24 * HOUR_S,
        .runner = "worker",
        .program = "worker",
    };
}
