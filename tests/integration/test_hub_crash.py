"""The hub is killed at random moments while messages pass: nothing that it answered may be lost."""

import random
import signal
import threading
import time

MESSAGES = 240  # at least; the writers go on until the last kill
KILLS = 15
INSTANCES = 3


class Crowd:
    """People who write, daemons that answer, and the hand that kills the hub."""

    def __init__(self, hub):
        self.hub = hub
        self.lock = threading.Lock()
        self.started = {}  # message id -> nonce, as answered by the hub
        self.jobs = {}  # job id -> nonces of its messages, in order
        self.acked = set()  # message ids whose ack was answered 200
        self.fences = {}  # job id -> the highest seen
        self.faults = []
        self.over = threading.Event()
        self.killed = threading.Event()  # for the last time

    def call(self, function, *args, **kwargs):
        """The answer, or None if the hub died over it."""
        try:
            return function(*args, timeout=20, **kwargs)
        except OSError:
            return None
        except Exception as e:  # http.client's own, for answers cut short
            if type(e).__module__ == "http.client":
                return None
            raise

    def guard(self, work, *args):
        try:
            work(*args)
        except Exception as e:  # shown by the test
            self.faults.append(repr(e))
            self.over.set()

    def write(self, writer):
        rng = random.Random(writer)
        job, i = None, 0
        while i < MESSAGES // 4 or not self.killed.is_set():
            i += 1
            nonce = f"nonce-{writer}-{i}"
            while not self.over.is_set():
                if job and rng.random() < 0.7:
                    answer = self.call(self.hub.api, "POST", f"/conversations/{job}/continue",
                                       {"prompt": nonce})
                else:
                    answer = self.call(self.hub.api, "POST", "/conversations/start",
                                       {"agent_id": self.hub.slug, "prompt": nonce})
                if answer is not None:
                    break
                # it may have been stored all the same: a new nonce keeps the count honest
                nonce += "'"
                time.sleep(0.01)  # nap: the hub is down
            if self.over.is_set():
                return
            assert answer.status == 201, answer
            job = answer.json["job_id"]
            with self.lock:
                self.started[answer.json["message_id"]] = nonce
                self.jobs.setdefault(job, []).append(nonce)

    def work(self, instance):
        plain = True  # after a failed poll everything is asked for, as a daemon does
        seen = set()
        while not self.over.is_set():
            answer = self.call(self.hub.agents, "GET", "/jobs", instance=instance,
                               wait_s=None if plain else 2)
            if answer is None:
                plain = True
                time.sleep(0.01)  # nap: the hub is down
                continue
            assert answer.status == 200, answer
            plain = False
            for job in answer.json["jobs"]:
                self.see_fence(job["id"], job["fence"])
                for record in job["messages"]:
                    assert record["id"] not in self.acked, "listed again after its ack"
                    if record["id"] not in seen:
                        self.answer(instance, job, record)
                        seen.add(record["id"])

    def see_fence(self, job, fence):
        with self.lock:
            assert fence >= self.fences.get(job, 0), "a fence went backwards"
            self.fences[job] = fence

    def answer(self, instance, job, record):
        message = record["id"]
        body = {"id": f"msg_{message}", "type": "assistant_message_v1",
                "payload": {"job_id": job["id"], "processed_message_id": message,
                            "message": "reply to " + record["payload"]["message"]}}
        for path, body in (("/messages", body), (f"/messages/{message}/ack", None)):
            while not self.over.is_set():
                done = self.call(self.hub.agents, "POST", path, body, instance=instance,
                                 fence=job["fence"])
                if done is not None:
                    assert done.status == 200, done
                    break
                time.sleep(0.01)  # nap: the hub is down
        self.acked.add(message)

    def kill(self):
        rng = random.Random(20261122)
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.02, 0.4))  # nap: the random moment
            self.hub.proc.send_signal(signal.SIGKILL)
            self.hub.end(signal.SIGKILL)
            self.hub.boot()
        self.killed.set()


def test_nothing_answered_is_lost_however_the_hub_is_killed(hub):
    crowd = Crowd(hub)
    writers = [threading.Thread(target=crowd.guard, args=(crowd.write, w)) for w in range(4)]
    workers = [threading.Thread(target=crowd.guard, args=(crowd.work, f"i{n}"))
               for n in range(INSTANCES)]
    for thread in writers + workers:
        thread.start()
    crowd.kill()
    for thread in writers:
        thread.join(120)
    deadline = time.monotonic() + 60
    while not crowd.over.is_set() and time.monotonic() < deadline:
        if set(crowd.started) <= crowd.acked:
            break
        time.sleep(0.05)  # poll
    crowd.over.set()
    for thread in workers:
        thread.join(60)
    assert not crowd.faults

    replied = {}
    for job in crowd.jobs:
        listed = hub.messages(job)
        prompts = [entry["content"] for entry in listed if entry["role"] == "user"]
        assert [p for p in prompts if p in crowd.jobs[job]] == crowd.jobs[job], "out of order"
        for entry in listed:
            if entry["role"] == "assistant":
                assert entry["processed_message_id"] not in replied, "answered twice"
                replied[entry["processed_message_id"]] = entry["content"]
    assert len(crowd.started) >= MESSAGES
    for message, nonce in crowd.started.items():
        assert replied.get(message) == "reply to " + nonce
        assert hub.message(message)["status"] == "completed"
