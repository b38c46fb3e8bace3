"""The control plane's end of the realtime channel, as a case plays it: Engine.IO 4 by polling and
Socket.IO 5, on as many paths as the case says. A body goes out as it was given: nothing is joined
or split on the way."""

import contextlib
import json
import re
import time

from wire import answer

SEPARATOR = "\x1e"
TEXT = "text/plain; charset=UTF-8"
REFUSALS = {0: "Transport unknown", 1: "Session ID unknown", 2: "Bad handshake method",
            3: "Bad request"}
OPEN = {"upgrades": [], "maxPayload": 1000000,
        "pingInterval": 3000000, "pingTimeout": 20000}  # pings come where a case sends them


def refusal(code):
    return answer(400, {"code": code, "message": REFUSALS[code]})


class Session:
    def __init__(self, sid):
        self.sid = sid
        self.out = []        # bodies, each the answer to one GET
        self.joined = False
        self.flights = {"get": 0, "post": 0}


class Channel:
    """peer.channel; there is none until serve()."""

    def __init__(self, plane):
        self.plane = plane
        self.paths = ()
        self.open = dict(OPEN)
        self.sessions = {}
        self.waiting = None  # the session whose GET waits
        self.synced = False  # whether the daemon has polled since it joined
        self.count = 0
        self.forget()

    def forget(self):
        """Of an earlier case; who has joined stays so."""
        self.said = []       # (session's id, packet), of all that came
        self.joins = 0
        self.opened = []     # when sessions were asked for, monotonic seconds

    # what cases tell it

    def serve(self, paths, fields):
        self.paths = paths
        self.open.update(fields)

    def lose(self):
        """The sessions are unknown, as after a restart."""
        with self.plane.lock:
            self.sessions.clear()
            self.plane.lock.notify_all()

    def tell(self, body):
        """The answer to a GET of the session that was joined last; once there is one."""
        with self.plane.lock:
            self.plane.lock.wait_for(self.current, 30)
            session = self.current()
            assert session, "nobody has joined the channel"
            session.out.append(body)
            self.plane.lock.notify_all()

    # what cases ask

    def current(self):
        joined = [session for session in self.sessions.values() if session.joined]
        return joined[-1] if joined else None

    def is_held(self):
        """Whether a GET of a session waits that is joined and in which nothing was missed."""
        return self.waiting is not None and self.waiting is self.current() and self.synced

    def heard(self, regex):
        """How many packets there were of that kind."""
        with self.plane.lock:
            return sum(bool(re.search(regex, packet)) for _, packet in self.said)

    # requests

    @contextlib.contextmanager
    def flight(self, request):
        """While a request is under way: one GET and one POST of each session, at most."""
        session = self._session(request)
        if session is None:
            yield
            return
        with self.plane.lock:
            session.flights[request.endpoint] += 1
            request.session = session
            if session.flights[request.endpoint] > 1:
                self.plane.complaints.append(f"two at a time: {request}")
        try:
            yield
        finally:
            self.landed(request)

    def landed(self, request):
        """Its answer begins to go out, so that the next one may come at any time."""
        session = getattr(request, "session", None)
        if session:
            with self.plane.lock:
                session.flights[request.endpoint] -= 1
                request.session = None

    def arrived(self, request):
        """Whatever is answered."""
        if request.endpoint == "open":
            self.opened.append(time.monotonic())
        if request.endpoint == "post":
            for packet in request.body.decode().split(SEPARATOR):
                self.said.append((request.query["sid"], packet))

    def carry_out(self, request, talk):
        path = request.path.partition("?")[0]
        if path not in self.paths:
            return answer(404, "<html>no such place</html>", "text/html")
        if request.query.get("transport") != "polling":
            return refusal(0)
        with self.plane.lock:
            if request.endpoint == "open":
                return self._open()
            session = self._session(request)
            if session is None:
                return refusal(1)
            if request.endpoint == "get":
                return self._get(session, talk)
            return self._post(session, request.body.decode())

    def _session(self, request):
        return self.sessions.get(request.query["sid"]) if request.endpoint in ("get", "post") \
            else None

    def _open(self):
        self.count += 1
        session = Session(f"session-{self.count}")
        self.sessions[session.sid] = session
        return answer(200, "0" + json.dumps({"sid": session.sid, **self.open}), TEXT)

    def _get(self, session, talk):
        plane = self.plane
        self.waiting = session
        plane.lock.notify_all()
        while session.sid in self.sessions and not plane.stopping and not talk.is_gone():
            if session.out and not plane.is_cut:
                break
            plane.lock.wait(0.5)
        if self.waiting is session:
            self.waiting = None
        if session.sid not in self.sessions:
            return refusal(1)
        if not session.out or talk.is_gone():
            return answer(200, "6", TEXT)
        return answer(200, session.out.pop(0), TEXT)

    def _post(self, session, body):
        for packet in body.split(SEPARATOR):
            if packet.startswith("40"):
                session.joined = True
                self.joins += 1
                self.synced = False
                session.out.insert(0, '40{"sid":"%s-0"}' % session.sid)
            elif packet in ("1", "41"):
                self.sessions.pop(session.sid, None)
        self.plane.lock.notify_all()
        return answer(200, "ok", "text/html")
