/* What the hub's own parsers get. */
#include "fuzz/recording.h"

#include <string.h>

#include "hub/access.h"
#include "hub/address.h"
#include "hub/agent.h"
#include "hub/home.h"
#include "hub/inbox.h"
#include "hub/route.h"
#include "util/buf.h"
#include "util/cleanup.h"

int __real_access_parse(const char *header, enum key_kind want, struct key_claim *ret_claim,
                        const char **ret_why);
int __wrap_access_parse(const char *header, enum key_kind want, struct key_claim *ret_claim,
                        const char **ret_why);
int __real_address_parse(const char *text, struct address *ret_address, struct err *err);
int __wrap_address_parse(const char *text, struct address *ret_address, struct err *err);
void __real_agent_slug_from_name(const char *name, char slug[AGENT_SLUG_MAX + 1]);
void __wrap_agent_slug_from_name(const char *name, char slug[AGENT_SLUG_MAX + 1]);
int __real_home_open(const char *path, struct db **ret_db, struct err *err);
int __wrap_home_open(const char *path, struct db **ret_db, struct err *err);
uint32_t __real_inbox_parse_prefer(const char *header);
uint32_t __wrap_inbox_parse_prefer(const char *header);
enum route_result __real_route_find(const char *method, const char *path,
                                    struct route_match *ret_match);
enum route_result __wrap_route_find(const char *method, const char *path,
                                    struct route_match *ret_match);

/* As the target hub_text takes it: which of its parsers, then the text. */
static void note_text(unsigned which, const char *text)
{
    CLEANUP(buf_done) struct buf b = { 0 };

    if (!text)
        return;
    buf_append_char(&b, (char)which);
    buf_append_str(&b, text);
    recording_put("hub_text", 0, b.data, b.len);
}

int __wrap_access_parse(const char *header, enum key_kind want, struct key_claim *ret_claim,
                        const char **ret_why)
{
    note_text(1, header);
    return __real_access_parse(header, want, ret_claim, ret_why);
}

int __wrap_address_parse(const char *text, struct address *ret_address, struct err *err)
{
    note_text(2, text);
    return __real_address_parse(text, ret_address, err);
}

void __wrap_agent_slug_from_name(const char *name, char slug[AGENT_SLUG_MAX + 1])
{
    note_text(3, name);
    __real_agent_slug_from_name(name, slug);
}

int __wrap_home_open(const char *path, struct db **ret_db, struct err *err)
{
    recording_file("hub_database", path);
    return __real_home_open(path, ret_db, err);
}

uint32_t __wrap_inbox_parse_prefer(const char *header)
{
    note_text(1, header);
    return __real_inbox_parse_prefer(header);
}

enum route_result __wrap_route_find(const char *method, const char *path,
                                    struct route_match *ret_match)
{
    note_text(0, path);
    return __real_route_find(method, path, ret_match);
}
