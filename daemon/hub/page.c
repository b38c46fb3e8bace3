#include "hub/page.h"

#include "hub/call.h"
#include "hub/server.h"
#include "util/mem.h"
#include "util/str.h"

static const struct server_header headers[] = {
    { "Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "
                                 "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                                 "form-action 'none'; frame-ancestors 'none'; "
                                 "require-trusted-types-for 'script'" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Referrer-Policy", "no-referrer" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { NULL, NULL },
};

static const struct {
    const char *suffix, *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".mjs", "text/javascript; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".json", "application/json" },
};

static const char *type_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (str_ends_with(name, types[i].suffix))
            return types[i].type;
    return "application/octet-stream";
}

static const struct page_embedded *find(const char *path)
{
    const char *name = str_eq(path, "/") ? "index.html" : path + 1;

    if (path[0] != '/')
        return NULL;
    for (const struct page_embedded *e = page_embedded; e->name; e++)
        if (str_eq(e->name, name))
            return e;
    return NULL;
}

bool page_answer(struct server_request *r)
{
    static const struct server_header allow[] = { { "Allow", "GET, HEAD" }, { NULL, NULL } };
    const struct page_embedded *e = find(server_request_path(r));
    const char *method = server_request_method(r);

    if (!e)
        return false;
    if (!str_eq(method, "GET") && !str_eq(method, "HEAD"))
        server_reply(r, 405,
                     call_error_text("this path doesn't know that method: see the header "
                                     "Allow"),
                     allow);
    else
        server_reply_as(r, 200, type_of(e->name), mem_strndup((const char *)e->bytes, e->len),
                        headers);
    return true;
}
