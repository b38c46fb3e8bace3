/* notify.h - the daemon's word to the service manager, sd_notify(3). Without one nothing happens.
 */
#pragma once

void notify_ready(const char *url); /* the server is reached */
void notify_stopping(void);
