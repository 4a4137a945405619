"""The daemon's settings: every field of ``tailor.toml``, its default and its bounds. ``docs/daemon.md`` has them for people."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from tailor.client import Name

# The upper bounds are there so that nothing overflows, and infinity is refused.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=10**15)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=10**15)]
Workers: TypeAlias = Annotated[int, Meta(ge=1, le=1024)]
Processes: TypeAlias = Annotated[int, Meta(ge=0, le=1024)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=10**9)]
Period: TypeAlias = Annotated[float, Meta(gt=0, le=10**9)]
Share: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
FilePath: TypeAlias = Annotated[str, Meta(pattern=r"^[^\0]+$", description="A path")]
StorePlace: TypeAlias = Annotated[str, Meta(pattern=r"^[^\0]+$", description="A folder, a file or a URL")]
Clock: TypeAlias = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description='A local time of day, such as "22:30"')]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Conditions(Table, frozen=True):
    """``[updates.conditions]``: what must hold around the machine while updates run. ``quiet``: from, to, when nothing runs."""

    external_power: bool = False
    network: bool = False
    idle: bool = False
    least_battery: Annotated[float, Meta(ge=0, le=1)] | None = None
    quiet: tuple[Clock, Clock] | None = None


class Guard(Table, frozen=True):
    """``[updates.guard]``: when an update is taken, as ``MLUpdateGuard`` has it. ``hold_out``: of so many examples at least."""

    hold_out: Share = 0.2
    margin: Annotated[float, Meta(ge=0, le=10**9)] = 0.0
    metric: Literal["accuracy", "loss"] | None = None
    least_examples: Positive = 5


class Updates(Table, frozen=True):
    """``[updates]``, and ``[models.NAME.updates]`` for one model: when an update is made, and how.

    ``examples``       as soon as so many wait; 0: not by their number.
    ``interval``       so many seconds after the first that waits came; 0: not by time.
    ``most_examples``  that one update takes, the oldest first.
    ``learn_from``     ``"new"`` examples, or ``"all"`` that are kept (``[examples] keep_learned``), the older ones in front.
    ``budget``         seconds of work that a stretch may have before others go; 0: no end.
    ``parameters``     as ``MLParameterKey`` prints: ``epochs = 5``.
    """

    examples: Count = 10
    interval: Seconds = 0.0
    most_examples: Positive = 1000
    learn_from: Literal["new", "all"] = "new"
    budget: Seconds = 0.0
    checkpoint_seconds: Period = 5.0
    attempts: Positive = 3
    parameters: dict[str, Any] = {}
    conditions: Conditions = Conditions()
    guard: Guard | None = None


class Model(Table, frozen=True):
    """``[models.NAME]``: a model that is registered when the daemon starts.

    ``updates``: in place of ``[updates]``, field by field; those that the file leaves out are filled in when it is read.
    """

    path: FilePath
    updates: Updates | None = None


class Watch(Table, frozen=True):
    """``[watch.NAME]``: a folder whose new files become examples. ``then``: what becomes of a file whose examples are kept."""

    folder: FilePath
    model: Name
    user: Name
    then: Literal["keep", "remove"] = "keep"
    settle: Seconds = 1.0


class Remote(Table, frozen=True):
    """``[[sync.remotes]]``: another store, as ``tailor sync`` has it."""

    place: StorePlace
    key_file: FilePath | None = None
    direction: Literal["both", "push", "pull"] = "both"


class Sync(Table, frozen=True):
    """``[sync]``: with whom, after every update that was kept, and every so many seconds (0: not by time)."""

    remotes: list[Remote] = []
    after_updates: bool = True
    interval: Seconds = 0.0


class Examples(Table, frozen=True):
    """``[examples]``. ``keep_learned``: their content is kept once a version has learned them; otherwise only their ids are."""

    keep_learned: bool = False


class Limits(Table, frozen=True):
    """``[limits]``: of one user, and of all together.

    ``updates``: ended ones that are told of, of one user of one model; not so few that one is gone while a backup is made.
    """

    examples_per_user: Positive = 100_000
    bytes_per_user: Positive = 1 << 30
    models_per_user: Positive = 100
    users: Positive = 1_000_000
    models: Positive = 1000
    bytes: Positive = 100 << 30
    model_bytes: Positive = 1 << 30
    example_bytes: Positive = 16 << 20
    pixels: Positive = 1 << 24
    models_in_memory: Positive = 64
    bytes_in_memory: Positive = 512 << 20
    waiting_predictions: Positive = 256
    events: Positive = 100_000
    updates: Annotated[int, Meta(ge=100, le=10**15)] = 1000


class Http(Table, frozen=True):
    """``[http]``: who may ask, and how much. ``port``: TCP on loopback, with a token; ``None``: only the socket.

    ``body_bytes``: nobody else is answered while a body is decoded, which no other thread would change: 10 ms a MiB of numbers.
    """

    socket: FilePath | None = None
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    body_bytes: Positive = 16 << 20
    connections: Positive = 2000
    request_seconds: Period = 30.0


class Log(Table, frozen=True):
    """``[log]``. ``auto``: for journald where that listens, text at a terminal, JSON lines otherwise."""

    format: Literal["auto", "text", "json", "journald"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Table, frozen=True):
    """The file. Paths that are not absolute are within the folder that it stands in; ``None``: the system's place for it.

    ``state``: the folder of all that the daemon must not forget, but for ``store``, where versions of models are kept.
    """

    state: FilePath | None = None
    store: StorePlace | None = None
    key_file: FilePath | None = None
    device: Annotated[str, Meta(max_length=200)] = ""
    workers: Workers = 1
    processes: Processes = 0
    stop_seconds: Period = 30.0
    updates: Updates = Updates()
    examples: Examples = Examples()
    models: dict[Name, Model] = field(default_factory=dict)
    watch: dict[Name, Watch] = field(default_factory=dict)
    sync: Sync = Sync()
    limits: Limits = Limits()
    http: Http = Http()
    log: Log = Log()
