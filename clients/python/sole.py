# SPDX-License-Identifier: MIT
"""Ask an owner of state, from Python.

    import sole

    with sole.Client("inventory") as client:
        client.put("apples", 12)
        client.add("apples", -2)
        print(client.get("apples"))             # 10

An owner (sole-owner(8)) holds a state and runs what its clients ask for, one request at a time. A
client is one connection and, from its first command on, one session. It connects, reconnects and
retries by itself until the time limit, and a command runs once however often it had to be sent.

What went wrong is an exception that says whether the request ran:

    Refused   it did not run and will not; Conflict: because a condition does not hold
    Unknown   that cannot be known, and the code says why

Keys and names are str (sent as UTF-8) or bytes. Values are int (64 bits, signed), bytes or str; None
stands for absent. What comes back is int, bytes, None, or a list of them. Arguments that cannot be
sent at all are TypeError, ValueError or OverflowError, as everywhere in Python. Time limits are
seconds; None: the client's own; math.inf: for ever.

Client blocks; it serves one thread at a time. AsyncClient is for asyncio. Both are a thin shell, sockets
and clocks, around one Engine, which is pure and says what to send and what an answer means. The
protocol is that of sole-protocol(7); nothing here is compiled, pyzmq is all it needs.

After os.fork the child opens a client of its own: those it inherited answer Refused, "forked".
"""
from __future__ import annotations

import asyncio
import heapq
import math
import os
import re
import signal
import stat
import struct
import sys
import threading
import time
import weakref
from collections import deque
from typing import (Any, AsyncIterator, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple, Union)

import zmq

__all__ = ["AsyncClient", "Client", "Conflict", "Connected", "Counter", "Engine", "Entry", "Event", "Fate", "Field",
           "Holder", "HotKey", "Latency", "Operation", "Page", "Refused", "Reply", "Request", "Session", "SoleError", "TooOld",
           "Traced", "Unknown", "CODES"]

Key = Union[str, bytes]
Value = Union[None, int, bytes, str]
Result = Union[None, int, bytes, List[Any]]

# ---- the protocol: sole-protocol(7) ----

_MAGIC = b"SOLE"
_VERSION = 1
_MESSAGE = struct.Struct("<4sBBHQQQ")       # magic version kind count tag incarnation history
_ITEM = struct.Struct("<IBBHQQQ")           # size kind flags window session sequence deadline
_REPLY = struct.Struct("<IBBHQQQ")          # size kind outcome code session sequence revision
_REQUEST_MESSAGE, _REPLY_MESSAGE, _NOTICE, _REPLY_PART = 1, 2, 3, 4
(_HELLO, _OPEN, _GOODBYE, _RUN, _CANCEL, _PING, _STATUS, _STATS, _DESCRIBE, _WATCH, _UNWATCH, _RECEIVED,
 _OUTCOME, _BACKUP, _SESSIONS, _END_SESSION, _READ_ONLY, _LATENCIES, _CLIENTS, _HOT, _SLOW, _TRACE, _UNTRACE) = range(1, 24)
_LEAVING_NOTICE, _EVENTS, _TRACED = 32, 33, 34
_QUERY, _RELATIVE, _NOTICES, _OTHERWISE = 1, 2, 4, 8
_DONE, _REFUSED, _UNKNOWN, _WAITING = 0, 1, 2, 3
_DURABLE = 0x80                             # added to the outcome of a RUN
_FATES = ("ran", "refused", "waiting", "not-come", "never-came", "unknown")
_OTHERWISE_OPERATION = 0xFFFF
_WITHDRAWN, _ANSWERED = 0, 1
_MESSAGE_MAX = 1 << 20
_ITEMS_MAX = 1024
_WINDOW = 256
_LIST_MAX = 255

#: number -> (name, outcome, text). From 200 on they are this side's own.
CODES: Dict[int, Tuple[str, str, str]] = {
    0: ("ok", "done", "done"),
    1: ("malformed", "refused", "the message cannot be read"),
    2: ("version", "refused", "the owner does not speak this version of the protocol"),
    3: ("no-operation", "refused", "the owner has no such operation"),
    4: ("invalid", "refused", "the arguments are not what the operation takes"),
    5: ("denied", "refused", "this caller may not do that"),
    6: ("busy", "refused", "a limit of the owner is reached: try again later"),
    7: ("expired", "refused", "its deadline passed before it ran"),
    8: ("cancelled", "refused", "it was withdrawn before it ran"),
    9: ("conflict", "refused", "its condition does not hold"),
    10: ("too-large", "refused", "it is larger than the owner takes"),
    11: ("out-of-order", "refused", "earlier requests of the session are missing: resend them first"),
    12: ("leaving", "refused", "the owner is shutting down"),
    13: ("overflow", "refused", "the sum does not fit into 64 bits"),
    14: ("wrong-type", "refused", "the value is of another type"),
    15: ("no-memory", "refused", "the owner has no memory left for it"),
    16: ("full", "refused", "the state is as large as max-entries and max-state allow"),
    17: ("waiting", "waiting", "it waits for its turn; the answer comes later"),
    18: ("too-old", "refused", "the events asked for are no longer kept: start again where it says"),
    19: ("disk", "refused", "the owner's disk did not give it, or did not take it"),
    20: ("read-only", "refused", "the owner is read-only: it takes queries, and no commands until told otherwise"),
    21: ("crashed", "refused", "it crashed the owner: what it did was undone, and it is not run again"),
    100: ("session-forgotten", "unknown", "the owner does not know the session: it ended, or the owner began anew"),
    101: ("reply-forgotten", "unknown", "it was answered before and the answer is no longer kept"),
    200: ("owner-died", "unknown", "the owner died while it was under way, and its state with it"),
    201: ("timed-out", "unknown", "no answer came in time; it may still run"),
    202: ("unreachable", "refused", "no owner answered in time; it was never sent"),
    203: ("forked", "refused", "the handle was opened before a fork: open one in this process"),
    204: ("thread", "refused", "another thread is inside this handle"),
    205: ("usage", "refused", "the call's arguments are not valid"),
    206: ("local-memory", "refused", "this process has no memory left for it"),
    207: ("closed", "unknown", "the handle was closed while it was under way"),
    208: ("protocol", "unknown", "the owner's answer cannot be read"),
    209: ("system", "refused", "the operating system refused a resource"),
}
_CODE = {name: number for number, (name, _, _) in CODES.items()}
_BUSY, _EXPIRED, _CANCELLED, _CONFLICT = _CODE["busy"], _CODE["expired"], _CODE["cancelled"], _CODE["conflict"]
_OUT_OF_ORDER, _LEAVING, _TOO_OLD = _CODE["out-of-order"], _CODE["leaving"], _CODE["too-old"]
_FORGOTTEN, _DIED, _TIMED_OUT = _CODE["session-forgotten"], _CODE["owner-died"], _CODE["timed-out"]
_UNREACHABLE = _CODE["unreachable"]


class _Unreadable(Exception):
    """Bytes that are not what the protocol says. Never leaves this module."""


def _as_bytes(value: Key) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"a key or a name is str or bytes, not {type(value).__name__}")


def _as_keys(keys: Sequence[Key]) -> List[bytes]:
    if isinstance(keys, (str, bytes, bytearray, memoryview)):
        raise TypeError("get_many takes a list of keys, and get takes one")
    names = [_as_bytes(key) for key in keys]
    if not 1 <= len(names) <= 255:
        raise ValueError(f"get_many takes 1 to 255 keys, not {len(names)}: ask in parts, and not for none")
    return names


def _write_value(value: Value) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, bool):
        raise TypeError("a value is int, bytes, str or None, not bool")
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError(f"{value} does not fit into 64 bits")
        return struct.pack("<Bq", 1, value)
    if not isinstance(value, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"a value is int, bytes, str or None, not {type(value).__name__}")
    data = _as_bytes(value)
    return struct.pack("<BI", 2, len(data)) + data


def _write_list(values: Sequence[Value]) -> bytes:
    if len(values) > _LIST_MAX:
        raise ValueError(f"an operation takes at most {_LIST_MAX} arguments, not {len(values)}")
    return bytes((len(values),)) + b"".join(map(_write_value, values))


def _read_value(data: memoryview, at: int) -> Tuple[Result, int]:
    kind = data[at]
    at += 1
    if kind == 0:
        return None, at
    if kind == 1:
        return struct.unpack_from("<q", data, at)[0], at + 8
    if kind not in (2, 3):
        raise _Unreadable
    end = at + 4 + struct.unpack_from("<I", data, at)[0]
    if end > len(data):
        raise _Unreadable
    if kind == 2:
        return bytes(data[at + 4:end]), end
    inside, values = data[:end], []
    at += 4
    while at < end:
        if inside[at] == 3:
            raise _Unreadable
        value, at = _read_value(inside, at)
        values.append(value)
    return values, end


def _read_lists(data: memoryview) -> List[List[Result]]:
    """All lists of a payload."""
    lists, at = [], 0
    try:
        while at < len(data):
            values, count = [], data[at]
            at += 1
            for _ in range(count):
                value, at = _read_value(data, at)
                values.append(value)
            lists.append(values)
    except (IndexError, struct.error):
        raise _Unreadable from None
    return lists


def _signed(number: int) -> int:
    """A u64 as the i64 that carries it in a value."""
    return number - (1 << 64) if number >= 1 << 63 else number


# ---- what callers see ----

class SoleError(Exception):
    """Why a request has no result. Catch Refused and Unknown, which say whether it ran."""

    #: False: it did not run and will not. None: cannot be known.
    ran: Optional[bool] = None

    def __init__(self, code: int, text: str = "", *, detail: Result = None, operation: int = -1, revision: int = 0):
        #: the number and the name of the code, as in sole-protocol(7): "busy", "conflict" ...
        self.code, self.name = code, CODES.get(code, (f"code-{code}",))[0]
        #: a sentence for people
        self.text = text or CODES.get(code, ("", "", "a code that this client does not know"))[2]
        #: what the owner adds: of a conflict the value that is there, None where there is none
        self.detail = detail
        #: index of the operation that was the reason, or -1
        self.operation = operation
        #: of the state when this was answered; 0: not answered by an owner
        self.revision = revision
        #: of a command that was sent, for outcome(); else 0
        self.session = self.sequence = 0
        super().__init__(f"{self.name}: {self.text}")


class Refused(SoleError):
    """It did not run and will not."""
    ran = False


class Conflict(Refused):
    """A condition does not hold; `detail` is what is there instead."""


class TooOld(Refused):
    """The events asked for are gone: look at the state anew, and watch from `start` on."""

    @property
    def start(self) -> int:
        """The lowest revision from which all events are kept."""
        return self.detail if isinstance(self.detail, int) else 0


class Unknown(SoleError):
    """Whether it ran cannot be known."""
    ran = None


def _error(code: int, outcome: Optional[int] = None, **more: Any) -> SoleError:
    if outcome is None:
        outcome = _UNKNOWN if CODES.get(code, ("", ""))[1] == "unknown" else _REFUSED
    if outcome != _REFUSED:
        return Unknown(code, **more)
    return {_CONFLICT: Conflict, _TOO_OLD: TooOld}.get(code, Refused)(code, **more)


class Reply(NamedTuple):
    """The answer to a request that ran."""
    results: List[List[Result]]  #: of each operation that ran, in order
    half: int                    #: 1, or 2 when what stood behind otherwise() ran
    revision: int                #: of the state, this request's own changes included
    history: int                 #: revisions compare only within one
    incarnation: int             #: which start of the owner answered
    session: int = 0             #: of a command, and its number there, for outcome(); else 0
    sequence: int = 0
    durable: bool = False        #: all that it shows was on the owner's disk when it left

    @property
    def values(self) -> List[Result]:
        """All results in one list."""
        return [value for values in self.results for value in values]


class Fate(NamedTuple):
    """What became of a command."""
    name: str                    #: ran, refused, waiting, not-come, never-came, unknown
    code: str                    #: the name of its reply's code; of unknown: why
    revision: int                #: that of its reply; 0: it had none
    history: int
    results: Optional[List[List[Result]]]  #: of one that ran, each operation's; None: not kept
    text: str                    #: of one that was refused, and of unknown: why, for people

    @property
    def ran(self) -> Optional[bool]:
        """True: once. False: it did not and will not. None: not yet, if at all (waiting, not-come), or unknown."""
        return {"ran": True, "refused": False, "never-came": False}.get(self.name)


class Entry(NamedTuple):
    """One entry of a table."""
    key: bytes
    value: Result
    revision: int  #: of its last change; 0: it is not there


class Page(NamedTuple):
    """A part of a scan."""
    entries: List[Entry]
    cursor: Optional[bytes]  #: give it as `after` for what follows; None: that was all
    revision: int            #: of the state that the page shows: watch from the next on
    history: int


class Holder(NamedTuple):
    """Who holds a lock."""
    session: Optional[int]  #: None: nobody
    token: Optional[int]
    waiting: int            #: how many wait for it


class Event(NamedTuple):
    """Something that happened to a state."""
    kind: str      #: table's: put, delete, expire, end (of its session), lock, unlock
    key: bytes
    value: Result
    revision: int
    index: int     #: within the revision
    history: int


class Field(NamedTuple):
    """An argument or a result, as the owner describes it."""
    name: str
    type: str  #: integer, bytes, key, keys, list, or "integer or bytes" ...


class Operation(NamedTuple):
    """What an owner offers."""
    number: int
    name: str
    query: bool  #: only reads
    arguments: List[Field]
    results: List[Field]
    help: str


class Counter(NamedTuple):
    """A number that an owner keeps. `kind`: counter, longest (so far) or gauge."""
    value: int
    unit: str
    text: str
    kind: str = "counter"
    title: str = ""


class Latency(NamedTuple):
    """How long an operation took, or what else `name` says: as a histogram."""
    name: str
    kind: str                        # "query", "command"; "owner": rounds, syncs, arrivals
    unit: str                        # "ns", or "messages"
    count: int
    sum: int
    maximum: int
    buckets: List[Tuple[int, int]]   # the largest value of each, and how many it has

    def quantile(self, q: float) -> int:
        """The value below which `q` (0 to 1) of all lie; 0 when there are none."""
        seen, rank = 0, max(1, math.ceil(q * self.count))
        for top, count in self.buckets:
            seen += count
            if seen >= rank:
                return min(top, self.maximum)
        return self.maximum if self.count else 0


class Connected(NamedTuple):
    """A client of an owner, by its connection."""
    connection: int
    pid: int
    uid: int                         # -1: not by the kernel's word
    key: Optional[str]
    program: str
    messages: int
    requests: int
    sessions: int
    connected: float                 # seconds
    silent: float


class HotKey(NamedTuple):
    """A key that is asked for often. `share`: of the requests looked at, as far as is known."""
    key: bytes                       # its first 64 bytes
    size: int
    operation: str
    share: float
    count: int
    error: int                       # by which the count may be too high


class Traced(NamedTuple):
    """A request that an owner ran. Times in nanoseconds; `wall` in seconds since 1970."""
    wall: float
    took: int                        # from the beginning of its round until its reply left; 0: not known yet
    ran: int
    together: int                    # requests that `ran` is of: the clock was read once for them
    pid: int
    uid: int
    session: int
    sequence: int
    revision: int
    code: str
    operation: Optional[str]         # its first
    operations: int
    key: Optional[bytes]             # its first 64 bytes
    key_size: int


