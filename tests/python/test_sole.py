# SPDX-License-Identifier: MIT
"""sole.py against real owners. tests/39-python.t starts it: $SOLE_RUNTIME_DIR is the test's folder,
$SOLE_BIN has the programs, and an owner called "python" listens. Prints TAP.

Every operation is asked for twice, by Client and by AsyncClient. Connections are cut by a relay that
stands between a client and an owner, and can swallow what the owner answers.
"""
import asyncio
import errno
import io
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.path.join(TOP, "clients", "python")
sys.path.insert(0, PYTHON)
sys.dont_write_bytecode = True

import sole  # noqa: E402

FOLDER = os.environ["SOLE_RUNTIME_DIR"]
BIN = os.environ["SOLE_BIN"]
FACTOR = float(os.environ.get("SOLE_TIME_FACTOR") or 1)
LIMIT = 20 * FACTOR  # seconds that anything may take


def wait_until(condition, limit=LIMIT):
    end = time.monotonic() + limit
    while True:
        result = condition()
        if result or time.monotonic() >= end:
            return result
        time.sleep(0.003)


def finish(coroutine):
    """Runs it to its end, or fails in time."""
    return asyncio.run(asyncio.wait_for(coroutine, 2 * LIMIT))


class Owner:
    """An owner of this test's own, ready when this returns."""

    def __init__(self, name, *options):
        self.name, self.options = name, options
        self.start()

    def start(self):
        wrapper = os.environ.get("SOLE_WRAPPER", "").split()
        self.process = subprocess.Popen([*wrapper, os.path.join(BIN, "sole-owner"), "-q", *self.options, self.name],
                                        stderr=subprocess.DEVNULL)
        with sole.Client(self.name, timeout=LIMIT) as client:
            client.ping()

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(LIMIT)


class Relay:
    """Forwards bytes between clients and an owner. mute: what the owner says is swallowed; closed: nobody
    gets through."""

    def __init__(self, name):
        self.target = f"{FOLDER}/{name}.sock"
        self.path = f"{FOLDER}/relay-{name}.sock"
        self.endpoint = f"ipc://{self.path}"
        self.mute, self.closed, self.accepted, self.over = False, False, 0, False
        self.pairs, self.mutex = {}, threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over:
            with self.mutex:
                sides = list(self.pairs)
            readable, _, _ = select.select([self.listener, *[s for s in sides if s.fileno() >= 0]], [], [], 0.01)
            with self.mutex:
                for one in readable:
                    if one is self.listener:
                        self._accept()
                    elif one in self.pairs:
                        self._forward(one)

    def _accept(self):
        client, owner = self.listener.accept()[0], socket.socket(socket.AF_UNIX)
        try:
            if self.closed:
                raise OSError
            owner.connect(self.target)
        except OSError:
            client.close()
            owner.close()
            return
        self.accepted += 1
        self.pairs[client], self.pairs[owner] = (owner, False), (client, True)

    def _forward(self, one):
        other, from_owner = self.pairs[one]
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close(one)
        elif not (from_owner and self.mute):
            try:
                other.sendall(data)
            except OSError:
                self._close(one)

    def _close(self, one):
        other = self.pairs.pop(one)[0]
        self.pairs.pop(other, None)
        one.close()
        other.close()

    def cut(self):
        with self.mutex:
            for one in list(self.pairs):
                if one in self.pairs:
                    self._close(one)

    def close(self):
        self.over = True
        self.thread.join(LIMIT)
        self.cut()
        self.listener.close()
        os.unlink(self.path)


class Blocking:
    """An AsyncClient whose calls are waited for, so that the same test serves both."""

    def __init__(self, *arguments, **options):
        self._loop = asyncio.new_event_loop()

        async def make():
            return sole.AsyncClient(*arguments, **options)
        self._client = self._loop.run_until_complete(make())

    def __getattr__(self, name):
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*arguments, **options):
            async def run():
                return await attribute(*arguments, **options)
            return self._loop.run_until_complete(run())
        return call

    def items(self, *arguments, **options):
        async def run():
            return [entry async for entry in self._client.items(*arguments, **options)]
        return self._loop.run_until_complete(run())

    def close(self):
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._client.close())
            self._loop.close()


class Case(unittest.TestCase):
    make = staticmethod(sole.Client)

    def client(self, owner="python", **options):
        options.setdefault("timeout", LIMIT)
        client = self.make(None if "endpoint" in options else owner, **options)
        self.addCleanup(client.close)
        return client

    def owner(self, name, *options):
        owner = Owner(name, *options)
        self.addCleanup(owner.stop)
        return owner

    def relay(self, name):
        relay = Relay(name)
        self.addCleanup(relay.close)
        return relay

    def refused(self, name, call, *arguments, **options):
        """Checks that it is refused by this name, and returns the refusal."""
        with self.assertRaises(sole.Refused) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.name, name)
        self.assertIs(caught.exception.ran, False)
        return caught.exception


# ---- every operation ----

