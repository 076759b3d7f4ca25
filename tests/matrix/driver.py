# SPDX-License-Identifier: MIT
"""sole.py at the end of a pipe: the same words as driver.c, the same answers. But for

    own EXPRESSION    a method of `client`: prints what it returns, as repr() does, or the
                      name of the code and what was found; `keep` outlives the line
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "clients", "python"))
sys.dont_write_bytecode = True

import sole  # noqa: E402


def read_value(word):
    return None if word == "n" else int(word[1:]) if word[0] == "i" else bytes.fromhex(word[1:])


def write_value(value):
    if isinstance(value, list):
        return "".join(["(", *(f" {write_value(item)}" for item in value), " )"])
    return "n" if value is None else f"b{value.hex()}" if isinstance(value, bytes) else f"i{value}"


def request_of(text):
    request, otherwise = sole.Request(), False
    for operation in text.split(" ; "):
        name, *values = operation.split()
        if name == "otherwise":
            request, otherwise = request.otherwise(), True
        else:
            request = request.call(name, *map(read_value, values))
    return request, otherwise


def lists(results):
    return "".join("".join([" [", *(f" {write_value(value)}" for value in values), " ]"]) for values in results)


class Driver:
    def __init__(self, owner):
        self.owner = owner
        self.client = sole.Client(owner, program="matrix")
        self.keep = {}

    def say_run(self, text):
        request, otherwise = request_of(text)
        reply = self.client.run(request)
        return "ok" + (f" [ i{reply.half} ]" if otherwise else "") + lists(reply.results)

    def say_own(self, text):
        return repr(eval(text, {"client": self.client, "sole": sole, "keep": self.keep}))

    def say_begin(self, text):
        self.pending = self.client.submit(request_of(text)[0])
        return "ok"

    def say_finish(self, _):
        return "ok" + lists(self.pending.result().results)

    def say_cancel(self, _):
        self.pending.cancel()
        return self.say_finish(_)

    def say_watch(self, text):
        self.watch = self.client.watch(text)
        return "ok"

    def say_hear(self, _):
        event = self.watch.next()
        return f"{event.kind} {event.key.decode()}"

    def say_unwatch(self, _):
        self.watch.close()
        return "ok"

    def say_ping(self, _):
        return "ok" if self.client.ping() > 0 else "no time"

    def say_status(self, _):
        pairs = [item.encode() if isinstance(item, str) else item
                 for pair in self.client.status().items() for item in pair]
        return "ok" + lists([pairs])

    def say_stats(self, _):
        return "ok" + lists([[name.encode(), counter.value, *(text.encode() for text in (counter.unit, counter.text,
                                                                                         counter.kind, counter.title))]
                             for name, counter in self.client.stats().items()])

    def say_describe(self, _):
        def told(fields):
            return ", ".join(f"{field.name}:{field.type}" for field in fields).encode()
        return "ok" + lists([[one.number, one.name.encode(), b"query" if one.query else b"command",
                              told(one.arguments), told(one.results), one.help.encode()]
                             for one in self.client.operations().values()])

    def say_outcome(self, text):
        fate = self.client.outcome(*map(int, text.split()))
        return fate.name + (lists(fate.results or []) if fate.ran else "")

    def say_latencies(self, _):
        return "ok" + lists([[one.name.encode(), one.kind.encode(), one.unit.encode(), one.count, one.sum, one.maximum]
                             for one in self.client.latencies().values()])

    def say_clients(self, _):
        return "ok" + lists([[one.connection, one.pid, one.uid, one.key, one.program.encode(), one.messages, one.requests,
                              one.sessions, round(one.connected * 1000)] for one in self.client.clients()])

    def say_hot(self, _):
        return "ok" + lists([[one.key, one.size, one.operation.encode(), one.count, one.error] for one in self.client.hot()])

    def say_slow(self, _):
        assert all(one.ran >= 1000000 for one in self.client.slow(reset=True))
        return "ok" + lists([[1000000, 128, len(self.client.slow())]])

    def say_trace(self, prefix):
        self.trace = self.client.trace(key=prefix)
        return "ok"

    def say_traced(self, _):
        traced = self.trace.next()
        return f"{traced.pid} {traced.operation} {traced.key.decode()}"

    def say_untrace(self, _):
        self.trace.close()
        return "ok"

    def say_backup(self, path):
        return "ok" if self.client.backup(path) > 0 else "nothing"

    def say_sessions(self, _):
        return "ok" + lists([[one.session, one.pid, one.commands] for one in self.client.sessions()])

    def say_end_session(self, text):
        self.client.end_session(int(text))
        return "ok"

    def say_read_only(self, text):
        return f"ok {int(self.client.read_only({'1': True, '0': False}.get(text)))}"

    def say_close(self, _):
        self.client.close()
        self.client = sole.Client(self.owner, program="matrix")
        return "ok"


driver = Driver(sys.argv[1])
for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    try:
        print(getattr(driver, f"say_{word}")(rest), flush=True)
    except sole.Conflict as error:
        print(error.name, write_value(error.detail), flush=True)
    except sole.SoleError as error:
        print(error.name, flush=True)
driver.client.close()
