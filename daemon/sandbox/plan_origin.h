/* plan_origin.h - inner: on whose word a plan's parts are there. */
#pragma once
#include "sandbox/plan.h"

/* The built-in parts: their sentence is "every task". */
enum { PLAN_ORIGIN_EVERY_TASK = 1 };

/* Fills origins and word_origins. */
void plan_origin_begin(struct plan *p, const struct plan_policy *policy);
/* A further sentence; its number. */
uint32_t plan_origin_add(struct plan *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "profile NAME, line N". */
uint32_t plan_origin_profile(struct plan *p, const struct plan_policy *policy, unsigned line);
