#include "main/notify.h"

#include <systemd/sd-daemon.h>

/* Without a service manager sd_notify(3) does nothing; with one, a lost message is its loss. */

void notify_ready(const char *url)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=serving %s", url);
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1\nSTATUS=draining");
}
