/* verdict.h - what one answer of the control plane means, and the sentence for the log. Pure.
 * Source: Nairi agents API endpoints 4 to 8 (any status but the listed one is an error;
 * errors are {"error":"<text>"}). The rule where that is silent: only an answer that can be told
 * from a proxy's or a captive portal's page (JSON, that is) is believed to be final; whatever else
 * is tried again, so nothing is lost to a machine in between. */
#pragma once
#include "net/http.h"
#include "upstream/upstream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict_request {
    VERDICT_POLL,
    VERDICT_SUBMIT,
    VERDICT_ACK,
    VERDICT_DOWNLOAD,
    VERDICT_UPLOAD
};

struct verdict_facts {
    enum verdict_request request;
    enum http_outcome outcome;
    int status;
    const char *content_type; /* "" if none */
    const char *body;
    size_t body_len;
    uint32_t retry_after_ms;
    bool reached;              /* the connection stood */
    const char *http_error;    /* the sentence of an outcome that is not HTTP_DONE */
    const char *listing_error; /* poll: why its 200 is no listing; NULL if it is one */
    int file_fault;            /* download: parcel.h's, 0 if there is none */
    const char *file_error;    /* its sentence */
    bool has_id;               /* upload: the answer names the attachment */
    const char *never_say;     /* the key: words of the server that hold it are left out */
};

struct verdict {
    enum upstream_verdict verdict;
    char text[512]; /* "" with UPSTREAM_OK */
};

/* One answer; the sentence names nothing secret and no more than a few words of the server's. */
void verdict_judge(const struct verdict_facts *facts, struct verdict *ret_verdict);