class Operations(Case):
    def setUp(self):
        self.c = self.client()
        self.k = f"{self.id()}/"  # keys of this test's own

    def test_put_get_delete(self):
        """put, get and delete tell what was there; values are integers and bytes"""
        c, k = self.c, self.k
        self.assertIs(c.put(k, 12), False)
        self.assertIs(c.put(k, "twelve"), True)
        self.assertEqual(c.get(k), b"twelve")
        for value in (0, -1, 2 ** 63 - 1, -2 ** 63, b"", b"\0\xff", b"x" * 100_000):
            c.put(k, value)
            self.assertEqual(c.get(k), value)
        self.assertIs(c.delete(k), True)
        self.assertIs(c.delete(k), False)
        self.assertIsNone(c.get(k))

    def test_arguments(self):
        """what cannot be sent is an error of Python's, and nothing is sent"""
        c, k = self.c, self.k
        for value, error in ((True, TypeError), (1.5, TypeError), ([], TypeError), (2 ** 63, OverflowError)):
            self.assertRaises(error, c.put, k, value)
        self.assertRaises(TypeError, c.get, 5)
        for get_many in (c.get_many, sole.Request().get_many):
            for number in (0, 256):
                with self.assertRaisesRegex(ValueError, f"^get_many takes 1 to 255 keys, not {number}: "):
                    get_many(["k"] * number)
            for one in ("abc", b"abc"):
                with self.assertRaisesRegex(TypeError, "^get_many takes a list of keys, and get takes one$"):
                    get_many(one)
        self.assertRaises(ValueError, c.run, sole.Request())
        self.assertRaises(ValueError, c.get, k, timeout=-1)
        self.assertEqual(self.refused("invalid", c.put, k, None).operation, 0)
        self.assertIsNone(c.get(k))

    def test_sizes(self):
        """keys, values, messages and scans have limits, and each is refused by name"""
        c, k = self.c, self.k
        self.refused("too-large", c.put, "k" * 2000, 1)
        self.refused("too-large", c.put, k, b"v" * (1 << 20))
        self.refused("too-large", c.put, k, b"v" * ((1 << 20) - 200))
        self.refused("too-large", c.run, self.many(2000))
        self.refused("invalid", c.scan, k, limit=10_001)
        self.refused("invalid", c.scan, k, limit=-1)
        self.assertEqual(len(c.get_many([k] * 255)), 255)

    @staticmethod
    def many(count):
        request = sole.Request()
        for _ in range(count):
            request.get("k")
        return request

    def test_add(self):
        """add sums, and refuses what does not fit and what is no integer"""
        c, k = self.c, self.k
        self.assertEqual(c.add(k), 1)
        self.assertEqual(c.add(k, -3), -2)
        c.put(k, 2 ** 63 - 1)
        self.assertEqual(self.refused("overflow", c.add, k, 1).detail, 2 ** 63 - 1)
        c.put(k, "text")
        self.refused("wrong-type", c.add, k)

    def test_conditions(self):
        """cas, insert, replace and check conflict with the value that is there"""
        c, k = self.c, self.k
        self.assertIsNone(self.refused("conflict", c.replace, k, 1).detail)
        self.assertIsNone(self.refused("conflict", c.check, k, 1).detail)
        c.insert(k, 1)
        self.assertEqual(self.refused("conflict", c.insert, k, 2).detail, 1)
        c.replace(k, 2)
        error = self.refused("conflict", c.cas, k, 1, 3)
        self.assertIsInstance(error, sole.Conflict)
        self.assertEqual(error.detail, 2)
        c.cas(k, 2, "three")
        c.check(k, "three")
        c.cas(k, "three", None)
        c.check(k, None)
        c.cas(k, None, 4)
        self.assertEqual(c.get(k), 4)

    def test_revisions(self):
        """an entry's revision guards it"""
        c, k = self.c, self.k
        self.assertEqual(c.revision(k), (k.encode(), None, 0))
        c.cas_revision(k, 0, "new")
        entry = c.revision(k)
        self.assertEqual(entry.value, b"new")
        c.check_revision(k, entry.revision)
        c.put(k, "newer")
        self.assertGreater(self.refused("conflict", c.cas_revision, k, entry.revision, 1).detail, entry.revision)
        self.refused("conflict", c.check_revision, k, entry.revision)

    def test_scan(self):
        """scan gives entries in order, page by page, and count counts them"""
        c, k = self.c, self.k
        before = c.count()
        names = [f"{k}{i:03}" for i in range(25)]
        for name in reversed(names):
            c.put(name, name)
        self.assertEqual(c.count(), before + 25)
        page = c.scan(k, limit=10)
        self.assertEqual([e.key.decode() for e in page.entries], names[:10])
        self.assertEqual(page.cursor, names[9].encode())
        page = c.scan(k, page.cursor, 10)
        self.assertEqual([e.value.decode() for e in page.entries], names[10:20])
        page = c.scan(k, page.cursor, 10)
        self.assertEqual((len(page.entries), page.cursor), (5, None))
        self.assertEqual([e.key.decode() for e in c.items(k)], names)
        self.assertEqual(page.entries[0].revision, c.revision(page.entries[0].key).revision)
        for i in range(8):
            c.put(f"{k}large/{i}", b"v" * 200_000)
        self.assertEqual(len(list(c.items(f"{k}large/"))), 8, "larger than a message")
        self.assertLess(len(c.scan(f"{k}large/").entries), 8)

    def test_get_many(self):
        """get_many keeps the order, and has none for what is not there"""
        c, k = self.c, self.k
        c.put(k + "a", 1)
        c.put(k + "b", "2")
        self.assertEqual(c.get_many([k + "b", k + "x", k + "a"]), [b"2", None, 1])

    def test_expiry(self):
        """what has a time to live goes, unless it is put or told to stay"""
        c, k = self.c, self.k
        c.put(k, 1)
        self.assertIsNone(c.ttl(k))
        self.assertIs(c.expire(k, 60_000), True)
        self.assertGreater(c.ttl(k), 50_000)
        self.assertIs(c.expire(k, None), True)
        self.assertIsNone(c.ttl(k))
        self.assertIs(c.put_for(k, 2, 60_000), True)
        c.put(k, 3)
        self.assertIsNone(c.ttl(k))
        self.assertIs(c.expire(k + "absent", 5), False)
        self.refused("invalid", c.put_for, k, 1, 0)
        self.refused("invalid", c.expire, k, -1)
        self.assertEqual(c.get(k), 3)
        c.put_for(k, 4, 20)
        self.assertTrue(wait_until(lambda: c.get(k) is None))

    def test_bind(self):
        """what is bound goes with the session"""
        other = self.client()
        other.bind(self.k, "here")
        self.assertEqual(self.c.get(self.k), b"here")
        other.close()
        self.assertIsNone(self.c.get(self.k))

    def test_request(self):
        """of a request all operations take effect, or none"""
        c, k = self.c, self.k
        reply = c.run(sole.Request().put(k, 1).add(k, 2).get(k))
        self.assertEqual((reply.results, reply.values, reply.half), ([[0], [3], [3]], [0, 3, 3], 1))
        error = self.refused("conflict", c.run, sole.Request().put(k, 5).check(k, 6))
        self.assertEqual((error.operation, error.detail), (1, 5))
        self.assertEqual(c.get(k), 3)
        again = sole.Request().add(k)
        self.assertEqual([c.run(again).values for _ in range(3)], [[4], [5], [6]])

    def test_otherwise(self):
        """a condition that does not hold has the other half run"""
        c, k = self.c, self.k
        request = sole.Request().put(k + "x", 1).check(k, 1).delete(k).otherwise().put(k, 1).get(k + "x")
        first, second = c.run(request), c.run(request)
        self.assertEqual((first.half, first.values), (2, [0, None]))
        self.assertEqual((second.half, second.values), (1, [0, 1]))
        self.assertEqual(c.run(sole.Request().check(k, 9).otherwise()).results, [])
        c.put(k, "text")
        self.refused("wrong-type", c.run, sole.Request().add(k).otherwise().get(k))
        twice = sole.Request().check(k, 1).otherwise().check(k, 2)
        self.assertEqual(self.refused("conflict", c.run, twice).operation, 2)
        self.assertRaises(ValueError, sole.Request().otherwise().otherwise)

    def test_every_builder(self):
        """a request can hold every operation"""
        c, k = self.c, self.k
        request = (sole.Request().put(k, 1).insert(k + "i", 1).replace(k, 2).cas(k, 2, 3).add(k, 4).get_many([k])
                   .put_for(k + "t", 1, 60_000).expire(k, 50_000).ttl(k).expire(k, None).check(k, 7).revision(k)
                   .cas_revision(k + "n", 0, 1).check_revision(k + "absent", 0).bind(k + "b", 1).scan(k).count()
                   .holder(k).delete(k).call("get", k))
        reply = c.run(request)
        self.assertEqual(len(reply.results), len(request))
        self.assertEqual(reply.results[5], [7])
        self.assertIsInstance(reply.results[15][0], list)
        self.assertEqual(reply.results[-1], [None])

    def test_call(self):
        """operations are called by the names that the owner describes"""
        c, k = self.c, self.k
        operations = c.operations()
        self.assertEqual((operations["get"].number, operations["get"].query), (1, True))
        self.assertEqual([f.name for f in operations["cas"].arguments], ["key", "expected", "new"])
        self.assertEqual(operations["cas"].arguments[2].type, "integer, bytes or none")
        self.assertEqual(c.call("add", k, 5), [5])
        self.assertEqual(c.call("get-many", k, "absent"), [5, None])
        self.refused("no-operation", c.call, "transfer", "alice", "bob", 10)

    def test_about(self):
        """an owner is pinged, and tells about itself"""
        c = self.c
        self.assertLess(c.ping(), LIMIT)
        c.get(self.k)
        self.assertEqual(c.status()["behaviour"], "table")
        self.assertGreater(c.stats()["requests"].value, 0)
        self.assertTrue(c.stats()["requests"].text)
        self.assertEqual(c.stats()["requests"].kind, "counter")
        self.assertEqual(c.stats()["round_longest"].kind, "longest")
        self.assertEqual(c.stats()["outbox-bytes"].kind, "gauge")

    def test_numbers(self):
        """an owner tells how long operations took, which keys are hot, who asks, and what was slow"""
        c, k = self.c, self.k
        before = c.latencies().get("put")
        for _ in range(300):
            c.put(k, 1)
        put = c.latencies()["put"]
        self.assertEqual(put.count - (before.count if before else 0), 300)
        self.assertEqual((put.kind, put.unit), ("command", "ns"))
        self.assertEqual(sum(count for _, count in put.buckets), put.count)
        self.assertLessEqual(put.quantile(0.5), put.quantile(0.99))
        self.assertLessEqual(put.quantile(1), put.maximum)
        self.assertGreater(put.quantile(0), 0)
        self.assertIn("round", c.latencies())
        hot = [one for one in c.hot() if one.key == k.encode()[:64]]
        self.assertEqual([one.operation for one in hot], ["put"])
        self.assertGreater(hot[0].share, 0)
        mine = [one for one in c.clients() if one.pid == os.getpid()]
        self.assertTrue(mine)
        self.assertGreaterEqual(max(one.requests for one in mine), 300)
        self.assertEqual(mine[0].uid, os.getuid())
        c.slow(reset=True)
        self.assertIsInstance(c.slow(), list)

    def test_outcome(self):
        """what became of a command is told, with its results"""
        c, k = self.c, self.k
        reply = c.run(sole.Request().put(k, 1).add(k, 4))
        self.assertGreater(reply.session, 0)
        self.assertFalse(reply.durable)
        fate = c.outcome(reply.session, reply.sequence)
        self.assertEqual((fate.name, fate.code, fate.results, fate.ran), ("ran", "ok", [[0], [5]], True))
        self.assertEqual((fate.revision, fate.history), (reply.revision, reply.history))
        conflict = self.refused("conflict", c.cas, k, 7, 8)
        fate = c.outcome(conflict.session, conflict.sequence)
        self.assertEqual((fate.name, fate.code, fate.results, fate.ran), ("refused", "conflict", None, False))
        self.assertIn("not the expected", fate.text)
        fate = c.outcome(reply.session, conflict.sequence + 1)
        self.assertEqual((fate.name, fate.ran), ("not-come", None))
        fate = c.outcome(4711, 1)
        self.assertEqual((fate.name, fate.code, fate.ran), ("unknown", "session-forgotten", None))
        self.assertTrue(fate.text)
        with self.assertRaises(ValueError):
            c.outcome(0, 1)

    def test_backup(self):
        """a backup is a file when it is whole, or goes where it is told"""
        c = self.c
        c.put(self.k, b"x" * 200000)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state.backup")
            size = c.backup(path)
            self.assertGreater(size, 200000)
            self.assertEqual(os.listdir(folder), ["state.backup"])
            self.assertEqual((os.stat(path).st_size, os.stat(path).st_mode & 0o777), (size, 0o600))
            there = io.BytesIO()
            self.assertEqual(c.backup(there), len(there.getvalue()))
            class Full:
                def write(self, part):
                    raise OSError(errno.ENOSPC, "full")
            with self.assertRaises(OSError):
                c.backup(Full())
            with self.assertRaises(FileNotFoundError):
                c.backup(os.path.join(folder, "nowhere", "state.backup"))
            self.assertEqual(os.listdir(folder), ["state.backup"])

    def test_locks(self):
        """a lock is held by one, with a token that grows"""
        c, k, other = self.c, self.k, self.client()
        lock = c.lock(k)
        self.assertTrue(lock.held)
        self.assertEqual(c.holder(k), (c.session, lock.token, 0))
        c.check_lock(k, lock.token)
        self.refused("conflict", c.check_lock, k, lock.token + 1)
        self.assertEqual(self.refused("conflict", other.try_lock, k).detail, lock.token)
        begun = time.monotonic()
        self.refused("expired", other.lock, k, timeout=0.05)
        self.assertLess(time.monotonic() - begun, LIMIT)
        self.assertEqual(other.holder(k).waiting, 0)
        self.release(c, lock)
        self.assertFalse(lock.held)
        second = other.lock(k)
        self.assertGreater(second.token, lock.token)
        self.release(other, second)
        self.assertEqual(c.holder(k), (None, None, 0))
        for name in ("", "n" * 513, b"a\0b"):
            self.refused("invalid", c.lock, name)

    def release(self, client, lock):
        lock.release()

    def test_submit_and_cancel(self):
        """a cancel tells the truth: withdrawn unrun, or answered"""
        c, k, other = self.c, self.k, self.client()
        lock = other.lock(k)
        waiting = c.submit(sole.Request().call("lock", k))
        self.assertTrue(wait_until(lambda: other.holder(k).waiting == 1 or (c.ping() and False)))
        self.assertIs(self.finish(c, waiting.cancel), True)
        self.refused("cancelled", self.finish, c, waiting.result)
        self.assertEqual(other.holder(k).waiting, 0)
        self.release(other, lock)
        done = c.submit(sole.Request().add(k))
        self.assertEqual(self.finish(c, done.result).values, [1])
        self.assertIs(self.finish(c, done.cancel), False)
        self.assertEqual(self.finish(c, done.result).values, [1])

    def finish(self, client, call):
        return call()