class Session(NamedTuple):
    """A session that is open at an owner; None: the owner does not know."""
    session: int
    uid: Optional[int]          # of the process that opened it
    gid: Optional[int]
    pid: Optional[int]
    key: Optional[str]          # the name of the CURVE key that opened it
    commands: int               # that it has sent
    waiting: int                # of them: for their turn
    silent: float               # seconds since it was last heard of
    silence: float              # after so many it ends
    replies_bytes: int          # kept for it


# The operations of `table`: number, whether it is a query, and what a caller gets of its results.

def _nothing(_: List[Result]) -> None:
    return None


def _first(results: List[Result]) -> Any:
    return results[0] if results else None


def _yes(results: List[Result]) -> bool:
    return _first(results) == 1


_TABLE: Dict[str, Tuple[int, bool, Callable[[List[Result]], Any]]] = {
    "get": (1, True, _first), "put": (2, False, _yes), "delete": (3, False, _yes), "add": (4, False, _first),
    "cas": (5, False, _nothing), "count": (6, True, _first), "insert": (7, False, _nothing),
    "replace": (8, False, _nothing), "get-many": (9, True, list), "scan": (10, True, list),
    "cas-revision": (11, False, _nothing), "put-for": (12, False, _yes), "expire": (13, False, _yes),
    "ttl": (14, True, _first), "bind": (15, False, _yes), "check": (16, True, _nothing),
    "check-revision": (17, True, _nothing), "revision": (18, True, list), "lock": (20, False, _first),
    "try-lock": (21, False, _first), "unlock": (22, False, _nothing), "holder": (23, True, list),
    "check-lock": (24, True, _nothing),
}


class Request:
    """Operations of which all take effect or none does, with nothing else in between.

        request = sole.Request().check("state", "idle").put("state", "busy").add("runs", 1)
        request.otherwise().get("state")
        reply = client.run(request)
        print(reply.half)

    Behind otherwise() stands what runs instead, when a condition before it does not hold (an operation
    refuses with "conflict"). Each method appends and returns the request. Other behaviours'
    operations: call("transfer", "alice", "bob", 10); the client learns their numbers from the owner.
    A request may be run any number of times, by any client.
    """

    def __init__(self) -> None:
        self._operations: List[Tuple[Optional[str], bytes]] = []
        self._otherwise: Optional[int] = None
        self._foreign = False  # has operations that were named with call()

    def __len__(self) -> int:
        return len(self._operations)

    def _table(self, name: str, *arguments: Value) -> Request:
        self._operations.append((name, _write_list(arguments)))
        return self

    def call(self, operation: str, *arguments: Value) -> Request:
        """Any operation of the owner's behaviour, by its name."""
        self._foreign = True
        return self._table(operation, *arguments)

    def otherwise(self) -> Request:
        """What follows runs instead when what stands before conflicts. Once a request."""
        if self._otherwise is not None:
            raise ValueError("a request has one otherwise")
        self._otherwise = len(self._operations)
        return self

    def get(self, key: Key) -> Request:
        return self._table("get", _as_bytes(key))

    def get_many(self, keys: Sequence[Key]) -> Request:
        return self._table("get-many", *_as_keys(keys))

    def put(self, key: Key, value: Value) -> Request:
        return self._table("put", _as_bytes(key), value)

    def put_for(self, key: Key, value: Value, ms: int) -> Request:
        return self._table("put-for", _as_bytes(key), value, ms)

    def insert(self, key: Key, value: Value) -> Request:
        return self._table("insert", _as_bytes(key), value)

    def replace(self, key: Key, value: Value) -> Request:
        return self._table("replace", _as_bytes(key), value)

    def delete(self, key: Key) -> Request:
        return self._table("delete", _as_bytes(key))

    def add(self, key: Key, delta: int = 1) -> Request:
        return self._table("add", _as_bytes(key), delta)

    def cas(self, key: Key, expected: Value, new: Value) -> Request:
        return self._table("cas", _as_bytes(key), expected, new)

    def cas_revision(self, key: Key, revision: int, new: Value) -> Request:
        return self._table("cas-revision", _as_bytes(key), revision, new)

    def count(self) -> Request:
        return self._table("count")

    def scan(self, prefix: Key = b"", after: Optional[bytes] = None, limit: int = 0) -> Request:
        return self._table("scan", _as_bytes(prefix), after, limit)

    def revision(self, key: Key) -> Request:
        return self._table("revision", _as_bytes(key))

    def expire(self, key: Key, ms: Optional[int]) -> Request:
        return self._table("expire", _as_bytes(key), ms)

    def ttl(self, key: Key) -> Request:
        return self._table("ttl", _as_bytes(key))

    def bind(self, key: Key, value: Value) -> Request:
        return self._table("bind", _as_bytes(key), value)

    def check(self, key: Key, expected: Value) -> Request:
        return self._table("check", _as_bytes(key), expected)

    def check_revision(self, key: Key, revision: int) -> Request:
        return self._table("check-revision", _as_bytes(key), revision)

    def check_lock(self, name: Key, token: int) -> Request:
        return self._table("check-lock", _as_bytes(name), token)

    def unlock(self, name: Key) -> Request:
        return self._table("unlock", _as_bytes(name))

    def holder(self, name: Key) -> Request:
        return self._table("holder", _as_bytes(name))

    def encode(self, operations: Optional[Dict[str, Operation]]) -> Tuple[bytes, bool]:
        """The payload of a RUN, and whether it is a query. None: the operations of table."""
        if not self._operations:
            raise ValueError("a request has at least one operation")
        parts, query = [], True
        for index, (name, arguments) in enumerate(self._operations):
            if index == self._otherwise:
                parts.append(struct.pack("<HB", _OTHERWISE_OPERATION, 0))
            if operations is None:
                number, only_reads, _ = _TABLE[name]
            elif name in operations:
                number, only_reads = operations[name].number, operations[name].query
            else:
                raise Refused(_CODE["no-operation"], f"the owner has no operation called {name!r}", operation=index)
            query = query and only_reads
            parts.append(struct.pack("<H", number) + arguments)
        if self._otherwise == len(self._operations):
            parts.append(struct.pack("<HB", _OTHERWISE_OPERATION, 0))
        return b"".join(parts), query


# ---- the engine ----

_MS = 1_000_000
_S = 1_000_000_000
_GRACE = 100 * _MS       # for the truth about a request whose time is over
_RESEND = 1 * _S         # no answer for so long: send again; doubles up to
_RESEND_MAX = 8 * _S
_HOLD = 1 * _MS          # the owner was busy: wait so long; doubles up to
_HOLD_MAX = 256 * _MS
_PENDING_MAX = 100_000   # requests of one client that were not answered yet
_WATCH_QUEUE = 10_000    # events of one watch that nobody has taken yet
_TRACE_QUEUE = 10_000    # requests of a trace that nobody has taken yet; further ones are dropped
_RUN_MESSAGES = 2        # under way; what comes meanwhile is gathered into the next

# A request's states.
_QUEUED, _SENT, _PARKED, _OVER = range(4)
# A session's: it is LOST while answers about its last commands are still to come.
_NONE, _OPENING, _OPENED, _LOST = range(4)
_HELLO_NEEDED, _HELLO_SENT, _HELLO_DONE, _HELLO_REFUSED = range(4)
# A watch's: PAUSED until its reader has caught up.
_WATCH_IDLE, _WATCH_SENT, _WATCH_ON, _WATCH_PAUSED, _WATCH_OVER = range(5)


class _Asked:
    """A request on its way. `outcome` is there when the state is _OVER."""
    __slots__ = ("id", "kind", "payload", "query", "flags", "deadline", "behaviour", "halves", "done", "afterwards",
                 "state", "session", "sequence", "copies", "sent", "tag", "again", "cancelling", "expired", "ghost", "refusal",
                 "asked", "outcome")

    def __init__(self) -> None:
        self.session = 0
        self.state, self.sequence, self.copies, self.sent, self.tag, self.flags = _QUEUED, 0, 0, 0, 0, 0
        self.again = self.cancelling = self.expired = self.ghost = self.query = False
        self.refusal = self.asked = 0
        self.afterwards: Optional[Callable[[Reply], None]] = None
        self.outcome: Union[None, Reply, List[List[Result]], SoleError] = None


class _Sent:
    """A message on its way."""
    __slots__ = ("tag", "at", "requests", "watches", "runs", "opens", "hello")

    def __init__(self, tag: int, at: int) -> None:
        self.tag, self.at = tag, at
        self.requests: List[_Asked] = []
        self.watches: List[Tuple[_Place, int]] = []
        self.runs = self.opens = self.hello = False


class _Place:
    """A watch's place in the events. `position` is the next that it wants to hear of."""
    __slots__ = ("prefix", "position", "id", "state", "queue", "error", "began", "ready")

    def __init__(self, prefix: bytes, position: Optional[Tuple[int, int, int]]) -> None:
        self.prefix, self.position = prefix, position
        self.id, self.state = 0, _WATCH_IDLE
        self.queue: Deque[Event] = deque()
        self.error: Optional[SoleError] = None
        self.began: Optional[Tuple[int, int]] = None  # history, revision
        self.ready: Callable[[], None] = lambda: None


class _TracePlace:
    """A trace, and what was heard of it and not taken yet. `begun`: on how many connections."""
    __slots__ = ("payload", "id", "tag", "state", "queue", "error", "begun", "dropped", "ready")

    def __init__(self, payload: bytes) -> None:
        self.payload, self.id, self.tag, self.state = payload, 0, 0, _WATCH_IDLE
        self.queue: Deque[Traced] = deque()
        self.error: Optional[SoleError] = None
        self.begun = self.dropped = 0
        self.ready: Callable[[], None] = lambda: None


