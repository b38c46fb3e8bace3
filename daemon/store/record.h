/* record.h - a message as a row of the journal. For store/ only. */
#pragma once
#include "task/task.h"
#include <sqlite3.h>

enum { RECORD_WHY_MAX = 128 };

/* What record_read() expects a SELECT to give, in this order. */
#define RECORD_COLUMNS                                                                             \
    "seq, id, ack_id, job_id, kind, mode, state, prompt, system_prompt, payload, fence, attempt, " \
    "received_ms, updated_ms, reply_kind, reply, shortened, cancelled, anew, "                     \
    "input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_nano_usd, model, "   \
    "unsurveyed, unsent, attachment_ids, unsent_note"

/* Binds those named parameters that stmt has. Texts are borrowed until the statement is reset.
 * SQLITE_OK or its code. */
int record_bind(sqlite3_stmt *stmt, const struct task *t);
/* The row under stmt. -EBADMSG with the reason in why: some foreign hand wrote it. */
int record_read(sqlite3_stmt *stmt, struct task **ret_task, char why[RECORD_WHY_MAX]);