class AsyncOperations(Operations):
    make = staticmethod(Blocking)

    def release(self, client, lock):
        client._loop.run_until_complete(lock.release())

    def finish(self, client, call):
        return client._loop.run_until_complete(call())


# ---- what goes wrong ----

class Failures(Case):
    def test_once_over_a_cut(self):
        """commands whose answers were lost with the connection run once, and are told what they did"""
        relay, observer = self.relay("python"), self.client()
        c = self.client(endpoint=relay.endpoint)
        c.put("cut", 0)
        relay.mute = True
        pending = [c.submit(sole.Request().add("cut")) for _ in range(50)]
        query = c.submit(sole.Request().get("cut"))
        self.assertFalse(query.done)
        self.assertRaises(sole.Unknown, c.ping, timeout=0.01)
        self.assertTrue(wait_until(lambda: observer.get("cut") == 50))
        relay.cut()
        relay.mute = False
        self.assertEqual([p.result().values[0] for p in pending], list(range(1, 51)))
        self.assertEqual(query.result().values, [50])
        self.assertEqual(observer.get("cut"), 50)
        self.assertEqual(relay.accepted, 2)

    def test_once_over_many_cuts(self):
        """so do thousands of many tasks, over ten cuts"""
        relay = self.relay("python")

        async def run():
            async with sole.AsyncClient(endpoint=relay.endpoint, timeout=LIMIT) as c:
                await c.put("cuts", 0)

                async def one():
                    return [await c.add("cuts") for _ in range(20)]
                tasks = [asyncio.ensure_future(one()) for _ in range(100)]
                for i in range(10):
                    await c.ping()
                    relay.mute = i % 2 == 0
                    await asyncio.sleep(0.005)
                    relay.cut()
                    relay.mute = False
                sums = [number for numbers in await asyncio.gather(*tasks) for number in numbers]
                self.assertEqual(sorted(sums), list(range(1, 2001)))
                self.assertEqual(await c.get("cuts"), 2000)
        finish(run())

    def test_owner_dies(self):
        """a command under way when its owner dies is unknown; a query is asked again, and unsent ones go on"""
        owner = self.owner("mortal")
        relay, observer = self.relay("mortal"), self.client("mortal")
        lost = []
        c = self.client(endpoint=relay.endpoint, on_session=lost.append)
        c.put("a", 1)
        first = c.session
        relay.mute = True
        command, query = c.submit(sole.Request().add("a")), c.submit(sole.Request().get("b"))
        self.assertRaises(sole.Unknown, c.ping, timeout=0.01)
        self.assertTrue(wait_until(lambda: observer.get("a") == 2))
        owner.stop(signal.SIGKILL)
        relay.mute = False
        owner.start()
        with self.assertRaises(sole.Unknown) as caught:
            command.result()
        self.assertEqual((caught.exception.name, caught.exception.ran), ("owner-died", None))
        self.assertEqual(query.result().values, [None])
        self.assertEqual(c.add("a"), 1)
        self.assertNotEqual(c.session, first)
        self.assertEqual(lost, [first, 0, c.session])

    def test_nobody_there(self):
        """without an owner a request is refused, and one that starts later is found"""
        c = self.client("later", timeout=0.05)
        self.refused("unreachable", c.put, "a", 1)
        pending = c.submit(sole.Request().put("a", 1), timeout=LIMIT)
        self.owner("later")
        self.assertEqual(pending.result().values, [0])

    def test_owner_hangs(self):
        """an answer that does not come is unknown, and what was late does not run"""
        owner = self.owner("hanging")
        c = self.client("hanging")
        c.put("a", 1)
        owner.send(signal.SIGSTOP)
        self.addCleanup(owner.send, signal.SIGCONT)
        begun = time.monotonic()
        with self.assertRaises(sole.Unknown) as caught:
            c.add("a", timeout=0.05)
        self.assertEqual(caught.exception.name, "timed-out")
        self.assertLess(time.monotonic() - begun, 5 * FACTOR)
        self.assertRaises(sole.Unknown, c.get, "a", timeout=0.05)
        owner.send(signal.SIGCONT)
        self.assertEqual(c.add("a", 10), 11)
        self.assertEqual(c.get("a"), 11)

    def test_owner_leaves(self):
        """an owner that is stopped in order and started again costs unsent requests nothing"""
        owner = self.owner("leaving")
        c = self.client("leaving")
        c.put("a", 1)
        owner.stop()
        pending = [c.submit(sole.Request().get("b")), c.submit(sole.Request().put("b", 2))]
        owner.start()
        self.assertEqual([p.result().values for p in pending], [[None], [0]])

    def test_busy(self):
        """a limit that is reached is waited for, and told by name when the time is up"""
        owner = self.owner("small", "--max-sessions", "1")
        self.assertIsNone(owner.process.poll())
        one, two = self.client("small"), self.client("small")
        one.put("a", 1)
        self.refused("busy", two.put, "a", 2, timeout=0.1)
        self.assertEqual(two.get("a"), 1)
        one.close()
        self.assertIs(two.put("a", 3), True)

    def test_backups_full(self):
        """a backup waits for its turn, and is busy when the time is up"""
        self.owner("nobackups", "--max-backups", "0")
        c = self.client("nobackups")
        self.refused("busy", c.backup, io.BytesIO(), timeout=0.2)
        self.assertLess(c.stats()["limit_backups"].value, 20)

    def test_full(self):
        """a state that is full says so"""
        self.owner("full", "--max-entries", "16")
        c = self.client("full")
        with self.assertRaises(sole.Refused) as caught:
            for i in range(100):
                c.put(f"k{i}", i)
        self.assertEqual(caught.exception.name, "full")
        self.assertIs(c.put("k0", 1), True)

    def test_silence(self):
        """a client that does other things keeps its session, and its locks"""
        c, observer = self.client(silence=1.0), self.client()
        lock = c.lock("long work")
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            self.assertEqual(observer.holder("long work").token, lock.token)
            time.sleep(0.1)
        self.assertTrue(lock.held)
        lock.release()

    def test_lost_lock(self):
        """who was silent for too long hears that the lock is gone"""
        relay = self.relay("python")
        c, observer = self.client(endpoint=relay.endpoint, silence=1.0), self.client()
        lock = c.lock("lost")
        relay.closed = True
        relay.cut()
        self.assertTrue(wait_until(lambda: observer.holder("lost").session is None))
        relay.closed = False
        self.assertTrue(wait_until(lambda: not lock.held), "without asking for anything")
        self.refused("conflict", lock.release)

    def test_window(self):
        """what exceeds the window waits, in order"""
        async def run():
            async with sole.AsyncClient("python", window=4, timeout=LIMIT) as c:
                await c.delete("window")
                return await asyncio.gather(*(c.add("window") for _ in range(3000)))
        self.assertEqual(finish(run()), list(range(1, 3001)))

    def test_close(self):
        """what is under way when a client closes is told whether it may have run"""
        relay = self.relay("python")
        c = self.client(endpoint=relay.endpoint)
        c.put("close", 1)
        relay.mute = True
        sent = c.submit(sole.Request().add("close"))
        self.assertRaises(sole.Unknown, c.ping, timeout=0.01)
        unsent = c.submit(sole.Request().add("close"))
        c.close()
        self.assertEqual(sent._asked.outcome.name, "closed")
        self.assertIsInstance(sent._asked.outcome, sole.Unknown)
        self.assertIsInstance(unsent._asked.outcome, sole.Refused)
        self.refused("closed", c.get, "close")
        c.close()