class Engine:
    """What a client says and when, as sole-protocol(7) has it. Pure: no socket, no clock.

    Whoever drives it calls connected, disconnected, receive and expire with the time (CLOCK_MONOTONIC,
    nanoseconds) when that happens, and then sends what next_message gives until that is None; expire is
    due at deadline(). Requests call their `done` inside receive, expire and clear.

    What makes a command run once: it is only sent with the id of a session that the owner gave, never
    beside the OPEN; and a session belongs to one history of one state. Wherever a copy ends up, it
    runs in that history or nowhere. A command whose caller was told "timed out" keeps its place in
    the sequence, as a ghost, until a CANCEL in its place has been answered.
    """

    def __init__(self, *, program: bytes = b"python", window: int = _WINDOW, silence_ms: int = 30_000,
                 relative: bool = False, nonce: Callable[[], bytes] = lambda: os.urandom(16)) -> None:
        self._program, self._window_wanted, self._silence_wanted = program, window, silence_ms
        self._relative, self._random = relative, nonce
        self.is_connected = self.closing = self.leaving = False
        self.on_session: Callable[[int], None] = lambda session: None
        self.incarnation = self.history = self.session = 0
        self.behaviour, self.owner = "", ""
        self.hindrance = ""  # why no owner is reached; "": that is not known
        self.counters = {"sent-again": 0, "malformed": 0, "strays": 0, "sessions": 0, "connections": 0}
        self.pending = 0
        self._hello, self._hello_error = _HELLO_NEEDED, None
        self._message_max, self._window = _MESSAGE_MAX, min(window, _WINDOW)
        self._session_state, self._nonce = _NONE, b""
        self._silence, self._named = silence_ms * _MS, 0
        self._next_sequence = 1
        self._numbers = 0
        self._queued: Deque[_Asked] = deque()
        self._urgent: Deque[_Asked] = deque()
        self._commands: Dict[int, _Asked] = {}   # by sequence; lowest first
        self._parked: Dict[int, _Asked] = {}     # the owner answers these later
        self._others: Dict[int, _Asked] = {}     # by id: queries and control items that were sent
        self._again: Dict[int, _Asked] = {}      # by id: to be written once more
        self._received: Dict[int, bool] = {}     # late answers to acknowledge; True: told already
        self._unwatched: List[int] = []
        self._watches: List[_Place] = []
        self._trace: Optional[_TracePlace] = None
        self._untrace = False
        self._messages: Dict[int, _Sent] = {}
        self._timers: List[Tuple[int, int, _Asked]] = []
        self._hold_until, self._hold_for, self._resend_after = 0, _HOLD, _RESEND
        self._search_until, self._search_for = 0, _HOLD  # the same for what the owner looks for on its disk

    # -- asking --

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def submit(self, kind: int, payload: bytes, done: Callable[[_Asked], None], *, deadline: Optional[int] = None,
               query: bool = False, behaviour: str = "", halves: Optional[Tuple[int, int]] = None,
               operations: int = 0) -> _Asked:
        """Queues a request. `deadline`: nanoseconds, None for never. `halves`: how many operations stand
        before and behind otherwise. Raises Refused when it cannot be queued."""
        if self.closing:
            raise _error(_CODE["closed"], _REFUSED)
        if self._hello_error is not None:
            raise self._hello_error
        if self.pending >= _PENDING_MAX:
            raise Refused(_BUSY, f"{_PENDING_MAX} requests of this client wait already")
        if _MESSAGE.size + _ITEM.size + len(payload) > self._message_max:
            raise Refused(_CODE["too-large"], f"a message has at most {self._message_max} bytes")
        asked = _Asked()
        asked.id, asked.kind, asked.payload, asked.query = self._number(), kind, payload, query
        asked.deadline, asked.behaviour, asked.done = deadline, behaviour, done
        asked.halves = halves if halves is not None else (operations, 0)
        asked.flags = (_QUERY if query else 0) | (_OTHERWISE if halves is not None else 0)
        (self._queued if kind == _RUN else self._urgent).append(asked)
        if deadline is not None:
            heapq.heappush(self._timers, (deadline, asked.id, asked))
        self.pending += 1
        return asked

    def cancel(self, asked: _Asked) -> None:
        """Asks for its withdrawal; its outcome tells the truth about it."""
        if asked.state == _OVER or asked.ghost or asked.cancelling:
            return
        if asked.state == _QUEUED or asked.kind != _RUN or (asked.query and not self.is_connected):
            self._fail(asked, _CANCELLED)
            return
        asked.cancelling = True
        self._send_again(asked)

    # -- a request's end --

    def _unlink(self, asked: _Asked) -> None:
        if asked.state == _QUEUED:
            queue = self._queued if asked.kind == _RUN else self._urgent
            if asked in queue:
                queue.remove(asked)
        self._again.pop(asked.id, None)
        self._others.pop(asked.id, None)
        if asked.sequence and self._commands.get(asked.sequence) is asked:
            del self._commands[asked.sequence]
        if asked.sequence and self._parked.get(asked.sequence) is asked:
            del self._parked[asked.sequence]

    @staticmethod
    def _name(asked: _Asked, outcome: Any) -> None:
        if isinstance(outcome, SoleError) and asked.sequence:
            outcome.session, outcome.sequence = asked.session, asked.sequence

    def _finish(self, asked: _Asked, outcome: Any) -> None:
        # The owner keeps the answer of what has waited until it hears that it has arrived; whether an
        # answer was that of a copy that waited cannot be told.
        if asked.sequence and self._session_state == _OPENED and (asked.state == _PARKED or asked.sent > 1):
            self._received[asked.sequence] = False
        self._name(asked, outcome)
        self._unlink(asked)
        asked.state = _OVER
        if asked.ghost:
            if asked.afterwards is not None and isinstance(outcome, Reply):
                asked.afterwards(outcome)
            return
        self.pending -= 1
        asked.outcome = outcome
        asked.done(asked)

    def _fail(self, asked: _Asked, code: int, outcome: Optional[int] = None, **more: Any) -> None:
        """Answers with a code. If it holds a place in the sequence that the owner has not resolved, its
        ghost stays."""
        error = _error(code, outcome, **more)
        if not (asked.sequence and asked.state in (_SENT, _PARKED)):
            self._finish(asked, error)
            return
        self._name(asked, error)
        asked.ghost = asked.cancelling = True
        self.pending -= 1
        asked.outcome = error
        self._send_again(asked)
        asked.done(asked)

    def _resolve(self, asked: _Asked, code: int, **more: Any) -> None:
        """The same for what the owner has resolved, or will never hear of."""
        self._finish(asked, _error(code, **more))

    def _send_again(self, asked: _Asked) -> None:
        asked.tag = 0
        self._again[asked.id] = asked

    # -- the connection --

    def connected(self, now: int) -> None:
        self.disconnected()
        self.is_connected = True
        self.counters["connections"] += 1
        self._hold_until, self._hold_for, self._resend_after = 0, _HOLD, _RESEND
        self._search_until, self._search_for = 0, _HOLD
        self._named = now
        for asked in list(self._others.values()):
            if asked.query and asked.cancelling:
                self._resolve(asked, _EXPIRED if asked.expired else _CANCELLED)
            else:
                self._send_again(asked)
        for asked in [*self._commands.values(), *self._parked.values()]:
            self._send_again(asked)

    def disconnected(self) -> None:
        self.is_connected = self.leaving = False
        if self._hello != _HELLO_REFUSED:
            self._hello = _HELLO_NEEDED
        self._messages.clear()
        self._unwatched.clear()
        for sequence in self._received:
            self._received[sequence] = False
        if self._session_state == _OPENING:
            self._session_state = _NONE
        if self._session_state == _LOST:
            self._end_session(_FORGOTTEN)
        for place in self._watches:
            if place.state in (_WATCH_SENT, _WATCH_ON):
                place.state = _WATCH_IDLE
        self._untrace = False
        if self._trace is not None:
            self._trace.state = _WATCH_IDLE

    # -- the session --

    def _end_session(self, code: int) -> None:
        """Commands that may have run are unknown; the others go into the next session."""
        self._session_state, self.session, self._nonce = _NONE, 0, b""
        self._next_sequence = 1
        self._received.clear()
        requeue = []
        for asked in [*self._parked.values(), *self._commands.values()]:
            parked = asked.state == _PARKED
            if asked.ghost or parked or asked.copies > 0:
                self._resolve(asked, code)
            elif asked.cancelling:
                self._resolve(asked, _EXPIRED if asked.expired else _CANCELLED)
            else:
                self._unlink(asked)
                asked.state, asked.session, asked.sequence, asked.tag = _QUEUED, 0, 0, 0
                requeue.append(asked)
        self._queued.extendleft(reversed(requeue))
        self.on_session(0)

    def _session_lost(self) -> None:
        if self._session_state == _OPENED:
            self._session_state = _LOST
            for asked in list(self._parked.values()):
                self._resolve(asked, _FORGOTTEN)
        self._bury()

    def _bury(self) -> None:
        if self._session_state != _LOST:
            return
        if not any(asked.copies > 0 and not asked.ghost for asked in self._commands.values()):
            self._end_session(_FORGOTTEN)

    # -- time --

    def hold(self, now: int) -> None:
        if self._hold_until <= now:
            self._hold_until = now + self._hold_for
            self._hold_for = min(self._hold_for * 2, _HOLD_MAX)

    def deadline(self) -> Optional[int]:
        """When expire and next_message are due at the latest; None: not until something happens."""
        times = [self._timers[0][0]] if self._timers else []
        times += [message.at + self._resend_after for message in self._messages.values()]
        if self._hold_until and self.is_connected:
            times.append(self._hold_until)
        if self._search_until and self.is_connected:
            times.append(self._search_until)
        if self._session_state == _OPENED and self.is_connected:
            times.append(self._named + self._silence // 3)
        if self._parked and self.is_connected:
            times.append(min(asked.asked for asked in self._parked.values()) + _RESEND_MAX)
        return min(times) if times else None

    def expire(self, now: int) -> None:
        """Time has gone by."""
        while self._timers and self._timers[0][0] <= now:
            asked = heapq.heappop(self._timers)[2]
            if asked.state != _OVER and not asked.ghost:
                self._overdue(asked, now)
        if self._hold_until and self._hold_until <= now:
            self._hold_until = 0
        if self._search_until and self._search_until <= now:
            self._search_until = 0
        slow = [message for message in self._messages.values() if message.at + self._resend_after <= now]
        for message in slow:
            del self._messages[message.tag]
            self._unanswered(message)
        if slow:
            self._resend_after = min(self._resend_after * 2, _RESEND_MAX)
            if self._session_state == _LOST:
                self._end_session(_FORGOTTEN)
        # A late answer may have been dropped on its way, so those who wait ask now and then.
        for asked in self._parked.values():
            if asked.asked + _RESEND_MAX <= now:
                asked.asked = now
                self._send_again(asked)

    def _overdue(self, asked: _Asked, now: int) -> None:
        if asked.state == _QUEUED:
            reached = self._hello == _HELLO_DONE
            code = asked.refusal or (_EXPIRED if reached else _UNREACHABLE)
            self._fail(asked, code, **({"text": self.hindrance} if code == _UNREACHABLE else {}))
        elif asked.kind != _RUN or asked.expired or not self.is_connected:
            self._fail(asked, _TIMED_OUT if asked.copies else asked.refusal or _EXPIRED)
        elif asked.copies == 0 and asked.state == _SENT and asked.refusal:
            self._fail(asked, asked.refusal)
        else:
            asked.expired = True
            heapq.heappush(self._timers, (now + _GRACE, asked.id, asked))
            if not asked.cancelling:
                asked.cancelling = True
                self._send_again(asked)

    def _unanswered(self, message: _Sent) -> None:
        """The reply to a message is over, or does not come, and of these it said nothing."""
        for asked in message.requests:
            if asked.state in (_SENT, _PARKED) and asked.tag == message.tag:
                self._send_again(asked)
        for place, number in message.watches:
            if place.state == _WATCH_SENT and place.id == number:
                place.state = _WATCH_IDLE
        trace = self._trace
        if trace is not None and trace.state == _WATCH_SENT and trace.tag == message.tag:
            trace.state = _WATCH_IDLE
        if message.hello and self._hello == _HELLO_SENT:
            self._hello = _HELLO_NEEDED
        if message.opens and self._session_state == _OPENING:
            self._session_state = _NONE
        for sequence in self._received:
            self._received[sequence] = False

    # -- writing --

    def _item(self, kind: int, payload: bytes = b"", *, flags: int = 0, window: int = 0, session: int = 0,
              sequence: int = 0, deadline: int = 0) -> bytes:
        return _ITEM.pack(_ITEM.size + len(payload), kind, flags, window, session, sequence, deadline) + payload

    def _lowest(self) -> int:
        return next(iter(self._commands), self._next_sequence)

    def _write(self, asked: _Asked, now: int) -> bytes:
        session = self.session if asked.sequence else 0
        sequence = asked.sequence or asked.id
        if asked.cancelling:
            return self._item(_CANCEL, flags=asked.flags & _QUERY, session=session, sequence=sequence)
        asked.copies += 1
        asked.sent += 1
        asked.asked = now
        flags, deadline = asked.flags, 0
        if asked.deadline is not None and asked.kind == _RUN:
            deadline = asked.deadline
            if self._relative:
                flags, deadline = flags | _RELATIVE, max(deadline - now, 1)
        window = max(sequence - self._lowest(), 0) if session else 0
        return self._item(asked.kind, asked.payload, flags=flags, window=window, session=session, sequence=sequence,
                          deadline=deadline)

    def next_message(self, now: int) -> Optional[bytes]:
        """The next body to send on this connection, or None."""
        if not self.is_connected or self._hello in (_HELLO_SENT, _HELLO_REFUSED):
            return None
        message = _Sent(self._number(), now)
        if self._hello == _HELLO_NEEDED:
            if self._hold_until > now:
                return None
            self._hello, message.hello = _HELLO_SENT, True
            items = [self._item(_HELLO, _write_list([_VERSION, _VERSION, self._program]), flags=_NOTICES)]
        else:
            items = self._control(message, now)
            if self._hold_until <= now:
                self._runs(message, items, now)
        if not items:
            return None
        self._messages[message.tag] = message
        return _MESSAGE.pack(_MAGIC, _VERSION, _REQUEST_MESSAGE, len(items), message.tag, 0, 0) + b"".join(items)

    def _control(self, message: _Sent, now: int) -> List[bytes]:
        """What is not held back by anything: it is small, and bounded."""
        items: List[bytes] = []
        while self._urgent and len(items) < 64:
            asked = self._urgent.popleft()
            self._put_under_way(asked, message, items, now)
        searching = self._search_until > now
        for asked in [asked for asked in self._again.values()
                      if asked.kind != _RUN and not (searching and asked.kind in (_OUTCOME, _BACKUP))][:64]:
            self._put_under_way(asked, message, items, now)
        for sequence, told in list(self._received.items())[:64]:
            if not told:
                self._received[sequence] = True
                items.append(self._item(_RECEIVED, session=self.session, sequence=sequence))
        for number in self._unwatched[:64]:
            items.append(self._item(_UNWATCH, sequence=number))
        del self._unwatched[:64]
        if self._untrace:
            self._untrace = False
            items.append(self._item(_UNTRACE))
        if self._trace is not None and self._trace.state == _WATCH_IDLE:
            self._trace.state, self._trace.id, self._trace.tag = _WATCH_SENT, self._number(), message.tag
            items.append(self._item(_TRACE, self._trace.payload, sequence=self._trace.id))
        if self._hold_until <= now:
            for place in self._watches:
                if place.state == _WATCH_IDLE and len(items) < 512:
                    place.state, place.id = _WATCH_SENT, self._number()
                    history, revision, index = place.position or (0, 0, 0)
                    message.watches.append((place, place.id))
                    items.append(self._item(_WATCH, _write_list([place.prefix, _signed(history), revision, index]),
                                            sequence=place.id))
        if self._session_state == _OPENED and now - self._named >= self._silence // 3:
            self._named = now
            items.append(self._item(_PING, session=self.session))
        return items

    def _put_under_way(self, asked: _Asked, message: _Sent, items: List[bytes], now: int) -> None:
        if self._again.pop(asked.id, None) is not None:
            self.counters["sent-again"] += 1
        if asked.state == _QUEUED:
            asked.state = _SENT
            if asked.kind == _RUN and not asked.query:
                asked.sequence = self._next_sequence
                self._next_sequence += 1
                self._commands[asked.sequence] = asked
                asked.session = self.session
            else:
                self._others[asked.id] = asked
        asked.tag = message.tag
        message.requests.append(asked)
        items.append(self._write(asked, now))
        if asked.sequence:
            self._named = now

    def _runs(self, message: _Sent, items: List[bytes], now: int) -> None:
        room = self._message_max - _MESSAGE.size - sum(map(len, items))
        # Cancels overtake: they do not wait for the answers to what they are to stop.
        cancels_only = self.leaving or sum(sent.runs for sent in self._messages.values()) >= _RUN_MESSAGES

        def fits(asked: _Asked) -> bool:
            return len(items) < _ITEMS_MAX and room >= _ITEM.size + len(asked.payload)

        for asked in sorted(self._again.values(), key=lambda a: (a.sequence or 0, a.id)):
            if asked.kind != _RUN or (asked.sequence and self._session_state != _OPENED):
                continue
            if cancels_only and not asked.cancelling:
                continue
            if not fits(asked):
                return
            self._put_under_way(asked, message, items, now)
            room -= len(items[-1])
            message.runs = message.runs or not asked.cancelling
        while self._queued and not cancels_only:
            asked = self._queued[0]
            if asked.behaviour and asked.behaviour != self.behaviour:
                self._fail(asked, _CODE["no-operation"], text=f"the owner's behaviour is {self.behaviour}, "
                           f"not {asked.behaviour}")
                continue
            if not asked.query and self._session_state != _OPENED:
                if self._session_state == _NONE and fits(asked):
                    self._session_state, message.opens = _OPENING, True
                    self._nonce = self._nonce or self._random()
                    items.append(self._item(_OPEN, _write_list([self._nonce, self._silence_wanted])))
                return
            if not fits(asked) or len(self._commands) + len(self._others) >= self._window:
                return
            if not asked.query and self._next_sequence - self._lowest() >= self._window:
                return
            self._queued.popleft()
            self._put_under_way(asked, message, items, now)
            room -= len(items[-1])
            message.runs = True

    # -- reading --

    def receive(self, body: bytes, now: int) -> None:
        """A body that the owner sent."""
        data = memoryview(body)
        try:
            magic, version, kind, count, tag, incarnation, history = _MESSAGE.unpack_from(data)
            if magic != _MAGIC or version != _VERSION or kind not in (_REPLY_MESSAGE, _NOTICE, _REPLY_PART):
                raise _Unreadable
            at = _MESSAGE.size
            for _ in range(count):
                header = _REPLY.unpack_from(data, at)
                if header[0] < _REPLY.size or at + header[0] > len(data):
                    raise _Unreadable
                self._take(header, data[at + _REPLY.size:at + header[0]], (incarnation, history), now)
                at += header[0]
        except (_Unreadable, struct.error):
            self.counters["malformed"] += 1
            return
        if kind == _NOTICE:
            return
        if kind == _REPLY_PART and tag in self._messages:
            self._messages[tag].at = now
            return
        message = self._messages.pop(tag, None)
        if message is None:
            return
        self._resend_after = _RESEND
        if any(asked.tag == tag and asked.state == _SENT for asked in message.requests):
            self.hold(now)
            if self._session_state == _LOST:
                self._end_session(_FORGOTTEN)
        self._unanswered(message)

    def _take(self, header: Tuple[int, ...], payload: memoryview, source: Tuple[int, int], now: int) -> None:
        size, kind, outcome, code, session, sequence, revision = header
        if kind == _RUN:
            durable = bool(outcome & _DURABLE)
            header = (size, kind, outcome & ~_DURABLE, code, session, sequence, revision)
            self._take_run(header, payload, source, durable, now)
        elif kind == _CANCEL:
            self._take_cancel(header, payload, now)
        elif kind == _HELLO:
            self._take_hello(outcome, code, payload, source, now)
        elif kind == _OPEN:
            self._take_open(outcome, code, session, payload, now)
        elif kind == _RECEIVED:
            if session == self.session and outcome != _REFUSED:
                self._received.pop(sequence, None)
        elif kind == _WATCH:
            self._take_watch(header, payload, source, now)
        elif kind == _EVENTS:
            self._take_events(header, payload, source)
        elif kind == _TRACE:
            self._take_trace(header, payload)
        elif kind == _TRACED:
            self._take_traced(sequence, payload)
        elif kind == _LEAVING_NOTICE:
            self.leaving = True
        elif kind == _PING and sequence == 0:
            if code == _FORGOTTEN and session == self.session:
                self._session_lost()
        elif kind == _GOODBYE:
            if session == self.session:
                self.session, self._session_state = 0, _NONE
        elif kind not in (_UNWATCH, _UNTRACE):
            asked = self._others.get(sequence)
            if asked is None or asked.kind != kind:
                self.counters["strays"] += 1
            elif outcome == _REFUSED and code == _BUSY and kind in (_OUTCOME, _BACKUP):
                if self._search_until <= now:
                    self._search_until = now + self._search_for
                    self._search_for = min(self._search_for * 2, _HOLD_MAX)
                asked.refusal, asked.copies = code, 0
                self._send_again(asked)
            elif outcome == _REFUSED and code == _BUSY:
                self.hold(now)
                asked.refusal = code
                self._send_again(asked)
            elif outcome == _DONE:
                self._search_for = _HOLD
                self._finish(asked, _read_lists(payload))
            else:
                self._finish(asked, self._refusal(header, payload))

    def _find(self, session: int, sequence: int) -> Optional[_Asked]:
        if session == 0:
            asked = self._others.get(sequence)
        else:
            ours = session == self.session
            asked = (self._commands.get(sequence) or self._parked.get(sequence)) if ours else None
        if asked is None or asked.kind != _RUN:
            self.counters["strays"] += 1
            return None
        return asked

    @staticmethod
    def _refusal(header: Tuple[int, ...], payload: memoryview) -> SoleError:
        _, _, outcome, code, _, _, revision = header
        operation, text, detail = -1, "", None
        try:
            values = _read_lists(payload)[0]
            operation, text = int(values[0]), values[1].decode("utf-8", "replace")
            detail = values[2] if len(values) > 2 else None
        except (_Unreadable, IndexError, TypeError, ValueError, AttributeError):
            pass  # that it was refused is certain all the same
        return _error(code, outcome, text=text, detail=detail, operation=operation, revision=revision)

    def _take_run(self, header: Tuple[int, ...], payload: memoryview, source: Tuple[int, int], durable: bool,
                  now: int) -> None:
        _, _, outcome, code, session, sequence, revision = header
        asked = self._find(session, sequence)
        if asked is None:
            return
        if outcome == _WAITING:
            if asked.state == _SENT and asked.sequence:
                del self._commands[asked.sequence]
                self._parked[asked.sequence] = asked
                asked.state = _PARKED
            asked.tag, asked.asked = 0, now
            return
        if outcome == _DONE:
            self._hold_for = _HOLD
            self._finish(asked, self._reply(asked, payload, revision, source, durable))
            return
        if asked.copies and (outcome == _REFUSED or code == _FORGOTTEN):
            asked.copies -= 1
        if outcome == _REFUSED and (code in (_BUSY, _LEAVING) or (code == _OUT_OF_ORDER and asked.sequence)):
            self._refused_for_now(asked, code, payload, now)
        elif code == _FORGOTTEN and asked.sequence:
            self._forgotten(asked)
        else:
            self._finish(asked, self._refusal(header, payload))

    @staticmethod
    def _reply(asked: _Asked, payload: memoryview, revision: int, source: Tuple[int, int],
               durable: bool) -> Union[Reply, SoleError]:
        try:
            results, half = _read_lists(payload), 1
            if asked.flags & _OTHERWISE:
                half = results.pop(0)[0]
            if half not in (1, 2) or len(results) != asked.halves[half - 1]:
                raise _Unreadable
        except (_Unreadable, IndexError):
            return _error(_CODE["protocol"])
        return Reply(results, half, revision, source[1], source[0], asked.session, asked.sequence, durable)

    def _refused_for_now(self, asked: _Asked, code: int, payload: memoryview, now: int) -> None:
        """Did not run and takes no sequence: sent again when the cause is gone."""
        asked.refusal = code
        if code == _LEAVING:
            self.leaving = True
        else:
            self.hold(now)
        if asked.cancelling and not asked.ghost and asked.copies == 0:
            self._fail(asked, _EXPIRED if asked.expired else _CANCELLED)
            return
        self._send_again(asked)
        if code != _OUT_OF_ORDER:
            return
        try:
            wanted = _read_lists(payload)[0][2]
        except (_Unreadable, IndexError):
            wanted = self._lowest()
        if not isinstance(wanted, int) or not self._lowest() <= wanted <= asked.sequence:
            self._forgotten(asked)  # it asks for what was answered: it has lost the session's past
            return
        for sequence in range(wanted, asked.sequence):
            if sequence in self._commands:
                self._send_again(self._commands[sequence])

    def _forgotten(self, asked: _Asked) -> None:
        """This copy did not run. Was it the only one, nothing ran, and it goes into the next session."""
        self._again.pop(asked.id, None)
        asked.tag = 0
        if asked.ghost or asked.copies > 0:
            self._resolve(asked, _FORGOTTEN)
        self._session_lost()

    def _take_cancel(self, header: Tuple[int, ...], payload: memoryview, now: int) -> None:
        _, _, outcome, code, session, sequence, _ = header
        asked = self._find(session, sequence)
        if asked is None:
            return
        if outcome == _DONE:
            fate = _first(_first(_read_lists(payload)) or [])
            if fate == _WITHDRAWN:
                self._resolve(asked, _EXPIRED if asked.expired else _CANCELLED)
            elif asked.query:  # it ran, and its result is lost: ask for it again
                asked.cancelling = False
                self._send_again(asked)
            # of a command the answer follows
        elif code == _FORGOTTEN:
            self._forgotten(asked)
        elif code in (_BUSY, _LEAVING, _OUT_OF_ORDER):
            self._refused_for_now(asked, code, payload, now)
        elif asked.ghost:
            self._resolve(asked, code)
        else:
            asked.cancelling = False  # may not be withdrawn: it takes its course

    def _take_hello(self, outcome: int, code: int, payload: memoryview, source: Tuple[int, int], now: int) -> None:
        if self._hello != _HELLO_SENT:
            return
        if outcome != _DONE and code in (_BUSY, _LEAVING):
            self._hello = _HELLO_NEEDED
            self.hold(now)
            return
        if outcome != _DONE:
            self._hello, self._hello_error = _HELLO_REFUSED, _error(code, outcome)
            self.clear(code)
            return
        values = _first(_read_lists(payload)) or []
        if len(values) < 7 or not all(isinstance(values[i], int) for i in (0, 4, 6)):
            raise _Unreadable
        self.owner, self.behaviour = (values[i].decode("utf-8", "replace") for i in (1, 2))
        self._message_max = min(max(values[4], 4096), _MESSAGE_MAX)
        self._window = max(min(values[6], self._window_wanted, _WINDOW), 1)
        if source[1] != self.history and (self.session or self._commands or self._parked):
            self._end_session(_DIED)
        self.incarnation, self.history = source
        self._hello = _HELLO_DONE

    def _take_open(self, outcome: int, code: int, session: int, payload: memoryview, now: int) -> None:
        if self._session_state != _OPENING:
            return
        if outcome == _DONE:
            silence = _first(_first(_read_lists(payload)) or [])
            if not isinstance(silence, int) or silence < 1 or session == 0:
                raise _Unreadable
            self.session, self._session_state, self._nonce = session, _OPENED, b""
            self._silence, self._named, self._next_sequence = silence * _MS, now, 1
            self.counters["sessions"] += 1
            self.on_session(session)
            return
        self._session_state = _NONE
        if code == _LEAVING:
            self.leaving = True
        elif code == _BUSY:
            self.hold(now)
            for asked in self._queued:
                if not asked.query:
                    asked.refusal = code
        else:
            for asked in [asked for asked in self._queued if not asked.query]:
                self._fail(asked, code, outcome)

    # -- a trace --

    def set_trace(self, payload: bytes) -> _TracePlace:
        if self._trace is not None:
            raise Refused(_CODE["usage"], "a client has one trace at a time")
        self._trace = _TracePlace(payload)
        return self._trace

    def drop_trace(self, place: _TracePlace) -> None:
        if self._trace is place:
            self._trace = None
            self._untrace = self.is_connected
        place.state = _WATCH_OVER

    def _take_trace(self, header: Tuple[int, ...], payload: memoryview) -> None:
        place = self._trace
        if place is None or place.id != header[5] or place.state != _WATCH_SENT:
            return
        if header[2] == _DONE:
            place.state, place.begun = _WATCH_ON, place.begun + 1
        else:
            place.error, place.state, self._trace = self._refusal(header, payload), _WATCH_OVER, None
        place.ready()

    def _take_traced(self, number: int, payload: memoryview) -> None:
        place = self._trace
        if place is None or place.id != number:
            return
        for values in _read_lists(payload):
            if len(values) == 1 and isinstance(values[0], int):
                place.dropped += values[0]
            elif len(place.queue) >= _TRACE_QUEUE:
                place.dropped += 1
            else:
                place.queue.append(_traced(values))
        place.ready()

    # -- watches --

    def add_watch(self, prefix: bytes, position: Optional[Tuple[int, int, int]]) -> _Place:
        """From (history, revision, index) on; None: from now."""
        place = _Place(prefix, position)
        self._watches.append(place)
        return place

    def drop_watch(self, place: _Place) -> None:
        if place in self._watches:
            self._watches.remove(place)
        if place.state in (_WATCH_SENT, _WATCH_ON):
            self._unwatched.append(place.id)
        place.state = _WATCH_OVER

    def take_event(self, place: _Place) -> Optional[Event]:
        """The next event that has arrived. A watch whose reader was slow goes on when it has caught up."""
        event = place.queue.popleft() if place.queue else None
        if place.state == _WATCH_PAUSED and len(place.queue) < _WATCH_QUEUE // 2:
            place.state = _WATCH_IDLE
        return event

    def _watch_over(self, place: _Place, error: SoleError) -> None:
        place.error, place.state = error, _WATCH_OVER
        self._watches.remove(place)
        place.ready()

    def _take_watch(self, header: Tuple[int, ...], payload: memoryview, source: Tuple[int, int], now: int) -> None:
        _, _, outcome, code, _, number, revision = header
        place = next((p for p in self._watches if p.id == number and p.state == _WATCH_SENT), None)
        if place is None:
            return
        if outcome == _DONE:
            begun = _first(_first(_read_lists(payload)) or [])
            if not isinstance(begun, int):
                raise _Unreadable
            place.state = _WATCH_ON
            if place.position is None:
                place.position = (source[1], begun + 1, 0)
            if place.began is None:
                place.began = (source[1], begun)
                place.ready()
        elif code in (_BUSY, _LEAVING):
            place.state = _WATCH_IDLE
            self.hold(now)
        else:
            self._watch_over(place, self._refusal(header, payload))

    def _take_events(self, header: Tuple[int, ...], payload: memoryview, source: Tuple[int, int]) -> None:
        _, _, outcome, _, _, number, _ = header
        place = next((p for p in self._watches if p.id == number and p.state == _WATCH_ON), None)
        if place is None:
            return
        if outcome != _DONE:
            self._watch_over(place, self._refusal(header, payload))
            return
        for values in _read_lists(payload):
            if len(values) not in (2, 5) or not isinstance(values[0], int) or not isinstance(values[1], int):
                raise _Unreadable
            revision, index = values[:2]
            if (source[1], revision, index) < place.position and source[1] == place.position[0]:
                continue
            if len(values) == 2:
                place.position = (source[1], revision, index)  # there was none up to here
                continue
            if len(place.queue) >= _WATCH_QUEUE:
                # Nobody reads: the owner keeps the rest, and this side only its place.
                place.state = _WATCH_PAUSED
                self._unwatched.append(place.id)
                break
            place.position = (source[1], revision, index + 1)
            kind, key, value = values[2:]
            place.queue.append(Event(kind.decode("utf-8", "replace"), key, value, revision, index, source[1]))
        place.ready()

    # -- the end --

    def goodbye(self) -> Optional[bytes]:
        """The last message, or None when there is nobody to say it to. Its answer ends the session."""
        self.closing = True
        if not self.is_connected or self._session_state != _OPENED:
            return None
        item = self._item(_GOODBYE, session=self.session)
        return _MESSAGE.pack(_MAGIC, _VERSION, _REQUEST_MESSAGE, 1, self._number(), 0, 0) + item

    def clear(self, code: int) -> None:
        """Answers whatever is left: with `code` what may have run, as cancelled what has not."""
        for asked in [*self._queued, *self._urgent, *self._others.values(), *self._commands.values(),
                      *self._parked.values()]:
            if asked.state == _OVER or asked.ghost:
                continue
            may_have_run = asked.copies > 0 or asked.state == _PARKED
            if CODES.get(code, ("", ""))[1] == "unknown" and not may_have_run:
                self._resolve(asked, _CANCELLED)
            else:
                self._resolve(asked, code)
        for place in list(self._watches):
            self._watch_over(place, _error(code, _REFUSED))


# ---- where an owner listens ----

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_PATH_MAX = 107  # bytes of the path of a Unix socket


def _folders() -> List[Tuple[str, bool]]:
    """Candidates for DIR of DIR/NAME.sock, and whether somebody else could have made it."""
    only, xdg, uid = os.environ.get("SOLE_RUNTIME_DIR"), os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    if only:
        return [(only, False)]
    folders = [(f"{xdg}/sole", False)] if xdg.startswith("/") else []
    return folders + [(f"/run/user/{uid}/sole", False), ("/run/sole", False), (f"/tmp/sole-{uid}", True)]


def find_endpoint(name: str) -> str:
    """The endpoint of the owner called `name`: in the first folder of sole(1) that holds NAME.sock, else
    where an owner of this user would listen. ValueError: not a name, a path that is too long, or a folder
    below /tmp that is not safe."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not the name of an owner: 1 to 64 letters, digits, '-', '_' and '.', "
                         "not beginning with '.' or '-'")
    first = None
    for folder, shared in _folders():
        path = f"{folder}/{name}.sock"
        if len(os.fsencode(path)) > _PATH_MAX:
            raise ValueError(f"the path of the socket would have {len(os.fsencode(path))} bytes and the limit is "
                             f"{_PATH_MAX}: set SOLE_RUNTIME_DIR to a shorter folder than {folder}")
        try:
            status = os.lstat(folder) if shared else None
        except OSError:
            status = None
        if status is not None and not (stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
                                       and stat.S_IMODE(status.st_mode) & 0o777 == 0o700):
            raise ValueError(f"{folder} is not a folder of mode 0700 that belongs to this user: remove it or set "
                             "SOLE_RUNTIME_DIR")
        first = first or path
        if os.path.exists(path):
            return f"ipc://{path}"
    if os.geteuid() == 0 and not os.environ.get("SOLE_RUNTIME_DIR"):
        first = f"/run/sole/{name}.sock"
    return f"ipc://{first}"


def _check_endpoint(endpoint: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    if scheme not in ("ipc", "tcp") or not rest:
        raise ValueError(f"the endpoint {endpoint!r} must begin with ipc:// or tcp:// and name a socket, or a host "
                         "and a port")
    if scheme == "ipc" and len(os.fsencode(rest)) > _PATH_MAX:
        raise ValueError(f"the path of the endpoint {endpoint!r} is longer than {_PATH_MAX} bytes")
    return endpoint


# ---- keys, for tcp ----

_SECRET = "_secret"


def _read_keys(path: str) -> Tuple[bytes, bytes]:
    """The public and the secret key (b"": none) of a certificate, as `sole keygen`, CZMQ and pyzmq write them."""
    keys, in_curve = {"public-key": b"", "secret-key": b""}, False
    try:
        with open(path, "r", encoding="latin-1") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"the key in {path}: it is no ordinary file")
            mode, lines = os.fstat(file.fileno()).st_mode, file.read(65536).splitlines()
    except OSError as error:
        raise ValueError(f"the key in {path}: {error.strerror}") from None
    for line in lines:
        found = re.match(r"""[ \t]+(public-key|secret-key)[ \t]*=[ \t]*(["']?)(\S{40})\2[ \t]*$""", line)
        if found and in_curve:
            keys[found[1]] = found[3].encode("latin-1")
        elif line[:1] not in ("", " ", "\t", "#"):
            in_curve = line.rstrip() == "curve"
    if not keys["public-key"]:
        raise ValueError(f"the key in {path}: it is no CURVE certificate (sole keygen makes one)")
    if keys["secret-key"] and mode & 0o027:
        raise ValueError(f"the key in {path}: others may get at the secret key: chmod 600 the file, and make a new pair "
                         "if they did")
    return keys["public-key"], keys["secret-key"]


def _read_pair(path: str) -> Tuple[bytes, bytes]:
    """Both keys: the file itself has them, or FILE_secret beside it does."""
    public, secret = _read_keys(path) if os.path.exists(path) else (b"", b"")
    if not secret:
        public, secret = _read_keys(path + _SECRET)
    if not secret:
        raise ValueError(f"the key in {path}: there is no secret key in it")
    if zmq.curve_public(secret) != public:
        raise ValueError(f"the key in {path}: its public and its secret key are not of one pair")
    return public, secret


def _why(event: int, value: int, keys: bool) -> str:
    """What is likely wrong when a handshake failed so."""
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return ("the owner does not let this client's key in: its public certificate belongs into the owner's folder of "
                "client keys")
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return ("what listens there hung up: the owner has another key than server_key says, or it is no owner" if keys else
                "what listens there hung up, or said nothing: it may want keys (server_key and client_key), or is no owner")
    if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return ("the owner speaks in the clear: leave out server_key and client_key if that is meant" if keys else
                "the owner speaks to clients with keys only: give server_key and client_key")
    if value == zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
        return "what listens there does not have the key that server_key says"
    return "what listens there is no owner: it does not keep to the protocol of ZeroMQ"


# ---- sockets ----

_context: Optional[zmq.Context] = None
_context_lock = threading.Lock()
_monitors = 0


def _new_socket(kind: int) -> zmq.Socket:
    """ZeroMQ's threads start with the first socket; signals are for the threads of the program."""
    global _context
    with _context_lock:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            if _context is None or _context.closed:
                _context = zmq.Context()
            return _context.socket(kind)
        except zmq.ZMQError as error:
            raise Refused(_CODE["system"], f"cannot make a socket: {error}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


_inherited: List[Any] = []


def _after_fork() -> None:
    # The parent's context and sockets stay as they are: their threads are not here to close them.
    global _context, _context_lock
    _inherited.append(_context)
    _context, _context_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class _Link:
    """The connection of an engine: a DEALER socket, its monitor, and the time."""

    _LOOK = 200 * _MS  # an owner known by name that is not there is looked for this often

    _AGAIN = 200 * _MS  # after an owner that refused

    def __init__(self, owner: Optional[str], endpoint: Optional[str], program: Optional[str], window: int,
                 silence: float, server_key: Optional[str], client_key: Optional[str]) -> None:
        global _monitors
        if not 1 <= window <= _WINDOW:
            raise ValueError(f"a window has 1 to {_WINDOW} requests")
        if not 0 < silence <= 86400:
            raise ValueError("the silence is above 0 and at most 86400 seconds")
        if endpoint is None and owner is None:
            endpoint = os.environ.get("SOLE_ENDPOINT")
            if not endpoint:
                raise ValueError("give the owner's name or an endpoint, or set SOLE_ENDPOINT")
        self.name = owner if endpoint is None else None
        self.endpoint = _check_endpoint(endpoint) if endpoint is not None else find_endpoint(owner)
        self.pid = os.getpid()
        program = program or os.path.basename(sys.argv[0] or "python")
        self.engine = Engine(program=program.encode("utf-8", "surrogateescape")[:64], window=window,
                             silence_ms=math.ceil(silence * 1000), relative=self.endpoint.startswith("tcp"))
        self._outgoing: Optional[bytes] = None
        self._look_at = 0
        self._again_at: Optional[int] = None
        self._failures, self._failure_told = 0, False
        self._keys = self._take_keys(server_key, client_key) if self.endpoint.startswith("tcp") else None
        self.dealer = _new_socket(zmq.DEALER)
        self.monitor = None
        try:
            self._set_up()
            _monitors += 1
            at = f"inproc://sole-python-{id(self)}-{_monitors}"
            self.dealer.monitor(at, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | self._FAILURES)
            self.monitor = _new_socket(zmq.PAIR)
            self.monitor.linger, self.monitor.rcvhwm = 0, 0  # ZeroMQ's thread would wait if it were full
            self.monitor.connect(at)
            self.dealer.connect(self.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise Refused(_CODE["system"], f"cannot use the endpoint {self.endpoint}: {error}") from None

    def _set_up(self) -> None:
        """No fixed routing id: it would mute a client that reconnects."""
        dealer = self.dealer
        dealer.linger = 0
        dealer.immediate = 1          # nothing goes into a connection that is not there
        dealer.sndhwm = dealer.rcvhwm = 64
        dealer.maxmsgsize = _MESSAGE_MAX
        dealer.reconnect_ivl, dealer.reconnect_ivl_max = 10, 200
        dealer.handshake_ivl = 10_000
        if self.endpoint.startswith("tcp"):
            dealer.heartbeat_ivl, dealer.heartbeat_timeout = 5_000, 15_000
            dealer.ipv6 = 1
        if self._keys:
            dealer.curve_serverkey, dealer.curve_publickey, dealer.curve_secretkey = self._keys
            dealer.maxmsgsize = _MESSAGE_MAX + 33  # what encrypting adds to a frame

    @staticmethod
    def _take_keys(server_key: Optional[str], client_key: Optional[str]) -> Optional[Tuple[bytes, bytes, bytes]]:
        """The owner's public key, and both of one's own; None: in the clear."""
        server_key = server_key or os.environ.get("SOLE_SERVER_KEY") or None
        client_key = client_key or os.environ.get("SOLE_CLIENT_KEY") or None
        if server_key is None and client_key is None:
            return None
        if server_key is None or client_key is None:
            raise ValueError("CURVE takes both the owner's public key, server_key, and a client's own, client_key")
        return (_read_keys(server_key)[0],) + _read_pair(client_key)

    _FAILURES = (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 zmq.EVENT_HANDSHAKE_FAILED_AUTH)

    def _take_failure(self, event: int, value: int) -> None:
        """After an owner that refused ZeroMQ does not connect again; after connections that broke it does,
        a hundred times a second, and each costs the owner a handshake."""
        self.engine.hindrance = _why(event, value, self._keys is not None)
        self._failure_told, self._failures = True, self._failures + 1
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL and self._failures <= 3 or self._again_at is not None:
            return
        self._again_at = time.monotonic_ns() + self._AGAIN
        try:
            self.dealer.disconnect(self.endpoint)
        except zmq.ZMQError:
            pass  # it had given up by itself

    def _connect_again(self, now: int) -> None:
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self.dealer.connect(self.endpoint)

    def close(self) -> None:
        if self.dealer is not None and self.pid == os.getpid():
            if self.monitor is not None:
                self.dealer.disable_monitor()
                self.monitor.close(linger=0)
            self.dealer.close(linger=0)
        self.dealer = self.monitor = None

    def _look(self, now: int) -> None:
        if self.name is None or self.engine.is_connected or now < self._look_at:
            return
        self._look_at = now + self._LOOK
        try:
            found = find_endpoint(self.name)
        except ValueError:
            return
        if found != self.endpoint and os.path.exists(found[len("ipc://"):]):
            self.dealer.connect(found)
            self.dealer.disconnect(self.endpoint)
            self.endpoint = found

    def _receive(self) -> bool:
        """Takes in what has arrived. An answer that came over a new connection is never read before the
        news of the connection: so the monitor is read behind it, and told first."""
        bodies: List[bytes] = []
        while len(bodies) < 64:
            try:
                frames = self.dealer.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            if len(frames) == 2 and not frames[0]:
                bodies.append(frames[1])
        now, events = time.monotonic_ns(), False
        while True:
            try:
                frames = self.monitor.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            number, value = struct.unpack_from("=HI", frames[0])
            if number & self._FAILURES:
                self._take_failure(number, value)
                continue
            if number == zmq.EVENT_DISCONNECTED and not self.engine.is_connected:
                # Where something spoke that is no ZeroMQ at all, there is no other word than the end.
                if not self._failure_told:
                    self._take_failure(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, 0)
                self._failure_told = False
                continue
            if number == zmq.EVENT_HANDSHAKE_SUCCEEDED and self._again_at is not None:
                continue  # it was given up meanwhile, with those that failed before it
            events, self._outgoing = True, None
            if number == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._failures, self.engine.hindrance = 0, ""
                self.engine.connected(now)
            elif number == zmq.EVENT_DISCONNECTED:
                self.engine.disconnected()
        for body in bodies:
            self.engine.receive(body, now)
        return bool(bodies) or events

    def _send(self, body: bytes) -> bool:
        for _ in range(2):
            try:
                self.dealer.send_multipart([b"", body], zmq.DONTWAIT)
                return True
            except zmq.Again:
                # The news of a new connection waits in the socket; asking for its state takes it in.
                if not self.dealer.getsockopt(zmq.EVENTS) & zmq.POLLOUT:
                    return False
        return False

    def pump(self) -> None:
        """Everything that can be done now, without waiting."""
        while True:
            progress = self._receive()
            now = time.monotonic_ns()
            self._look(now)
            self._connect_again(now)
            self.engine.expire(now)
            while True:
                if self._outgoing is None:
                    self._outgoing = self.engine.next_message(now)
                if self._outgoing is None or not self._send(self._outgoing):
                    break
                self._outgoing, progress = None, True
            # ZeroMQ's descriptor tells of a change only once.
            if not progress and not self.dealer.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                return

    def say_goodbye(self) -> None:
        """And waits until the owner has heard it: 100 ms at most."""
        body, until = self.engine.goodbye(), time.monotonic_ns() + 100 * _MS
        if body is None or not self._send(body):
            return
        while self.engine.session and time.monotonic_ns() < until:
            self._receive()
            if self.engine.session:
                self.wait(until)

    def next_at(self) -> Optional[int]:
        """When pump is due again, nanoseconds; None: when a socket says so."""
        times = [time for time in (self.engine.deadline(),) if time is not None]
        if self.name is not None and not self.engine.is_connected:
            times.append(self._look_at)
        if self._again_at is not None:
            times.append(self._again_at)
        if self._outgoing is not None:
            times.append(time.monotonic_ns() + 10 * _MS)
        return min(times) if times else None

    def wait(self, until: Optional[int]) -> None:
        """Blocks until something has arrived or `until` (nanoseconds)."""
        timeout = -1 if until is None else max(0, math.ceil((until - time.monotonic_ns()) / _MS))
        zmq.zmq_poll([(self.dealer, zmq.POLLIN), (self.monitor, zmq.POLLIN)], timeout)


def _deadline(timeout: Optional[float], default: float) -> Optional[int]:
    seconds = default if timeout is None else timeout
    if seconds < 0 or math.isnan(seconds):
        raise ValueError("a time limit is not negative")
    return None if math.isinf(seconds) else time.monotonic_ns() + int(seconds * _S)


def _fields(text: bytes) -> List[Field]:
    """ "key:key, value:integer or bytes": a type may have commas of its own."""
    parts = re.split(r", (?=[\w-]+:)", text.decode("utf-8", "replace")) if text else []
    return [Field(*part.split(":", 1)) for part in parts]


def _operations(lists: List[List[Result]]) -> Dict[str, Operation]:
    """What a DESCRIBE answers."""
    return {values[1].decode(): Operation(values[0], values[1].decode(), values[2] == b"query", _fields(values[3]),
                                          _fields(values[4]), values[5].decode("utf-8", "replace"))
            for values in lists if len(values) >= 6}


def _names(lists: List[List[Result]]) -> Dict[str, Union[int, str]]:
    """What a STATUS answers."""
    values = lists[0] if lists else []
    return {name.decode(): value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for name, value in zip(values[::2], values[1::2])}


def _counters(lists: List[List[Result]]) -> Dict[str, Counter]:
    """What a STATS answers."""
    return {values[0].decode(): Counter(values[1], *(text.decode("utf-8", "replace") for text in values[2:6]))
            for values in lists}


def _text(value: Result) -> Optional[str]:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None


def _traced(values: List[Result]) -> Traced:
    """What SLOW and TRACED tell of a request."""
    if len(values) < 14 or not all(isinstance(values[i], int) for i in (*range(10), 11, 13)):
        raise _Unreadable
    wall, took, ran, together, pid, uid, session, sequence, revision, code, operation, count, key, size = values[:14]
    return Traced(wall / 1e6, took, ran, together, pid, uid, session & (1 << 64) - 1, sequence, revision,
                  CODES.get(code, (f"code-{code}",))[0], _text(operation), count, key, size)


def _latency(values: List[Result]) -> Latency:
    name, kind, unit, count, total, maximum, buckets = values[:7]
    return Latency(_text(name), _text(kind), _text(unit), count, total, maximum, list(zip(buckets[::2], buckets[1::2])))


def _connected(values: List[Result]) -> Connected:
    connection, pid, uid, key, program, messages, requests, sessions, connected, silent = values[:10]
    return Connected(connection, pid, uid, _text(key), _text(program), messages, requests, sessions, connected / 1000,
                     silent / 1000)


def _take_page(lists: List[List[Result]], make: Callable[[List[Result]], Any], into: List[Any], start: int) -> int:
    """Reads a page; returns where the next begins, 0: nowhere."""
    try:
        into.extend(make(values) for values in lists[1:])
        return lists[0][0] if lists[0][0] > start else 0
    except (IndexError, TypeError, ValueError):
        raise _error(_CODE["protocol"]) from None


def _hot(lists: List[List[Result]]) -> List[HotKey]:
    """What a HOT answers."""
    try:
        looked_at = max(lists[0][0], 1)
        return [HotKey(key, size, _text(operation), min(count / looked_at, 1.0), count, error)
                for key, size, operation, count, error in (values[:5] for values in lists[1:])]
    except (IndexError, TypeError, ValueError):
        raise _error(_CODE["protocol"]) from None


def _slow(lists: List[List[Result]]) -> List[Traced]:
    """What a SLOW answers."""
    try:
        return [_traced(values) for values in lists[1:]]
    except _Unreadable:
        raise _error(_CODE["protocol"]) from None


def _trace_filter(operation: Optional[str], key: Optional[Key], pid: int, slower: float) -> bytes:
    prefix = None if key is None else _as_bytes(key)
    if prefix is not None and len(prefix) > 64:
        raise ValueError("a key to trace has at most 64 bytes")
    if pid < 0 or slower < 0:
        raise ValueError("a process's id and a time are not negative")
    return _write_list([operation, prefix, pid, round(slower * _S)])


def _fate(lists: List[List[Result]], history: int) -> Fate:
    """What an OUTCOME answers."""
    try:
        number, code, revision = lists[0][:3]
        name, reason = _FATES[number], CODES.get(code, (f"code-{code}", "", ""))
        text = reason[2] if name in ("refused", "unknown") else ""
        if name == "refused" and len(lists) > 1:
            text = lists[1][1].decode("utf-8", "replace")
        return Fate(name, reason[0], revision, history, lists[1:] if name == "ran" and len(lists) > 1 else None, text)
    except (IndexError, TypeError, ValueError, AttributeError):
        raise _error(_CODE["protocol"]) from None


def _question(session: int, sequence: int) -> bytes:
    if session < 1 or sequence < 1:
        raise ValueError("a session and a sequence are numbers from 1 on, as in a Reply")
    return _write_list([_signed(session), sequence])


def _sessions(lists: List[List[Result]]) -> Tuple[Optional[int], List[Session]]:
    """What a SESSIONS answers: where the next page begins, or None, and the sessions of this one."""
    try:
        return lists[0][0], [Session(number % (1 << 64), uid, gid, pid, None if key is None else key.decode("utf-8", "replace"),
                                     commands, waiting, silent_ms / 1000, silence_ms / 1000, kept)
                             for number, uid, gid, pid, key, commands, waiting, silent_ms, silence_ms, kept
                             in (values[:10] for values in lists[1:])]
    except (IndexError, TypeError, ValueError, AttributeError):
        raise _error(_CODE["protocol"]) from None


def _session(session: int) -> bytes:
    if session < 1:
        raise ValueError("a session is a number from 1 on")
    return _write_list([_signed(session)])


def _is_read_only(lists: List[List[Result]]) -> bool:
    """What a READ_ONLY answers."""
    if not lists or not lists[0] or lists[0][0] not in (0, 1):
        raise _error(_CODE["protocol"])
    return lists[0][0] == 1


class _Backup:
    """A backup on its way into `file`: a path, or what has a write(). A path comes to be when all is on
    disk, and not before: until then it is PATH.tmp."""

    def __init__(self, file: Any) -> None:
        self._path = None if hasattr(file, "write") else os.fspath(file)
        self._file = file if self._path is None else open(self._unfinished(), "wb", opener=self._private)
        self._id = 1 + int.from_bytes(os.urandom(7), "little")
        self.size, self.over = 0, False

    def _unfinished(self) -> Any:
        return self._path + (".tmp" if isinstance(self._path, str) else b".tmp")

    @staticmethod
    def _private(path: Any, flags: int) -> int:
        return os.open(path, flags, 0o600)

    def payload(self) -> bytes:
        return _write_list([self._id, self.size])

    def take(self, lists: List[List[Result]]) -> None:
        try:
            _, size, part = lists[0][:3]
            after = self.size + len(part)
            if (size >= 0 and after > size) or (not part and after != size):
                raise ValueError
        except (IndexError, TypeError, ValueError):
            raise _error(_CODE["protocol"]) from None
        self._file.write(part)
        self.size, self.over = after, not part  # asking for what is behind the end tells that all has arrived

    def __enter__(self) -> _Backup:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._path is None:
            return
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                os.replace(self._unfinished(), self._path)
                folder = os.open(os.path.dirname(self._path) or (".", b".")[isinstance(self._path, bytes)], os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        finally:
            self._file.close()
            if kind is not None:
                os.unlink(self._unfinished())


def _page(reply: Reply) -> Page:
    values, cursor = reply.results[0][:2]
    entries = [Entry(*values[i:i + 3]) for i in range(0, len(values) - 2, 3)]
    return Page(entries, cursor, reply.revision, reply.history)


def _single(name: str, *arguments: Value) -> Request:
    return Request()._table(name, *arguments)


class _Shell:
    """What Client and AsyncClient have in common."""

    def __init__(self, owner: Optional[str], endpoint: Optional[str], timeout: float, window: int, silence: float,
                 program: Optional[str], on_session: Optional[Callable[[int], None]], server_key: Optional[str],
                 client_key: Optional[str]) -> None:
        _deadline(timeout, timeout)
        self._link = None
        self._timeout = timeout
        self._known: Optional[Dict[str, Operation]] = None
        self._known_of = 0  # the incarnation that described them
        self._link = _Link(owner, endpoint, program, window, silence, server_key, client_key)
        self._engine = self._link.engine
        if on_session is not None:
            self._engine.on_session = on_session

    @property
    def endpoint(self) -> str:
        """Where the owner is, or would be."""
        return self._link.endpoint if self._link is not None else ""

    @property
    def session(self) -> int:
        """The number of this client's session; 0: it has none (yet)."""
        return self._engine.session

    def _check_usable(self) -> None:
        if self._link is None:
            raise Refused(_CODE["closed"], "the client is closed")
        if self._link.pid != os.getpid():
            raise _error(_CODE["forked"])

    def _start(self, request: Request, deadline: Optional[int], operations: Optional[Dict[str, Operation]],
               done: Callable[[_Asked], None]) -> _Asked:
        payload, query = request.encode(operations)
        before = request._otherwise
        halves = None if before is None else (before, len(request) - before)
        return self._engine.submit(_RUN, payload, done, deadline=deadline, query=query, halves=halves,
                                   behaviour="table" if operations is None else "", operations=len(request))

    def _unlock_if_granted(self, name: bytes) -> Callable[[Reply], None]:
        """For a lock whose caller has gone: nobody would let go of it."""
        def let_go(_: Reply) -> None:
            try:
                self._start(_single("unlock", name), None, None, lambda asked: None)
            except SoleError:
                pass  # closing: the session ends, and the lock with it
        return let_go


def _outcome(asked: _Asked) -> Any:
    if isinstance(asked.outcome, SoleError):
        raise asked.outcome
    return asked.outcome


# ---- blocking ----

class Pending:
    """A request under way, of Client.submit."""

    def __init__(self, client: Client, asked: _Asked) -> None:
        self._client, self._asked = client, asked

    @property
    def done(self) -> bool:
        """Whether its answer is there. Does not wait."""
        return self._asked.state == _OVER or self._asked.ghost

    def result(self) -> Reply:
        """Waits for the answer: no longer than the request's time limit."""
        with self._client._inside():
            self._client._wait(lambda: self.done)
        return _outcome(self._asked)

    def cancel(self) -> bool:
        """Asks for its withdrawal and waits for the truth: True, it did not run and will not; False, it was
        answered, see result()."""
        with self._client._inside():
            self._client._engine.cancel(self._asked)
            self._client._wait(lambda: self.done)
        return isinstance(self._asked.outcome, Refused) and self._asked.outcome.code in (_CANCELLED, _EXPIRED)


class Lock:
    """A lock that is held: leave it with `with`, or release it. It ends with the client's session too, so
    with its process, however that ends."""

    def __init__(self, client: _Shell, name: bytes, token: int) -> None:
        self._client = client
        self.name = name
        #: grows with each holder; what the lock protects can demand it: Request.check_lock
        self.token = token
        self._session = client.session
        self._released = False

    @property
    def held(self) -> bool:
        """False once it was released, or the session was lost that it belongs to."""
        return not self._released and self._client.session == self._session

    def release(self) -> None:
        """Refused (conflict): the session was lost, and the lock with it. Nothing when it was released."""
        if not self._released:
            self._released = True
            self._client._release(self)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            self.release()
        except SoleError:
            if kind is None:
                raise


class Watch:
    """Events, each once and in order, over reconnects without a gap. Iterate, or take them with next().
    TooOld: the owner does not keep what came in between, and the watch is over."""

    def __init__(self, client: Client, place: _Place) -> None:
        self._client, self._place = client, place

    @property
    def began(self) -> Tuple[int, int]:
        """History and revision as of which it watches."""
        return self._place.began or (0, 0)

    @property
    def position(self) -> Tuple[int, int, int]:
        """(history, revision, index) of the next event: what another watch goes on from."""
        if self._place.queue:
            event = self._place.queue[0]
            return event.history, event.revision, event.index
        return self._place.position or (0, 0, 0)

    def next(self, timeout: Optional[float] = math.inf) -> Optional[Event]:
        """The next event; None when none came within `timeout` seconds."""
        client, place = self._client, self._place
        deadline = _deadline(timeout, client._timeout)
        with client._inside():
            event = client._engine.take_event(place)
            if event is None and place.error is None and place.state != _WATCH_OVER:
                client._wait(lambda: bool(place.queue) or place.state == _WATCH_OVER, deadline)
                event = client._engine.take_event(place)
        if event is None and place.error is not None:
            raise place.error
        return event

    def close(self) -> None:
        with self._client._inside():
            self._client._engine.drop_watch(self._place)
            self._client._link.pump()

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self.next()
            if event is None:
                return
            yield event

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._client._link is not None:
            self.close()


class Trace:
    """Requests as an owner runs them, over reconnects: what is not read in time is dropped. Iterate, or take
    them with next()."""

    def __init__(self, client: Client, place: _TracePlace) -> None:
        self._client, self._place = client, place

    @property
    def dropped(self) -> int:
        """How many have been dropped so far."""
        return self._place.dropped

    def next(self, timeout: Optional[float] = math.inf) -> Optional[Traced]:
        """The next request; None when none came within `timeout` seconds."""
        client, place = self._client, self._place
        deadline = _deadline(timeout, client._timeout)
        with client._inside():
            if not place.queue and place.state != _WATCH_OVER:
                client._wait(lambda: bool(place.queue) or place.state == _WATCH_OVER, deadline)
            if place.queue:
                return place.queue.popleft()
        if place.error is not None:
            raise place.error
        return None

    def close(self) -> None:
        with self._client._inside():
            self._client._engine.drop_trace(self._place)
            self._client._link.pump()

    def __iter__(self) -> Iterator[Traced]:
        while True:
            traced = self.next()
            if traced is None:
                return
            yield traced

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._client._link is not None:
            self.close()


class Client(_Shell):
    """Asks one owner, and waits for the answers.

    `owner` is its name, found as sole(1) says; `endpoint` ("ipc://...", "tcp://...") beats it, and with
    neither it is $SOLE_ENDPOINT. `timeout`: limit of each call that gives none, in seconds. `window`: most
    requests under way at once, up to 256. `silence`: seconds after which the owner ends the session when
    it hears nothing; a thread of the client's pings in time while the program does other things.
    `program`: told to the owner. `on_session` is called with the session's number when it has been
    opened, and with 0 when it was lost and what was bound to it, locks above all, is gone; it runs inside
    the client and may not call it. `server_key` and `client_key`: for an owner on tcp with CURVE, the file of its
    public key and that of a pair of one's own (`sole keygen`); else $SOLE_SERVER_KEY and $SOLE_CLIENT_KEY, and
    without either in the clear. Connecting goes on in the background: an owner that starts later
    is found.

    ValueError: arguments that cannot be right. Refused (system): no descriptors left.
    """

    def __init__(self, owner: Optional[str] = None, *, endpoint: Optional[str] = None, timeout: float = 5.0,
                 window: int = _WINDOW, silence: float = 30.0, program: Optional[str] = None,
                 on_session: Optional[Callable[[int], None]] = None, server_key: Optional[str] = None,
                 client_key: Optional[str] = None) -> None:
        super().__init__(owner, endpoint, timeout, window, silence, program, on_session, server_key, client_key)
        self._mutex, self._keeping = threading.Lock(), False
        self._held: Dict[bytes, Lock] = {}
        self._closed = threading.Event()
        self._keeper: Optional[threading.Thread] = None

    # -- inside --

    def _inside(self) -> _Inside:
        self._check_usable()
        return _Inside(self)

    def _wait(self, over: Callable[[], bool], deadline: Optional[int] = None) -> None:
        """Until it is over, or `deadline` (nanoseconds; None: never)."""
        link = self._link
        while True:
            link.pump()
            if over() or (deadline is not None and time.monotonic_ns() >= deadline):
                break
            times = [at for at in (link.next_at(), deadline) if at is not None]
            link.wait(min(times) if times else None)
        if self._keeper is None and self._engine.session:
            self._keeper = threading.Thread(target=_keep, args=(weakref.ref(self), self._closed), daemon=True,
                                            name="sole-keeper")
            self._keeper.start()

    def _ask(self, begin: Callable[[Callable[[_Asked], None]], _Asked],
             afterwards: Optional[Callable[[Reply], None]] = None) -> Any:
        with self._inside():
            asked = begin(lambda asked: None)
            asked.afterwards = afterwards
            try:
                self._wait(lambda: asked.state == _OVER or asked.ghost)
            except BaseException:  # KeyboardInterrupt: nobody waits for it any more
                self._engine.cancel(asked)
                asked.done = lambda asked: (afterwards(asked.outcome)
                                            if afterwards and isinstance(asked.outcome, Reply) else None)
                raise
        return _outcome(asked)

    def _do(self, name: str, *arguments: Value, timeout: Optional[float] = None) -> Any:
        reply = self.run(_single(name, *arguments), timeout=timeout)
        return _TABLE[name][2](reply.results[0])

    def _control(self, kind: int, timeout: Optional[float], payload: bytes = b"") -> List[List[Result]]:
        deadline = _deadline(timeout, self._timeout)
        return self._ask(lambda done: self._engine.submit(kind, payload, done, deadline=deadline))

    def _described(self, request: Request, timeout: Optional[float]) -> Optional[Dict[str, Operation]]:
        if not request._foreign:
            return None
        if self._known is None or self._known_of != self._engine.incarnation:
            self.operations(timeout=timeout)
        return self._known

    # -- asking --

    def run(self, request: Request, *, timeout: Optional[float] = None) -> Reply:
        """Runs the request: all of it or nothing."""
        operations = self._described(request, timeout)
        deadline = _deadline(timeout, self._timeout)
        return self._ask(lambda done: self._start(request, deadline, operations, done))

    def submit(self, request: Request, *, timeout: Optional[float] = None) -> Pending:
        """Starts the request and returns. Those started before this side next waits travel together; they
        run in the order in which they were started."""
        operations = self._described(request, timeout)
        deadline = _deadline(timeout, self._timeout)
        with self._inside():
            return Pending(self, self._start(request, deadline, operations, lambda asked: None))

    def call(self, operation: str, *arguments: Value, timeout: Optional[float] = None) -> List[Result]:
        """Any operation that the owner describes, by name. Its results."""
        return self.run(Request().call(operation, *arguments), timeout=timeout).results[0]

    def ping(self, *, timeout: Optional[float] = None) -> float:
        """Seconds until the owner answered."""
        begun = time.monotonic()
        self._control(_PING, timeout)
        return time.monotonic() - begun

    def status(self, *, timeout: Optional[float] = None) -> Dict[str, Union[int, str]]:
        """What the owner tells about itself."""
        return _names(self._control(_STATUS, timeout))

    def stats(self, *, timeout: Optional[float] = None) -> Dict[str, Counter]:
        """The owner's counters."""
        return _counters(self._control(_STATS, timeout))

    def latencies(self, *, timeout: Optional[float] = None) -> Dict[str, Latency]:
        """How long operations took that have run, and "round", "sync"; and "arrivals", messages in a round."""
        found: List[Latency] = []
        start, more = 0, True
        while more:
            start = _take_page(self._control(_LATENCIES, timeout, _write_list([start])), _latency, found, start)
            more = start > 0
        return {latency.name: latency for latency in found}

    def clients(self, *, timeout: Optional[float] = None) -> List[Connected]:
        """Who is connected. Refused (denied): it takes the right admin."""
        found: List[Connected] = []
        start, more = 0, True
        while more:
            start = _take_page(self._control(_CLIENTS, timeout, _write_list([start])), _connected, found, start)
            more = start > 0
        return found

    def hot(self, *, timeout: Optional[float] = None) -> List[HotKey]:
        """The keys asked for most, lately. Refused (denied): it takes the right admin."""
        return _hot(self._control(_HOT, timeout))

    def slow(self, *, reset: bool = False, timeout: Optional[float] = None) -> List[Traced]:
        """The slowest requests, slowest first; with `reset` the owner forgets them. Refused (denied): it takes
        the right admin."""
        return _slow(self._control(_SLOW, timeout, _write_list([int(reset)])))

    def operations(self, *, timeout: Optional[float] = None) -> Dict[str, Operation]:
        """What the owner offers, by name."""
        known = _operations(self._control(_DESCRIBE, timeout))
        self._known, self._known_of = known, self._engine.incarnation
        return known

    def outcome(self, session: int, sequence: int, *, timeout: Optional[float] = None) -> Fate:
        """What became of a command, of any session of this user's, also one that has ended: a Reply, or an
        Unknown, has the two numbers. Refused and Unknown are about the question."""
        return _fate(self._control(_OUTCOME, timeout, _question(session, sequence)), self._engine.history)

    def backup(self, file: Any, *, timeout: Optional[float] = None) -> int:
        """The whole state at one moment, as a snapshot that sole-owner(8) restores. `file`: a path, which comes to
        be when all is on disk, or what has a write(). `timeout` is for each part. How many bytes. Refused (conflict):
        the connection was lost in the middle; begin again."""
        with _Backup(file) as backup:
            while not backup.over:
                backup.take(self._control(_BACKUP, timeout, backup.payload()))
        return backup.size

    def sessions(self, *, timeout: Optional[float] = None) -> List[Session]:
        """Those that are open. Takes the right to administer, as do the next two."""
        cursor: Optional[int] = 0
        found: List[Session] = []
        while cursor is not None:
            cursor, page = _sessions(self._control(_SESSIONS, timeout, _write_list([cursor])))
            found += page
        return found

    def end_session(self, session: int, *, timeout: Optional[float] = None) -> None:
        """Ends it, whosever it is. Refused (conflict): there is none of that number (any more)."""
        self._control(_END_SESSION, timeout, _session(session))

    def read_only(self, wanted: Optional[bool] = None, *, timeout: Optional[float] = None) -> bool:
        """Has commands refused (read-only), or taken again; None: neither. Which it is now."""
        payload = b"" if wanted is None else _write_list([int(wanted)])
        return _is_read_only(self._control(_READ_ONLY, timeout, payload))

    # -- table --

    def get(self, key: Key, *, timeout: Optional[float] = None) -> Union[None, int, bytes]:
        """The value at a key, or None."""
        return self._do("get", _as_bytes(key), timeout=timeout)

    def get_many(self, keys: Sequence[Key], *, timeout: Optional[float] = None) -> List[Union[None, int, bytes]]:
        """The values at up to 255 keys, as of one moment, in their order."""
        return self._do("get-many", *_as_keys(keys), timeout=timeout)

    def put(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> bool:
        """Sets a key. Whether it was there."""
        return self._do("put", _as_bytes(key), value, timeout=timeout)

    def put_for(self, key: Key, value: Value, ms: int, *, timeout: Optional[float] = None) -> bool:
        """Sets a key that goes in `ms` milliseconds. Whether it was there."""
        return self._do("put-for", _as_bytes(key), value, ms, timeout=timeout)

    def insert(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> None:
        """Sets a key that is not there; else Conflict, with the value."""
        self._do("insert", _as_bytes(key), value, timeout=timeout)

    def replace(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> None:
        """Sets a key that is there; else Conflict."""
        self._do("replace", _as_bytes(key), value, timeout=timeout)

    def delete(self, key: Key, *, timeout: Optional[float] = None) -> bool:
        """Removes a key. Whether it was there."""
        return self._do("delete", _as_bytes(key), timeout=timeout)

    def add(self, key: Key, delta: int = 1, *, timeout: Optional[float] = None) -> int:
        """Adds to an integer, absent counting as 0. The sum. Refused: overflow, wrong-type."""
        return self._do("add", _as_bytes(key), delta, timeout=timeout)

    def cas(self, key: Key, expected: Value, new: Value, *, timeout: Optional[float] = None) -> None:
        """Sets a key if its value is `expected`; else Conflict, with the value. None: absent."""
        self._do("cas", _as_bytes(key), expected, new, timeout=timeout)

    def cas_revision(self, key: Key, revision: int, new: Value, *, timeout: Optional[float] = None) -> None:
        """Sets a key if its last change was at `revision` (0: absent); else Conflict, with the revision."""
        self._do("cas-revision", _as_bytes(key), revision, new, timeout=timeout)

    def count(self, *, timeout: Optional[float] = None) -> int:
        """How many keys there are."""
        return self._do("count", timeout=timeout)

    def scan(self, prefix: Key = b"", after: Optional[bytes] = None, limit: int = 0, *,
             timeout: Optional[float] = None) -> Page:
        """Entries whose keys begin with `prefix`, in order of keys: at most `limit` (0: 1000) and what fits
        into a message. Give the page's cursor as `after` for what follows."""
        return _page(self.run(Request().scan(prefix, after, limit), timeout=timeout))

    def items(self, prefix: Key = b"", *, timeout: Optional[float] = None) -> Iterator[Entry]:
        """All entries whose keys begin with `prefix`, page by page: each page is of one moment."""
        cursor = None
        while True:
            page = self.scan(prefix, cursor, timeout=timeout)
            yield from page.entries
            cursor = page.cursor
            if cursor is None:
                return

    def revision(self, key: Key, *, timeout: Optional[float] = None) -> Entry:
        """The entry at a key, with the revision of its last change (0: it is not there)."""
        return Entry(_as_bytes(key), *self._do("revision", _as_bytes(key), timeout=timeout))

    def expire(self, key: Key, ms: Optional[int], *, timeout: Optional[float] = None) -> bool:
        """Lets a key go in `ms` milliseconds; None: never. Whether it is there."""
        return self._do("expire", _as_bytes(key), ms, timeout=timeout)

    def ttl(self, key: Key, *, timeout: Optional[float] = None) -> Optional[int]:
        """Milliseconds until a key goes; None: it does not, or is not there."""
        return self._do("ttl", _as_bytes(key), timeout=timeout)

    def bind(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> bool:
        """Sets a key that goes when this client's session ends. Whether it was there."""
        return self._do("bind", _as_bytes(key), value, timeout=timeout)

    def check(self, key: Key, expected: Value, *, timeout: Optional[float] = None) -> None:
        """Conflict, with the value, unless it is `expected`."""
        self._do("check", _as_bytes(key), expected, timeout=timeout)

    def check_revision(self, key: Key, revision: int, *, timeout: Optional[float] = None) -> None:
        """Conflict, with the revision, unless the key's last change was at `revision`."""
        self._do("check-revision", _as_bytes(key), revision, timeout=timeout)

    # -- locks --

    def lock(self, name: Key, *, timeout: Optional[float] = None) -> Lock:
        """Waits for its turn, `timeout` seconds at most: `with client.lock("deploy") as lock: ...`.
        Refused: expired. A client that holds the lock already is refused (usage)."""
        return self._lock("lock", name, timeout)

    def try_lock(self, name: Key, *, timeout: Optional[float] = None) -> Lock:
        """The same without waiting: Conflict, with the holder's token, if it is held."""
        return self._lock("try-lock", name, timeout)

    def _lock(self, how: str, name: Key, timeout: Optional[float]) -> Lock:
        name = _as_bytes(name)
        held = self._held.get(name)
        if held is not None and held.held:
            raise Refused(_CODE["usage"], "this client holds the lock already")
        deadline = _deadline(timeout, self._timeout)
        reply = self._ask(lambda done: self._start(_single(how, name), deadline, None, done),
                          self._unlock_if_granted(name))
        lock = self._held[name] = Lock(self, name, reply.results[0][0])
        return lock

    def _release(self, lock: Lock) -> None:
        if self._held.get(lock.name) is lock:
            del self._held[lock.name]
        self._do("unlock", lock.name)

    def check_lock(self, name: Key, token: int, *, timeout: Optional[float] = None) -> None:
        """Conflict unless the lock is held with this token."""
        self._do("check-lock", _as_bytes(name), token, timeout=timeout)

    def holder(self, name: Key, *, timeout: Optional[float] = None) -> Holder:
        """Who holds a lock, and how many wait."""
        return Holder(*self._do("holder", _as_bytes(name), timeout=timeout))

    # -- watching --

    def watch(self, prefix: Key = b"", *, position: Optional[Tuple[int, int, int]] = None,
              timeout: Optional[float] = None) -> Watch:
        """Events whose keys begin with `prefix`, from now on or from (history, revision, index) on. Returns
        when the owner watches: what is done then is heard. TooOld: that is not kept any more."""
        deadline = _deadline(timeout, self._timeout)
        with self._inside():
            place = self._engine.add_watch(_as_bytes(prefix), position)
            try:
                self._wait(lambda: place.began is not None or place.error is not None, deadline)
            except BaseException:
                self._engine.drop_watch(place)
                raise
            if place.error is not None:
                raise place.error
            if place.began is None:
                self._engine.drop_watch(place)
                raise _error(_UNREACHABLE, text=self._engine.hindrance)
        return Watch(self, place)

    def trace(self, *, operation: Optional[str] = None, key: Optional[Key] = None, pid: int = 0, slower: float = 0.0,
              timeout: Optional[float] = None) -> Trace:
        """Requests as the owner runs them, of all clients: whose first operation this is, whose first key begins so,
        of that process, that took at least `slower` seconds. Returns when the owner traces. A client has one trace.
        Refused (denied): it takes the right admin."""
        payload = _trace_filter(operation, key, pid, slower)
        deadline = _deadline(timeout, self._timeout)
        with self._inside():
            place = self._engine.set_trace(payload)
            try:
                self._wait(lambda: place.begun > 0 or place.error is not None, deadline)
            except BaseException:
                self._engine.drop_trace(place)
                raise
            if place.error is not None:
                raise place.error
            if place.begun == 0:
                self._engine.drop_trace(place)
                raise _error(_CODE["unreachable"])
        return Trace(self, place)

    # -- the end --

    def close(self) -> None:
        """Says goodbye, so that the owner ends the session now: waits for at most 100 ms. What is under way is
        answered: Unknown (closed) if it may have run. A forked child's copy is only forgotten."""
        if self._link is None:
            return
        if self._link.pid != os.getpid():
            _inherited.append(self._link)
            self._link = None
            return
        with self._inside():
            link, self._link = self._link, None
            self._closed.set()
            link.say_goodbye()
            self._engine.clear(_CODE["closed"])
            link.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        link = getattr(self, "_link", None)
        if link is None or sys.is_finalizing():
            return
        if link.pid != os.getpid():
            _inherited.append(link)
            return
        self._closed.set()
        link.close()


class _Inside:
    """One thread at a time. The keeper's moments are waited for; another caller's are not."""
    __slots__ = ("client",)

    def __init__(self, client: Client) -> None:
        self.client = client

    def __enter__(self) -> None:
        client = self.client
        while not client._mutex.acquire(blocking=False):
            if not client._keeping:
                raise _error(_CODE["thread"])
            time.sleep(0.0005)
        if client._link is None:
            client._mutex.release()
            raise Refused(_CODE["closed"], "the client is closed")

    def __exit__(self, *_: Any) -> None:
        self.client._mutex.release()


def _keep(reference: weakref.ref, closed: threading.Event) -> None:
    """Keeps a session alive while the program does something else."""
    while True:
        client = reference()
        if client is None or client._link is None:
            return
        pause = max(client._engine._silence / _S / 6, 0.05)
        if client._mutex.acquire(blocking=False):
            client._keeping = True
            try:
                if client._link is not None:
                    client._link.pump()
            finally:
                client._keeping = False
                client._mutex.release()
        del client
        if closed.wait(pause):
            return


# ---- asyncio ----

class AsyncPending:
    """A request under way, of AsyncClient.submit. Await it for its Reply."""

    def __init__(self, client: AsyncClient, asked: _Asked, future: asyncio.Future) -> None:
        self._client, self._asked, self._future = client, asked, future

    @property
    def done(self) -> bool:
        """Whether its answer is there."""
        return self._asked.state == _OVER or self._asked.ghost

    async def result(self) -> Reply:
        """Waits for the answer. Cancelling who waits does not cancel the request."""
        await asyncio.shield(self._future)
        return _outcome(self._asked)

    def __await__(self) -> Any:
        return self.result().__await__()

    async def cancel(self) -> bool:
        """Asks for its withdrawal and waits for the truth: True, it did not run and will not; False, it was
        answered, see result()."""
        self._client._check_usable()
        self._client._engine.cancel(self._asked)
        self._client._soon()
        await asyncio.shield(self._future)
        return isinstance(self._asked.outcome, Refused) and self._asked.outcome.code in (_CANCELLED, _EXPIRED)


class _Local:
    """The line of this client's tasks before a lock's name. asyncio.wait_for around asyncio.Lock would do, but
    before Python 3.12 it may swallow a cancellation that comes as the lock does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self.taken = loop, False
        self._line: Deque[asyncio.Future] = deque()

    async def take(self, limit: Optional[float]) -> None:
        """Waits for `limit` seconds at most; then Refused (expired)."""
        if not self.taken:
            self.taken = True
            return
        turn = self._loop.create_future()
        self._line.append(turn)
        timer = None if limit is None else self._loop.call_later(
            limit, lambda: turn.done() or turn.set_exception(_error(_EXPIRED)))
        try:
            await turn
        except BaseException:
            if turn in self._line:
                self._line.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self.leave()  # its turn came as it was cancelled
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def leave(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.taken = False


class AsyncLock:
    """A lock that is held: see Lock. `async with client.lock("deploy") as lock: ...`, or await it and release."""

    def __init__(self, client: AsyncClient, name: bytes, token: int, local: _Local) -> None:
        self._client, self.name, self.token, self._local = client, name, token, local
        self._session, self._released = client.session, False

    @property
    def held(self) -> bool:
        """False once it was released, or the session was lost that it belongs to."""
        return not self._released and self._client.session == self._session

    async def release(self) -> None:
        """Refused (conflict): the session was lost, and the lock with it. Nothing when it was released."""
        if self._released:
            return
        self._released = True
        try:
            await self._client._do("unlock", self.name)
        finally:
            self._client._let_go(self.name, self._local)

    async def __aenter__(self) -> AsyncLock:
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            await self.release()
        except SoleError:
            if kind is None:
                raise


class _Locking:
    """What AsyncClient.lock returns: to be awaited, or entered."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin, self._lock = begin, None

    def __await__(self) -> Any:
        return self._begin().__await__()

    async def __aenter__(self) -> AsyncLock:
        self._lock = await self._begin()
        return self._lock

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        await self._lock.__aexit__(kind, error, trace)


class AsyncTrace:
    """Requests as an owner runs them: see Trace. `async with client.trace() as trace: async for ...`."""

    def __init__(self, client: AsyncClient, payload: bytes) -> None:
        self._client, self._payload, self._arrived = client, payload, asyncio.Event()
        self._place: Optional[_TracePlace] = None

    async def start(self) -> AsyncTrace:
        """Returns when the owner traces."""
        self._client._check_usable()
        place = self._place = self._client._engine.set_trace(self._payload)
        place.ready = self._arrived.set
        self._client._soon()
        try:
            while place.begun == 0 and place.error is None:
                self._arrived.clear()
                await self._arrived.wait()
        except asyncio.CancelledError:
            self.close()
            raise
        if place.error is not None:
            raise place.error
        return self

    @property
    def dropped(self) -> int:
        """How many have been dropped so far."""
        return self._place.dropped if self._place else 0

    def __aiter__(self) -> AsyncIterator[Traced]:
        return self

    async def __anext__(self) -> Traced:
        if self._place is None:
            await self.start()
        place = self._place
        while not place.queue:
            if place.error is not None:
                raise place.error
            if place.state == _WATCH_OVER:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return place.queue.popleft()

    def close(self) -> None:
        if self._place is not None and self._client._link is not None:
            self._client._engine.drop_trace(self._place)
            self._client._soon()
            self._arrived.set()

    async def __aenter__(self) -> AsyncTrace:
        return self if self._place is not None else await self.start()

    async def __aexit__(self, *_: Any) -> None:
        self.close()


class AsyncWatch:
    """Events, each once and in order: see Watch. `async with client.watch("jobs/") as watch: async for ...`."""

    def __init__(self, client: AsyncClient, prefix: bytes, position: Optional[Tuple[int, int, int]],
                 timeout: Optional[float]) -> None:
        self._client, self._place, self._arrived = client, None, asyncio.Event()
        self._prefix, self._position, self._timeout = prefix, position, timeout

    async def start(self) -> AsyncWatch:
        """Returns when the owner watches: what is done then is heard."""
        client = self._client
        client._check_usable()
        deadline = _deadline(self._timeout, client._timeout)
        place = self._place = client._engine.add_watch(self._prefix, self._position)
        place.ready = self._arrived.set
        client._soon()
        timer = None
        if deadline is not None:
            timer = client._loop.call_later(max(0.0, (deadline - time.monotonic_ns()) / _S), self._arrived.set)
        try:
            await self._arrived.wait()
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if place.error is not None:
            raise place.error
        if place.began is None:
            self.close()
            raise _error(_UNREACHABLE, text=client._engine.hindrance)
        return self

    @property
    def began(self) -> Tuple[int, int]:
        """History and revision as of which it watches."""
        return (self._place.began if self._place else None) or (0, 0)

    @property
    def position(self) -> Tuple[int, int, int]:
        """(history, revision, index) of the next event: what another watch goes on from."""
        return Watch.position.fget(self) if self._place else (0, 0, 0)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._place is None:
            await self.start()
        place, engine = self._place, self._client._engine
        while True:
            self._arrived.clear()
            event = engine.take_event(place)
            if event is not None:
                if place.state == _WATCH_IDLE:
                    self._client._soon()
                return event
            if place.error is not None:
                raise place.error
            if place.state == _WATCH_OVER:
                raise StopAsyncIteration
            await self._arrived.wait()

    def close(self) -> None:
        if self._place is not None and self._client._link is not None:
            self._client._engine.drop_watch(self._place)
            self._client._soon()
            self._arrived.set()

    async def __aenter__(self) -> AsyncWatch:
        return await self.start()

    async def __aexit__(self, *_: Any) -> None:
        self.close()


class AsyncClient(_Shell):
    """Client for asyncio: the same arguments, the same operations, awaited. Belongs to the event loop that
    runs when it is made; calls from elsewhere are refused (thread). What tasks ask for while a message is
    under way travels together in the next one. Cancelling a task withdraws what it waits for, if
    that has not run; to hear which it was, use submit() and cancel()."""

    def __init__(self, owner: Optional[str] = None, *, endpoint: Optional[str] = None, timeout: float = 5.0,
                 window: int = _WINDOW, silence: float = 30.0, program: Optional[str] = None,
                 on_session: Optional[Callable[[int], None]] = None, server_key: Optional[str] = None,
                 client_key: Optional[str] = None) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(owner, endpoint, timeout, window, silence, program, on_session, server_key, client_key)
        self._timer: Optional[asyncio.TimerHandle] = None
        self._scheduled = False
        self._locals: Dict[bytes, _Local] = {}
        self._descriptors = [self._link.dealer.getsockopt(zmq.FD), self._link.monitor.getsockopt(zmq.FD)]
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, self._pump)
        self._soon()

    # -- inside --

    def _check_usable(self) -> None:
        super()._check_usable()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not self._loop:
            raise Refused(_CODE["thread"], "the client belongs to another event loop")

    def _soon(self) -> None:
        """What is submitted until then travels together."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        if self._link is None or self._link.pid != os.getpid():
            return
        self._link.pump()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._link.next_at()
        if at is not None:
            self._timer = self._loop.call_later(max(0.0, (at - time.monotonic_ns()) / _S), self._pump)

    def _begin(self, begin: Callable[[Callable[[_Asked], None]], _Asked]) -> Tuple[_Asked, asyncio.Future]:
        self._check_usable()
        future = self._loop.create_future()
        asked = begin(lambda asked: future.done() or future.set_result(None))
        self._soon()
        return asked, future

    async def _ask(self, begin: Callable[[Callable[[_Asked], None]], _Asked],
                   afterwards: Optional[Callable[[Reply], None]] = None) -> Any:
        asked, future = self._begin(begin)
        asked.afterwards = afterwards
        try:
            await future
        except asyncio.CancelledError:
            if isinstance(asked.outcome, Reply):
                if afterwards is not None:
                    afterwards(asked.outcome)
            else:
                asked.done = lambda asked: (afterwards(asked.outcome)
                                            if afterwards and isinstance(asked.outcome, Reply) else None)
                self._engine.cancel(asked)
            if self._link is not None:
                self._soon()
            raise
        return _outcome(asked)

    async def _do(self, name: str, *arguments: Value, timeout: Optional[float] = None) -> Any:
        reply = await self.run(_single(name, *arguments), timeout=timeout)
        return _TABLE[name][2](reply.results[0])

    async def _control(self, kind: int, timeout: Optional[float], payload: bytes = b"") -> List[List[Result]]:
        deadline = _deadline(timeout, self._timeout)
        return await self._ask(lambda done: self._engine.submit(kind, payload, done, deadline=deadline))

    async def _described(self, request: Request, timeout: Optional[float]) -> Optional[Dict[str, Operation]]:
        if not request._foreign:
            return None
        if self._known is None or self._known_of != self._engine.incarnation:
            await self.operations(timeout=timeout)
        return self._known

    # -- asking --

    async def run(self, request: Request, *, timeout: Optional[float] = None) -> Reply:
        """Runs the request: all of it or nothing."""
        operations = await self._described(request, timeout)
        deadline = _deadline(timeout, self._timeout)
        return await self._ask(lambda done: self._start(request, deadline, operations, done))

    async def submit(self, request: Request, *, timeout: Optional[float] = None) -> AsyncPending:
        """Starts the request. Requests run in the order in which they were started."""
        operations = await self._described(request, timeout)
        deadline = _deadline(timeout, self._timeout)
        return AsyncPending(self, *self._begin(lambda done: self._start(request, deadline, operations, done)))

    async def call(self, operation: str, *arguments: Value, timeout: Optional[float] = None) -> List[Result]:
        """Any operation that the owner describes, by name. Its results."""
        return (await self.run(Request().call(operation, *arguments), timeout=timeout)).results[0]

    async def ping(self, *, timeout: Optional[float] = None) -> float:
        """Seconds until the owner answered."""
        begun = time.monotonic()
        await self._control(_PING, timeout)
        return time.monotonic() - begun

    async def status(self, *, timeout: Optional[float] = None) -> Dict[str, Union[int, str]]:
        """What the owner tells about itself."""
        return _names(await self._control(_STATUS, timeout))

    async def stats(self, *, timeout: Optional[float] = None) -> Dict[str, Counter]:
        """The owner's counters."""
        return _counters(await self._control(_STATS, timeout))

    async def latencies(self, *, timeout: Optional[float] = None) -> Dict[str, Latency]:
        """See Client.latencies."""
        found: List[Latency] = []
        start, more = 0, True
        while more:
            start = _take_page(await self._control(_LATENCIES, timeout, _write_list([start])), _latency, found, start)
            more = start > 0
        return {latency.name: latency for latency in found}

    async def clients(self, *, timeout: Optional[float] = None) -> List[Connected]:
        """See Client.clients."""
        found: List[Connected] = []
        start, more = 0, True
        while more:
            start = _take_page(await self._control(_CLIENTS, timeout, _write_list([start])), _connected, found, start)
            more = start > 0
        return found

    async def hot(self, *, timeout: Optional[float] = None) -> List[HotKey]:
        """See Client.hot."""
        return _hot(await self._control(_HOT, timeout))

    async def slow(self, *, reset: bool = False, timeout: Optional[float] = None) -> List[Traced]:
        """See Client.slow."""
        return _slow(await self._control(_SLOW, timeout, _write_list([int(reset)])))

    async def operations(self, *, timeout: Optional[float] = None) -> Dict[str, Operation]:
        """What the owner offers, by name."""
        known = _operations(await self._control(_DESCRIBE, timeout))
        self._known, self._known_of = known, self._engine.incarnation
        return known

    async def outcome(self, session: int, sequence: int, *, timeout: Optional[float] = None) -> Fate:
        """See Client.outcome."""
        return _fate(await self._control(_OUTCOME, timeout, _question(session, sequence)), self._engine.history)

    async def backup(self, file: Any, *, timeout: Optional[float] = None) -> int:
        """See Client.backup. Writing blocks the loop, a part of up to 512 KiB at a time."""
        with _Backup(file) as backup:
            while not backup.over:
                backup.take(await self._control(_BACKUP, timeout, backup.payload()))
        return backup.size

    async def sessions(self, *, timeout: Optional[float] = None) -> List[Session]:
        """See Client.sessions."""
        cursor: Optional[int] = 0
        found: List[Session] = []
        while cursor is not None:
            cursor, page = _sessions(await self._control(_SESSIONS, timeout, _write_list([cursor])))
            found += page
        return found

    async def end_session(self, session: int, *, timeout: Optional[float] = None) -> None:
        """See Client.end_session."""
        await self._control(_END_SESSION, timeout, _session(session))

    async def read_only(self, wanted: Optional[bool] = None, *, timeout: Optional[float] = None) -> bool:
        """See Client.read_only."""
        payload = b"" if wanted is None else _write_list([int(wanted)])
        return _is_read_only(await self._control(_READ_ONLY, timeout, payload))

    # -- table --

    async def get(self, key: Key, *, timeout: Optional[float] = None) -> Union[None, int, bytes]:
        """See Client.get, and so for the others."""
        return await self._do("get", _as_bytes(key), timeout=timeout)

    async def get_many(self, keys: Sequence[Key], *,
                       timeout: Optional[float] = None) -> List[Union[None, int, bytes]]:
        return await self._do("get-many", *_as_keys(keys), timeout=timeout)

    async def put(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> bool:
        return await self._do("put", _as_bytes(key), value, timeout=timeout)

    async def put_for(self, key: Key, value: Value, ms: int, *, timeout: Optional[float] = None) -> bool:
        return await self._do("put-for", _as_bytes(key), value, ms, timeout=timeout)

    async def insert(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> None:
        await self._do("insert", _as_bytes(key), value, timeout=timeout)

    async def replace(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> None:
        await self._do("replace", _as_bytes(key), value, timeout=timeout)

    async def delete(self, key: Key, *, timeout: Optional[float] = None) -> bool:
        return await self._do("delete", _as_bytes(key), timeout=timeout)

    async def add(self, key: Key, delta: int = 1, *, timeout: Optional[float] = None) -> int:
        return await self._do("add", _as_bytes(key), delta, timeout=timeout)

    async def cas(self, key: Key, expected: Value, new: Value, *, timeout: Optional[float] = None) -> None:
        await self._do("cas", _as_bytes(key), expected, new, timeout=timeout)

    async def cas_revision(self, key: Key, revision: int, new: Value, *, timeout: Optional[float] = None) -> None:
        await self._do("cas-revision", _as_bytes(key), revision, new, timeout=timeout)

    async def count(self, *, timeout: Optional[float] = None) -> int:
        return await self._do("count", timeout=timeout)

    async def scan(self, prefix: Key = b"", after: Optional[bytes] = None, limit: int = 0, *,
                   timeout: Optional[float] = None) -> Page:
        return _page(await self.run(Request().scan(prefix, after, limit), timeout=timeout))

    async def items(self, prefix: Key = b"", *, timeout: Optional[float] = None) -> AsyncIterator[Entry]:
        cursor = None
        while True:
            page = await self.scan(prefix, cursor, timeout=timeout)
            for entry in page.entries:
                yield entry
            cursor = page.cursor
            if cursor is None:
                return

    async def revision(self, key: Key, *, timeout: Optional[float] = None) -> Entry:
        return Entry(_as_bytes(key), *await self._do("revision", _as_bytes(key), timeout=timeout))

    async def expire(self, key: Key, ms: Optional[int], *, timeout: Optional[float] = None) -> bool:
        return await self._do("expire", _as_bytes(key), ms, timeout=timeout)

    async def ttl(self, key: Key, *, timeout: Optional[float] = None) -> Optional[int]:
        return await self._do("ttl", _as_bytes(key), timeout=timeout)

    async def bind(self, key: Key, value: Value, *, timeout: Optional[float] = None) -> bool:
        return await self._do("bind", _as_bytes(key), value, timeout=timeout)

    async def check(self, key: Key, expected: Value, *, timeout: Optional[float] = None) -> None:
        await self._do("check", _as_bytes(key), expected, timeout=timeout)

    async def check_revision(self, key: Key, revision: int, *, timeout: Optional[float] = None) -> None:
        await self._do("check-revision", _as_bytes(key), revision, timeout=timeout)

    # -- locks --

    def lock(self, name: Key, *, timeout: Optional[float] = None) -> _Locking:
        """See Client.lock. Tasks that share this client exclude one another too."""
        return _Locking(lambda: self._lock("lock", name, timeout))

    def try_lock(self, name: Key, *, timeout: Optional[float] = None) -> _Locking:
        """See Client.try_lock."""
        return _Locking(lambda: self._lock("try-lock", name, timeout))

    async def _lock(self, how: str, name: Key, timeout: Optional[float]) -> AsyncLock:
        # To the owner all tasks are one session, which holds a lock or does not.
        self._check_usable()
        name = _as_bytes(name)
        deadline = _deadline(timeout, self._timeout)
        local = self._locals.setdefault(name, _Local(self._loop))
        if how == "try-lock" and local.taken:
            raise Conflict(_CONFLICT, "the lock is held by a task that shares this client")
        await local.take(None if deadline is None else max(0.0, (deadline - time.monotonic_ns()) / _S))
        try:
            reply = await self._ask(lambda done: self._start(_single(how, name), deadline, None, done),
                                    self._unlock_if_granted(name))
        except BaseException:
            self._let_go(name, local)
            raise
        return AsyncLock(self, name, reply.results[0][0], local)

    def _let_go(self, name: bytes, local: _Local) -> None:
        local.leave()
        if not local.taken and self._locals.get(name) is local:
            del self._locals[name]

    async def check_lock(self, name: Key, token: int, *, timeout: Optional[float] = None) -> None:
        await self._do("check-lock", _as_bytes(name), token, timeout=timeout)

    async def holder(self, name: Key, *, timeout: Optional[float] = None) -> Holder:
        return Holder(*await self._do("holder", _as_bytes(name), timeout=timeout))

    # -- watching --

    def watch(self, prefix: Key = b"", *, position: Optional[Tuple[int, int, int]] = None,
              timeout: Optional[float] = None) -> AsyncWatch:
        """See Client.watch."""
        return AsyncWatch(self, _as_bytes(prefix), position, timeout)

    def trace(self, *, operation: Optional[str] = None, key: Optional[Key] = None, pid: int = 0, slower: float = 0.0) -> AsyncTrace:
        """See Client.trace: `async for traced in client.trace(): ...`."""
        return AsyncTrace(self, _trace_filter(operation, key, pid, slower))

    # -- the end --

    async def close(self) -> None:
        """See Client.close."""
        if self._link is None:
            return
        if self._link.pid != os.getpid():
            _inherited.append(self._link)
            self._link = None
            return
        self._check_usable()
        link, self._link = self._link, None
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
        if self._timer is not None:
            self._timer.cancel()
        link.say_goodbye()
        self._engine.clear(_CODE["closed"])
        link.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
