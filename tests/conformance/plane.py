"""The agents API of a control plane, as far as the tests need one: who asks gets what it would give."""

import base64
import re
import threading
import time
import urllib.parse

from casefile import CaseError
from session import Channel
from wire import answer, http_date


class Plane:
    def __init__(self, slug="test-agent", long_poll=True):
        self.slug = slug
        self.agent_key = "nairid_" + "0123456789abcdef" * 3
        self.valid_key = self.agent_key
        self.long_poll = long_poll
        self.lock = threading.Condition()
        self.complaints = []
        self.channel = Channel(self)
        self.jobs = {}        # job id -> {"id", "messages": [...]}, or anything that was listed raw
        self.job_of = {}      # message id -> job id
        self.records = {}     # message id -> how it was listed
        self.fresh = set()    # ids of messages that no poll has listed
        self.replies = {}     # message id -> the terminal envelopes that were accepted, by id
        self.completed = []   # the jobs that were said to be complete
        self.envelopes = set()
        self.uploads = {}     # attachment id -> (its name, its contents)
        self.acked = {}       # message id -> how often
        self.documents = {}   # path below /api/agents/ -> what is answered: JSON, or a status
        self.gone = {}        # message id -> its job, which was unlisted
        self.files = {}       # attachment id -> its bytes, or a function that answers on a socket
        self.held = None      # the long poll that waits
        self.counter = 0
        self.kicked = False   # the next long poll is answered at once
        self.stopping = False
        self.is_cut = False   # the wire to us is dead

    # what cases tell it

    def give(self, prompt, job=None, record=None, payload=None, fields=None):
        """Puts a message into a job (a new one unless named); returns the message's id."""
        with self.lock:
            self.counter += 1
            message = f"cmsg_{self.counter:026d}"
            kind = "user_message_v1" if job else "start_conversation_v1"
            job = job or f"job_{self.counter:026d}"
            self.jobs.setdefault(job, {"id": job, "job_type": "api", "mode": "execute",
                                       "title": None, "messages": []}).update(fields or {})
            self.records[message] = {
                "id": message, "type": kind, "created_at": "2026-04-01T10:00:00Z",
                "payload": {"job_id": job, "message": prompt, "message_link": "",
                            "processed_message_id": message, **(payload or {})}, **(record or {})}
            self.jobs[job]["messages"].append(self.records[message])
            self.job_of[message] = job
            self.fresh.add(message)
            self.lock.notify_all()
        return message

    def attach(self, data):
        """Keeps a file for whoever asks; returns what a payload names it by."""
        with self.lock:
            self.counter += 1
            self.files[f"att_{self.counter:026d}"] = data
            return {"attachment_id": f"att_{self.counter:026d}"}

    def envelope(self, message, fields=None):
        """What is said of a message by the realtime channel."""
        record = self.records[message]
        return {"id": f"evt_{message}", "type": record["type"], "payload": record["payload"],
                **(fields or {})}

    def list_raw(self, job):
        """Puts anything into every listing from now on."""
        with self.lock:
            self.counter += 1
            self.jobs[f"raw {self.counter}"] = job

    def change(self, message, fields):
        """Changes the message's job, and wakes polls."""
        with self.lock:
            self.jobs[self.job_of[message]].update(fields)
            self.kicked = True
            self.lock.notify_all()

    def unlist(self, message):
        """The message's job is another daemon's, from now on."""
        with self.lock:
            self.gone[message] = self.jobs.pop(self.job_of[message])

    def relist(self, message, fields):
        """The message's job is listed again, with these changes."""
        with self.lock:
            job = self.gone.pop(message)
            job.update(fields)
            self.jobs[job["id"]] = job
            self.fresh.update(record["id"] for record in job["messages"])
            self.lock.notify_all()

    def forget(self):
        """Nothing of the case before is listed any more."""
        self.jobs.clear()
        self.files.clear()
        self.fresh.clear()
        self.complaints.clear()
        self.channel.forget()

    def revoke(self):
        """The daemon's key is not valid any more."""
        self.valid_key = None

    def kick(self):
        """Answers polls that wait at once, though there is nothing new."""
        with self.lock:
            self.kicked = True
            self.lock.notify_all()

    # what tests ask it

    def wait_reply(self, message, timeout_s=30):
        """Waits for the terminal reply and the ack; returns the reply, which is the only one."""
        with self.lock:
            done = self.lock.wait_for(
                lambda: self.replies.get(message) and self.acked.get(message), timeout_s)
        assert done, f"waited {timeout_s} s for the reply to {message}: {self.requests[-10:]}"
        assert len(self.replies[message]) == 1, self.replies[message]
        return self.replies[message][0]

    # the agents API

    def carry_out(self, request, talk):
        if request.endpoint == "connect":
            return b"HTTP/1.1 200 Connection established\r\n\r\n"
        if request.endpoint in ("open", "get", "post"):
            return self.channel.carry_out(request, talk)
        if request.headers.get("Authorization") != f"Bearer {self.valid_key}":
            return answer(401, {"error": "invalid agent key"})
        with self.lock:
            try:
                if request.endpoint == "poll":
                    return self._poll(request, talk)
                if request.endpoint == "ack":
                    return self._ack(request)
                if request.endpoint == "upload":
                    return self._upload(request)
                if request.endpoint in ("reply", "processing", "progress", "complete"):
                    return self._submit(request)
                if request.endpoint == "download" and self._is_file(request):
                    return self._download(request)
                return self._document(request)
            finally:
                self.lock.notify_all()

    def _is_file(self, request):
        return request.path.removeprefix("/api/agents/") not in self.documents

    def _document(self, request):
        document = self.documents.get(request.path.removeprefix("/api/agents/"), 404)
        if isinstance(document, int):
            return answer(document, {"error": "no such path"})
        return answer(200, document)

    def provide(self, name, document):
        """What the daemon gets for GET /api/agents/NAME: JSON, or a status."""
        with self.lock:
            self.documents[name] = document

    def provide_file(self, attachment, data):
        """An attachment's bytes; its id."""
        self.provide(f"attachments/{attachment}",
                     {"id": attachment, "data": base64.b64encode(data).decode()})
        return attachment

    def _poll(self, request, talk):
        prefer = request.headers.get("Prefer", "")
        if not prefer:  # a long poll of before may come late
            self.channel.synced = True
        headers = [f"Date: {http_date(0)}"]
        if self.long_poll and prefer.startswith("wait="):
            deadline = time.monotonic() + int(prefer[5:])
            self.held = request
            self.lock.notify_all()
            while (not self.fresh and not self.kicked or self.is_cut) and not self.stopping:
                left = deadline - time.monotonic()
                if left <= 0 or talk.is_gone():
                    break
                self.lock.wait(min(left, 0.5))
            if self.held is request:
                self.held = None
            if talk.is_gone():  # nothing is handed to who isn't there
                return answer(200, {"jobs": []})
            headers.append(f"Preference-Applied: {prefer}")
        self.fresh.clear()
        self.kicked = False
        return answer(200, {"jobs": list(self.jobs.values())}, "application/json", headers)

    def _download(self, request):
        name = urllib.parse.unquote(request.path.rsplit("/", 1)[1])
        data = self.files.get(name)
        if data is None:
            return answer(404, {"error": "attachment not found"})
        return data if callable(data) else \
            answer(200, {"id": name, "data": base64.b64encode(data).decode()})

    def _submit(self, request):
        envelope = request.json
        request.accepted = True
        if envelope["id"] not in self.envelopes:
            self.envelopes.add(envelope["id"])
            if request.endpoint == "reply":
                self.replies.setdefault(request.message, []).append(envelope)
            if request.endpoint == "complete":
                self.completed.append(envelope["payload"]["job_id"])
        return answer(200, {"stored": True})

    def _upload(self, request):
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = request.body.partition(b"\r\n\r\n")
        end = b"\r\n--" + boundary + b"--\r\n"
        named = re.fullmatch(b"--" + boundary + b"\r\nContent-Disposition: form-data; name=\"file\"; "
                             b"filename=\"([^\"\r\n]*)\"\r\nContent-Type: [^\r\n]*", head)
        if not named or not rest.endswith(end) or request.body.count(b"--" + boundary) != 2:
            raise CaseError(f"no form with one part 'file': {request.body[:200]!r}")
        self.counter += 1
        attachment = f"att_{self.counter:026d}"
        self.uploads[attachment] = (named[1].decode(), rest[:-len(end)])
        return answer(201, {"attachment_id": attachment})

    def _ack(self, request):
        message = request.message
        job = self.jobs.get(self.job_of.get(message))
        request.accepted = True
        if job:
            job["messages"] = [record for record in job["messages"] if record["id"] != message]
            if not job["messages"]:
                del self.jobs[job["id"]]
        self.fresh.discard(message)
        self.acked[message] = self.acked.get(message, 0) + 1
        return answer(200, {"stored": True})
