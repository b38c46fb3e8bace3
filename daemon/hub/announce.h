/* announce.h - the answer to a poll as packets of the realtime channel.
 * Each message is an event cc_message whose argument is its envelope, with what the listing says of
 * its job in a member "job"; a request to stop, or "more", is an event nairi_poll; the question for
 * idle jobs a check_idle_jobs_v1. */
#pragma once

struct buf;

/* reply: what inbox_poll() answers. Appends to body, a payload of Engine.IO. */
void announce_listing(struct buf *body, const char *reply);
