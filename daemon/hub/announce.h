/* announce.h - the answer to a poll as packets of the realtime channel. Pure.
 * Each message is an event cc_message whose argument is its envelope, with what the listing says of
 * its job in a member "job"; a request to stop, or "more", is an event nairi_poll. */
#pragma once

struct buf;

/* reply: what inbox_poll() answers. Appends to body, a payload of Engine.IO. */
void announce_listing(struct buf *body, const char *reply);
