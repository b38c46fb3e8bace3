/* brokerfile.h - an entry of broker[] as it stands in the settings file. Pure. */
#pragma once
#include <stdbool.h>

struct broker;
struct broker_list;
struct buf;
struct document_node;
struct err;

/* A map of the file, whole: what it leaves out comes from what is known of its name. -EINVAL with a
 * sentence, and in *ret_at the node that it is about. */
int brokerfile_read(const struct document_node *map, struct broker *ret_broker,
                    const struct document_node **ret_at, struct err *err);
void brokerfile_print(const struct broker *b, struct buf *to);
/* Whether they print the same. */
bool brokerfile_equal(const struct broker_list *a, const struct broker_list *b);