# ---- locks of several processes ----

HOLDER = """
import sys, time
sys.path.insert(0, %r)
import sole
client = sole.Client("python", timeout=60)
lock = client.lock("shared")
print(lock.token, flush=True)
sys.stdin.readline()
lock.release()
""" % PYTHON


class Processes(Case):
    def holder(self):
        process = subprocess.Popen([sys.executable, "-B", "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.wait, LIMIT)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def test_handover(self):
        """a lock goes to the next in line when its holder lets go, and when SIGKILL ends it"""
        c = self.client()
        first = self.holder()
        tokens = [int(first.stdout.readline())]
        others = []
        for count in (1, 2, 3):
            others.append(self.holder())
            self.assertTrue(wait_until(lambda: c.holder("shared").waiting == count))
        first.kill()
        tokens.append(int(others[0].stdout.readline()))
        others[0].stdin.write("\n")
        others[0].stdin.flush()
        tokens.append(int(others[1].stdout.readline()))
        others[2].kill()  # in the line
        self.assertTrue(wait_until(lambda: c.holder("shared").waiting == 0))
        others[1].kill()
        with c.lock("shared") as lock:
            tokens.append(lock.token)
            self.refused("usage", c.lock, "shared")
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_waits_over_a_cut(self):
        """who waits for a lock goes on waiting over a cut, in its place, and hears of it when it is there"""
        relay, c = self.relay("python"), self.client()
        held = c.lock("line")
        behind = self.client(endpoint=relay.endpoint)
        pending = behind.submit(sole.Request().call("lock", "line"))
        self.assertTrue(wait_until(lambda: c.holder("line").waiting == 1 or (behind.ping() and False)))
        relay.cut()
        behind.ping()
        self.assertEqual(c.holder("line").waiting, 1)
        relay.mute = True
        held.release()
        self.assertTrue(wait_until(lambda: c.holder("line").session == behind.session))
        relay.cut()
        relay.mute = False
        self.assertEqual(pending.result().values, [c.holder("line").token])

    def test_late_grant(self):
        """a lock that was granted when its caller had been told that nothing is known is let go of"""
        relay, observer = self.relay("python"), self.client()
        c = self.client(endpoint=relay.endpoint)
        c.put("late", 1)
        relay.mute = True
        self.assertRaises(sole.Unknown, c.lock, "late", timeout=1 * FACTOR)
        self.assertEqual(observer.holder("late").session, c.session)
        relay.mute = False
        relay.cut()
        self.assertTrue(wait_until(lambda: c.ping() and observer.holder("late").session is None))
        with c.lock("late") as lock:
            self.assertEqual(observer.holder("late").token, lock.token)

    def test_gone_waiter(self):
        """a task that is cancelled while it waits leaves nothing behind"""
        async def run():
            async with sole.AsyncClient("python", timeout=LIMIT) as a, sole.AsyncClient("python", timeout=LIMIT) as b:
                async with a.lock("gone"):
                    for _ in range(10):
                        task = asyncio.ensure_future(b._lock("lock", "gone", None))
                        while (await a.holder("gone")).waiting == 0:
                            await b.ping()
                        task.cancel()
                        with self.assertRaises(asyncio.CancelledError):
                            await task
                    while (await a.holder("gone")).waiting:
                        await b.ping()
                self.assertEqual(await a.holder("gone"), (None, None, 0))
                async with b.lock("gone"), a.lock("another"):
                    pass
                self.assertEqual((a._locals, b._locals), ({}, {}))
        finish(run())

    def test_tasks_exclude(self):
        """tasks of one client exclude one another"""
        inside = []

        async def run():
            async with sole.AsyncClient("python", timeout=LIMIT) as c:
                async def one(i):
                    async with c.lock("tasks") as lock:
                        inside.append(lock.token)
                        self.assertEqual(await c.holder("tasks"), (c.session, lock.token, 0))
                        await c.ping()
                        self.assertEqual(inside[-1], lock.token)
                await asyncio.gather(*map(one, range(20)))
                async with c.lock("tasks"):
                    with self.assertRaises(sole.Refused) as caught:
                        await c.lock("tasks", timeout=0.01)
                    self.assertEqual(caught.exception.name, "expired")
                    line = [asyncio.ensure_future(one(i)) for i in range(5)]
                    await c.ping()
                    line[0].cancel()
                    line[3].cancel()
                    with self.assertRaises(sole.Conflict):
                        await c.try_lock("tasks")
                done = await asyncio.gather(*line, return_exceptions=True)
                cancelled = [i for i, d in enumerate(done) if isinstance(d, asyncio.CancelledError)]
                self.assertEqual(cancelled, [0, 3])
                self.assertEqual(c._locals, {})
        finish(run())
        self.assertEqual(inside, sorted(set(inside)))

    def test_turn_and_cancel(self):
        """a task that is cancelled as its turn comes passes it on"""
        async def run():
            local = sole._Local(asyncio.get_running_loop())
            await local.take(None)
            one, two, three = (asyncio.ensure_future(local.take(None)) for _ in range(3))
            await asyncio.sleep(0)
            local.leave()
            one.cancel()  # the turn is its own already
            two.cancel()  # still in the line
            done = await asyncio.gather(one, two, three, return_exceptions=True)
            self.assertEqual([type(d) for d in done], [asyncio.CancelledError, asyncio.CancelledError, type(None)])
            local.leave()
            self.assertFalse(local.taken)
        finish(run())

    def test_interrupted_lock(self):
        """a lock that is granted to a caller that an exception took away is let go of"""
        c, other = self.client(), self.client()
        lock = other.lock("interrupted")

        def interrupt(*_):
            raise KeyboardInterrupt
        before = signal.signal(signal.SIGUSR1, interrupt)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        self.assertRaises(KeyboardInterrupt, c.lock, "interrupted")
        timer.join()
        lock.release()
        self.assertTrue(wait_until(lambda: other.holder("interrupted").session is None or (c.ping() and False)))
        with c.lock("interrupted"):
            pass

    def test_fork(self):
        """a forked child is refused, and opens a client of its own; the parent's goes on"""
        c = self.client()
        c.put("fork", 0)
        lock = c.lock("fork")
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = "nothing"
            try:
                try:
                    c.get("fork")
                except sole.Refused as error:
                    answer = error.name
                c.close()
                with sole.Client("python", timeout=LIMIT) as mine:
                    answer += f" {mine.add('fork')} {mine.holder('fork').token == lock.token}"
            except BaseException as error:
                answer += repr(error)
            os.write(write, answer.encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.assertEqual(pipe.read(), "forked 1 True")
        os.waitpid(pid, 0)
        self.assertEqual(c.add("fork"), 2)
        self.assertTrue(lock.held)
        lock.release()

    def test_threads(self):
        """a client serves one thread at a time, and any thread"""
        c, other = self.client(), self.client()
        lock = other.lock("threads")
        results = []

        def wait():
            results.append(c.lock("threads"))
        thread = threading.Thread(target=wait)
        thread.start()
        self.assertTrue(wait_until(lambda: other.holder("threads").waiting == 1))
        self.refused("thread", c.get, "a")
        lock.release()
        thread.join(LIMIT)
        self.assertTrue(results[0].held)
        results[0].release()

        async def make():
            return sole.AsyncClient("python")

        async def elsewhere():
            await a.get("a")

        async def end():
            await a.close()
        loop = asyncio.new_event_loop()
        a = loop.run_until_complete(make())
        self.refused("thread", asyncio.run, elsewhere())
        loop.run_until_complete(end())
        loop.close()


# ---- watches ----

class Watches(Case):
    def test_events(self):
        """a watch hears what happens to its keys, and to locks, in order"""
        c, other = self.client(), self.client()
        with c.watch("ev/") as watch:
            other.run(sole.Request().put("ev/a", 1).put("else", 1).add("ev/a", 2))
            other.put_for("ev/b", "x", 10)
            other.bind("ev/c", 1)
            other.lock("ev/lock").release()
            other.delete("ev/a")
            events = [watch.next(LIMIT) for _ in range(3)]
            self.assertEqual([(e.kind, e.key, e.value) for e in events],
                             [("put", b"ev/a", 1), ("put", b"ev/a", 3), ("put", b"ev/b", b"x")])
            self.assertGreater(events[0].revision, watch.began[1])
            self.assertEqual([(e.revision - events[0].revision, e.index) for e in events], [(0, 0), (0, 2), (1, 0)])
            self.assertEqual(events[0].history, watch.began[0])
            other.close()
            kinds = [watch.next(LIMIT).kind for _ in range(6)]
            self.assertEqual(sorted(kinds), ["delete", "end", "expire", "lock", "put", "unlock"])
            self.assertIsNone(watch.next(0.01))

    def test_cuts(self):
        """a watch over five cuts hears each change once and in order"""
        relay = self.relay("python")

        async def run():
            async with sole.AsyncClient("python", timeout=LIMIT) as writer, \
                    sole.AsyncClient(endpoint=relay.endpoint, timeout=LIMIT) as reader:
                heard = []
                async with reader.watch("cuts/") as watch:
                    async def write():
                        for i in range(0, 10_000, 100):
                            await asyncio.gather(*(writer.put(f"cuts/{n % 7}", n) for n in range(i, i + 100)))
                    writing = asyncio.ensure_future(write())
                    async for event in watch:
                        heard.append(event.value)
                        if len(heard) % 1700 == 0:
                            relay.mute = len(heard) % 3400 == 0
                            await asyncio.sleep(0.002)
                            relay.cut()
                            relay.mute = False
                        if len(heard) == 10_000:
                            break
                    await writing
                self.assertEqual(heard, list(range(10_000)))
                self.assertGreaterEqual(relay.accepted, 6)
        finish(run())

    def test_resume(self):
        """another client goes on where a watch ended, and a scan goes on as a watch"""
        c = self.client()
        page = c.scan("resume/")
        for i in range(5):
            c.run(sole.Request().put("resume/a", i).put("resume/b", i))
        with c.watch("resume/", position=(page.history, page.revision + 1, 0)) as watch:
            self.assertEqual([watch.next(LIMIT).value for _ in range(3)], [0, 0, 1])
            position = watch.position
        with self.client().watch("resume/", position=position) as watch:
            self.assertEqual([watch.next(LIMIT).value for _ in range(7)], [1, 2, 2, 3, 3, 4, 4])

    def test_too_old(self):
        """what is not kept any more is too old, and so is another history"""
        owner = self.owner("forgetful", "--max-events", "4096")
        c = self.client("forgetful")
        page = c.scan()
        for i in range(500):
            c.put("a", i)
        with self.assertRaises(sole.TooOld) as caught:
            c.watch("", position=(page.history, page.revision + 1, 0))
        start = caught.exception.start
        with c.watch("", position=(page.history, start, 0)) as watch:
            event = watch.next(LIMIT)
            self.assertEqual(event.revision, start)
            while event.value < 499:
                event = watch.next(LIMIT)
            owner.stop(signal.SIGKILL)
            owner.start()
            with self.assertRaises(sole.TooOld):
                watch.next(LIMIT)
            with self.assertRaises(sole.TooOld):
                watch.next(LIMIT)

    def test_quiet(self):
        """who hears nothing while much happens to others has not fallen behind when the connection is cut"""
        self.owner("quiet", "--max-events", "4096")
        relay, writer = self.relay("quiet"), self.client("quiet")
        with self.client(endpoint=relay.endpoint).watch("quiet") as watch:
            for i in range(500):
                writer.put("other", i)
                self.assertIsNone(watch.next(0))
            self.assertTrue(wait_until(lambda: watch.next(0.01) or watch.position[1] > 450))
            relay.cut()
            self.assertIsNone(watch.next(0.01))
            self.assertTrue(wait_until(lambda: relay.accepted == 2 or watch.next(0.01)))
            writer.put("quiet", 1)
            self.assertEqual(watch.next(LIMIT).value, 1)

    def test_slow_reader(self):
        """a reader that is slow costs no memory: the rest waits with the owner"""
        async def run():
            async with sole.AsyncClient("python", timeout=LIMIT) as c:
                async with c.watch("slow/") as watch:
                    for i in range(15):
                        await asyncio.gather(*(c.put("slow/", n) for n in range(i * 1000, i * 1000 + 1000)))
                    await c.ping()
                    self.assertLessEqual(len(watch._place.queue), sole._WATCH_QUEUE)
                    heard = [await watch.__anext__() for _ in range(15_000)]
                    self.assertEqual([e.value for e in heard], list(range(15_000)))
        finish(run())

    def test_limits(self):
        """watches have limits, each refused by name"""
        self.owner("watched", "--max-watches", "1")
        c = self.client("watched")
        with c.watch("a"):
            self.refused("too-large", c.watch, "p" * 2000)
            self.refused("unreachable", c.watch, "b", timeout=0.1)
        with c.watch("b"):
            pass


# ---- traces ----

class Traces(Case):
    def test_filters(self):
        """a trace hears of the requests that its filter lets through, in order"""
        c, other = self.client(), self.client()
        with c.trace(operation="put", key="tr/", pid=os.getpid()) as trace:
            self.refused("usage", c.trace)
            other.put("tr/1", 1)
            other.get("tr/1")
            other.put("else", 1)
            other.run(sole.Request().put("tr/2", 1).put("tr/3", 1))
            heard = [trace.next(LIMIT) for _ in range(2)]
            self.assertEqual([(t.operation, t.key, t.operations, t.code, t.pid) for t in heard],
                             [("put", b"tr/1", 1, "ok", os.getpid()), ("put", b"tr/2", 2, "ok", os.getpid())])
            self.assertGreaterEqual(heard[0].took, heard[0].ran)
            self.assertLess(abs(heard[0].wall - time.time()), LIMIT)
            self.assertIsNone(trace.next(0.01))
            self.assertEqual(trace.dropped, 0)
        self.assertTrue(wait_until(lambda: other.status()["traces"] == 0))
        self.refused("invalid", c.trace, operation="nothing")
        self.assertRaises(ValueError, c.trace, key="k" * 65)

    def test_cuts(self):
        """a trace goes on over a cut"""
        relay = self.relay("python")
        c, other = self.client(endpoint=relay.endpoint), self.client()
        with c.trace(key="cut/") as trace:
            other.put("cut/1", 1)
            self.assertEqual(trace.next(LIMIT).key, b"cut/1")
            relay.cut()
            self.assertTrue(wait_until(lambda: other.status()["traces"] == 0))
            self.assertTrue(wait_until(lambda: c.ping() > 0 and other.status()["traces"] == 1))
            other.put("cut/2", 1)
            self.assertEqual(trace.next(LIMIT).key, b"cut/2")

    def test_async(self):
        """so it is with asyncio, and its end ends the loop"""
        async def run():
            async with sole.AsyncClient("python", timeout=LIMIT) as c:
                async with c.trace(key="as/") as trace:
                    for i in range(3):
                        await c.put(f"as/{i}", i)
                    heard = [(await trace.__anext__()).key for _ in range(3)]
                    self.assertEqual(heard, [b"as/0", b"as/1", b"as/2"])
                    trace.close()
                    self.assertEqual([t async for t in trace], [])
                with self.assertRaises(sole.Refused) as caught:
                    await c.trace(operation="nothing").start()
                self.assertEqual(caught.exception.name, "invalid")
        finish(run())


# ---- where ----

class Endpoints(Case):
    def with_environment(self, **values):
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def test_search(self):
        """an owner is found by name, by an endpoint, or by $SOLE_ENDPOINT"""
        at = f"ipc://{FOLDER}/python.sock"
        self.assertEqual(sole.find_endpoint("python"), at)
        self.with_environment(SOLE_ENDPOINT=at)
        for options in ({}, {"endpoint": at}, {"owner": "other", "endpoint": at}, {"owner": "python"}):
            with sole.Client(timeout=LIMIT, **options) as c:
                c.ping()
                self.assertEqual(c.endpoint, at)

    def test_order(self):
        """without $SOLE_RUNTIME_DIR the folders of sole(1) are searched in order"""
        os.makedirs(f"{FOLDER}/xdg/sole", exist_ok=True)
        self.with_environment(SOLE_RUNTIME_DIR=None, XDG_RUNTIME_DIR=f"{FOLDER}/xdg")
        with open(f"{FOLDER}/xdg/sole/here.sock", "w"):
            self.assertEqual(sole.find_endpoint("here"), f"ipc://{FOLDER}/xdg/sole/here.sock")
        os.unlink(f"{FOLDER}/xdg/sole/here.sock")
        expected = "/run/sole" if os.geteuid() == 0 else f"{FOLDER}/xdg/sole"
        self.assertEqual(sole.find_endpoint("here"), f"ipc://{expected}/here.sock")

    def test_mistakes(self):
        """what cannot be an endpoint is told at once"""
        self.with_environment(SOLE_ENDPOINT=None)
        for options in ({}, {"owner": "no/name"}, {"owner": ""}, {"owner": ".hidden"}, {"owner": "n" * 65},
                        {"endpoint": "inproc://x"}, {"endpoint": "ipc://"}, {"endpoint": "ipc://" + "p" * 108},
                        {"owner": "python", "window": 0}, {"owner": "python", "window": 257},
                        {"owner": "python", "silence": 0}, {"owner": "python", "timeout": -1}):
            with self.subTest(options=options):
                self.assertRaises(ValueError, sole.Client, **options)
        self.with_environment(SOLE_RUNTIME_DIR="/" + "d" * 120)
        self.assertRaises(ValueError, sole.Client, "python")

    def test_program(self):
        """a state of another behaviour is not asked for table's operations"""
        engine, failed = sole.Engine(), []
        engine.submit(4, b"\1\0\0", failed.append, behaviour="ledger")
        Script(engine).hello()
        engine.next_message(0)
        self.assertEqual(failed[0].outcome.name, "no-operation")


# ---- the engine alone ----

class Script:
    """Plays an owner to an engine: reads its messages, and writes replies."""

    def __init__(self, engine, history=7):
        self.engine, self.history, self.now = engine, history, 0

    def take(self):
        body = self.engine.next_message(self.now)
        if body is None:
            return None
        self.tag = sole._MESSAGE.unpack_from(body)[4]
        items, at = [], sole._MESSAGE.size
        while at < len(body):
            item = sole._ITEM.unpack_from(body, at)
            items.append(item)
            at += item[0]
        return items

    def say(self, *items, kind=2, tag=None):
        body = b"".join(sole._REPLY.pack(32 + len(payload), kind_, outcome, code, session, sequence, revision) + payload
                        for kind_, outcome, code, session, sequence, revision, payload in items)
        tag = self.tag if tag is None else tag
        self.engine.receive(sole._MESSAGE.pack(b"SOLE", 1, kind, len(items), tag, 1, self.history) + body, self.now)

    def hello(self):
        self.engine.connected(self.now)
        self.take()
        self.say((1, 0, 0, 0, 0, 0, sole._write_list([1, "o", "table", 2, 1 << 20, 1024, 256, 0, 1])))

    def open(self, session=99):
        self.take()
        self.say((2, 0, 0, session, 0, 1, sole._write_list([30000])))


class Engines(unittest.TestCase):
    def setUp(self):
        self.answers = []
        self.engine = sole.Engine(nonce=lambda: b"n" * 16)
        self.script = Script(self.engine)

    def add(self, count=1, **options):
        for _ in range(count):
            self.engine.submit(4, b"\4\0\0", self.answers.append, operations=1, **options)

    def test_open_alone(self):
        """no command travels beside the OPEN of its session"""
        self.add()
        self.script.hello()
        self.assertEqual([item[1] for item in self.script.take()], [2])
        self.assertIsNone(self.script.take())

    def test_gathers(self):
        """what waits while a message is under way travels together, within the window"""
        self.script.hello()
        self.add()
        self.script.open()
        self.add(299)
        self.assertEqual([item[5] for item in self.script.take()], list(range(1, 257)))
        self.assertIsNone(self.script.take())
        self.script.say(*[(4, 0, 0, 99, n, n, sole._write_list([n])) for n in range(1, 257)])
        self.assertEqual([a.outcome.values[0] for a in self.answers], list(range(1, 257)))
        items = self.script.take()
        self.assertEqual([(item[5], item[3]) for item in items], [(n, n - 257) for n in range(257, 301)])

    def test_window_has_no_gap(self):
        """the window counts from the oldest that was not answered"""
        self.script.hello()
        self.add(300)
        self.script.open()
        self.script.take()
        self.script.say(*[(4, 0, 0, 99, n, n, sole._write_list([n])) for n in range(2, 257)])
        self.script.now = self.engine.deadline()
        self.engine.expire(self.script.now)
        self.assertEqual([item[5] for item in self.script.take()], [1], "its answer is missing: again")
        self.script.say((4, 0, 0, 99, 1, 300, sole._write_list([1])))
        self.assertEqual([item[5] for item in self.script.take() if item[1] == 4], list(range(257, 301)))

    def test_reconnect(self):
        """over a new connection all that is unanswered goes at once, as it was and in order"""
        self.script.hello()
        self.add(4)
        self.engine.submit(4, b"\1\0\0", self.answers.append, operations=1, query=True)
        self.script.open()
        before = self.script.take()
        self.script.say((4, 3, 17, 99, 2, 0, b""), (4, 0, 0, 99, 3, 5, sole._write_list([3])), kind=4)
        self.engine.disconnected()
        self.script.hello()
        after = self.script.take()
        self.assertEqual(sorted((item[4], item[5]) for item in after),
                         sorted((item[4], item[5]) for item in before if item[5] != 3))
        commands = [item for item in after if item[4]]
        self.assertEqual([(item[5], item[3]) for item in commands], [(1, 0), (2, 1), (4, 3)])

    def test_busy_goes_again_in_order(self):
        """after busy the same sequence and all behind it go again, in order"""
        self.script.hello()
        self.add(3)
        self.script.open()
        self.script.take()
        early = sole._write_list([-1, "early", 1])
        self.script.say((4, 1, 6, 99, 1, 0, b""), (4, 1, 11, 99, 2, 0, early), (4, 1, 11, 99, 3, 0, early))
        self.assertIsNone(self.script.take())
        self.script.now = self.engine.deadline()
        self.engine.expire(self.script.now)
        self.assertEqual([item[5] for item in self.script.take()], [1, 2, 3])

    def test_forgotten_unrun(self):
        """a session that was forgotten before anything ran costs nothing: the next one has the commands"""
        self.script.hello()
        self.add(2)
        self.script.open()
        self.script.take()
        self.script.say((4, 2, 100, 99, 1, 0, b""), (4, 2, 100, 99, 2, 0, b""))
        self.assertEqual(self.answers, [])
        self.script.open(100)
        self.assertEqual([(item[4], item[5]) for item in self.script.take()], [(100, 1), (100, 2)])

    def test_forgotten_in_two_messages(self):
        """so do those of a second message, whose answers come later"""
        self.script.hello()
        self.add()
        self.script.open()
        self.script.take()
        first = self.script.tag
        self.add()
        self.script.take()
        self.script.say((4, 2, 100, 99, 1, 0, b""), tag=first)
        self.assertIsNone(self.script.take())
        self.script.say((4, 2, 100, 99, 2, 0, b""))
        self.assertEqual(self.answers, [])
        self.script.open(100)
        self.assertEqual([(item[4], item[5]) for item in self.script.take()], [(100, 1), (100, 2)])

    def test_forgotten_after_two_copies(self):
        """one that was sent twice may have run: unknown"""
        self.script.hello()
        self.add()
        self.script.open()
        self.script.take()
        self.script.hello()
        self.script.take()
        self.script.say((4, 2, 100, 99, 1, 0, b""))
        self.assertEqual(self.answers[0].outcome.name, "session-forgotten")

    def test_ghost(self):
        """a command that nobody waits for any more is cancelled in its place, and its sequence not lost"""
        self.script.hello()
        self.add(deadline=10)
        self.script.open()
        self.script.take()
        for now in (10, 10 + sole._GRACE):
            self.engine.expire(now)
        self.assertEqual(self.answers[0].outcome.name, "timed-out")
        self.add()
        self.script.now = 10 + sole._GRACE
        items = self.script.take()
        self.assertEqual([(item[1], item[5]) for item in items], [(5, 1), (4, 2)])

    def test_waiting(self):
        """a command that waits is not counted in the window, and its answer is acknowledged"""
        self.script.hello()
        self.add(2)
        self.script.open()
        self.script.take()
        self.script.say((4, 3, 17, 99, 1, 0, b""), (4, 0, 0, 99, 2, 5, sole._write_list([2])))
        self.add()
        self.assertEqual([(item[5], item[3]) for item in self.script.take()], [(3, 0)])
        self.script.say((4, 0, 0, 99, 1, 6, sole._write_list([1])), kind=3, tag=0)
        self.assertEqual([a.outcome.values[0] for a in self.answers], [2, 1])
        self.assertEqual([(item[1], item[5]) for item in self.script.take()], [(12, 1)])

    def test_lost_answer(self):
        """an answer that does not come is asked for again, and a late first one counts"""
        self.script.hello()
        self.add()
        self.script.open()
        self.script.take()
        first = self.script.tag
        self.script.now = self.engine.deadline()
        self.engine.expire(self.script.now)
        self.assertEqual([item[5] for item in self.script.take()], [1])
        self.script.say((4, 0, 0, 99, 1, 5, sole._write_list([1])), tag=first)
        self.assertEqual(self.answers[0].outcome.values, [1])

    def test_durable(self):
        """a reply tells whether it is on disk"""
        self.script.hello()
        self.add()
        self.script.open()
        self.script.take()
        self.script.say((4, 0x80, 0, 99, 1, 2, sole._write_list([1])))
        self.assertIs(self.answers[0].outcome.durable, True)
        self.assertEqual((self.answers[0].outcome.session, self.answers[0].outcome.sequence), (99, 1))

    def test_search(self):
        """what the owner still looks for is asked again, and holds nothing else up"""
        self.script.hello()
        self.engine.submit(13, sole._question(5, 1), self.answers.append)
        (item,) = self.script.take()
        self.script.say((13, 1, 6, 0, item[5], 0, sole._write_list([-1, "busy"])))
        self.assertIsNone(self.script.take())
        self.add(query=True)
        self.assertEqual([item[1] for item in self.script.take()], [4])
        self.script.now = self.engine.deadline()
        self.engine.expire(self.script.now)
        (item,) = self.script.take()
        self.assertEqual(item[1], 13)
        self.script.say((13, 0, 0, 0, item[5], 9, sole._write_list([0, 0, 3]) + sole._write_list([4])))
        self.assertEqual(sole._fate(self.answers[-1].outcome, 7),
                         ("ran", "ok", 3, 7, [[4]], ""))

    def test_garbage(self):
        """whatever bytes come, they cost nothing but themselves"""
        seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
        print(f"# SEED={seed}")
        chance = random.Random(seed)
        self.script.hello()
        self.add(3)
        self.script.open()
        self.script.take()
        good = sole._MESSAGE.pack(b"SOLE", 1, 2, 1, self.script.tag, 1, 7) + sole._REPLY.pack(
            32 + 27, 4, 0, 0, 99, 1, 1) + sole._write_list([1, "text", None])
        for _ in range(20_000):
            body = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                body[chance.randrange(len(body))] = chance.choice((0, 1, 2, 3, 4, 255, chance.randrange(256)))
            self.engine.receive(bytes(body[:chance.randrange(len(body) + 1)]), 0)
        self.engine.next_message(0)

    def test_types(self):
        """lists in values are read to their end, and not one within another"""
        inner = sole._write_value(1) + sole._write_value("x")
        value = b"\3" + struct.pack("<I", len(inner)) + inner
        self.assertEqual(sole._read_lists(memoryview(b"\2" + value + b"\0")), [[[1, b"x"], None]])
        nested = b"\3" + struct.pack("<I", len(value)) + value
        for broken in (b"\1" + nested, b"\1\3\5\0\0\0\1", b"\1", b"\1\4", b"\1\2\5\0\0\0abc", b"\1\3\1\0\0\0\1"):
            self.assertRaises(sole._Unreadable, sole._read_lists, memoryview(broken))


class Documents(unittest.TestCase):
    def test_codes(self):
        """the codes are those of the project"""
        with open(os.path.join(TOP, "common", "codes.def")) as file:
            lines = re.findall(r'^CODE\((\d+), \w+, (\w+), "(.*?)", "(.*)"\)$', file.read(), re.M)
        self.assertEqual(sole.CODES, {int(n): (name, outcome.lower(), text) for n, outcome, name, text in lines})

    def test_readme(self):
        """the examples of README.md do what they say"""
        owner = Owner("inventory")
        try:
            with open(os.path.join(PYTHON, "README.md")) as file:
                blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.M | re.S)
            self.assertGreaterEqual(len(blocks), 4)
            for block in blocks:
                said = re.findall(r"#> (.*)", block)
                done = subprocess.run([sys.executable, "-B", "-c", block], capture_output=True, text=True,
                                      timeout=LIMIT, env={**os.environ, "PYTHONPATH": PYTHON})
                self.assertEqual((done.stdout.splitlines(), done.stderr), (said, ""), block)
        finally:
            owner.stop()


# ---- TAP ----

class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0

    def _line(self, passed, test, why=""):
        self.number += 1
        title = f"{test.shortDescription() or test.id()}"
        kind = type(test).__name__
        print(f"{'ok' if passed else 'not ok'} {self.number} - {kind}: {title}", flush=True)
        for line in why.splitlines():
            print(f"# {line}", file=sys.stderr, flush=True)

    def addSuccess(self, test):
        self._line(True, test)

    def addFailure(self, test, error):
        self._line(False, test, self._exc_info_to_string(error, test))

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self._line(False, test, f"{subtest}\n" + self._exc_info_to_string(error, test))


if __name__ == "__main__":
    names = sys.argv[1:]
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(names, sys.modules["__main__"]) if names else \
        loader.loadTestsFromModule(sys.modules["__main__"])
    result = Tap()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
