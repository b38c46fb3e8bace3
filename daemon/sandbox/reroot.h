/* reroot.h - out of a chroot, for root, without leaving its files: the process gets a mount
 * namespace of its own whose root is a copy of the tree that chroot(2) shows it. The kernel refuses
 * user namespaces inside a chroot (user_namespaces(7), EPERM), so without this no task could run
 * as root in one: on a build machine, say. An ordinary user can't be helped. */
#pragma once
#include <stdbool.h>

/* Whether we are root, user namespaces are refused, and reroot() may mend it: found by trying, in
 * a process that ends at once. */
bool reroot_is_needed(void);
/* For the calling process, single-threaded. 0 or a negative errno, after which the process is of
 * no more use for a sandbox than before. Mounts that are made outside later are not seen. */
int reroot(void);
