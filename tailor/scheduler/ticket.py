"""A ticket: what the holder of a job takes its turns with, and waits for its end by."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio
import anyio.lowlevel

from .budget import Allowance, Budget
from .cost import CHECKPOINT, Costs, Estimate
from .errors import JobCancelled, LaneLost, SchedulerClosed, SchedulerError, TurnWithdrawn
from .job import Job
from .lanes import Lane
from .retry import Retry
from .turn import Entry, Standing, Turn

if TYPE_CHECKING:
    from .scheduler import Scheduler

Result = TypeVar("Result")


class Ticket(Generic[Result]):
    """A job that a scheduler has taken on.

    Either it has ``work``, which the scheduler runs when its turn comes, and ``await ticket`` gives what that returned or raises
    what it raised; or whoever holds the ticket takes turns (``async with ticket.turn()``) and says when the job has ended (``finish``).
    """

    __slots__ = (
        "_done", "_entry", "_failure", "_news", "_refusal", "_result", "_scheduler", "_stint", "attempts", "awaited", "cancelled",
        "losses", "retry", "work",
    )  # fmt: skip

    def __init__(self, scheduler: Scheduler, entry: Entry, work: Callable[[], Result] | None, retry: Retry | None) -> None:
        self.work = work
        self.retry = retry
        self.attempts = self.losses = 0  # how often its work failed, and how often what it ran on was lost
        self.awaited = False
        self.cancelled = False
        self._scheduler = scheduler
        self._entry = entry
        self._stint: Stint | None = None  # that waits, or is at work
        self._news: anyio.Event | None = None  # for whoever waits for a turn
        self._done: anyio.Event | None = None  # for whoever waits for the end
        self._refusal: SchedulerError | None = None  # why there is no turn now
        self._failure: BaseException | None = None
        self._result: Result | None = None

    def __repr__(self) -> str:
        return f"<Ticket {self.identifier!r} {self.standing.value}>"

    @property
    def identifier(self) -> str:
        """Names the job."""
        return self._entry.job.identifier

    @property
    def job(self) -> Job:
        """The job as it is now."""
        return self._entry.job

    @property
    def standing(self) -> Standing:
        """Where the job stands."""
        return self._entry.standing

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self._entry.standing is Standing.FINISHED

    @property
    def reserve(self) -> float:
        """Seconds of its budget that the job keeps for what comes after its last step, such as a checkpoint."""
        return self._entry.reserve

    @reserve.setter
    def reserve(self, seconds: float) -> None:
        self._entry.reserve = seconds

    @property
    def steps_left(self) -> float | None:
        """How many steps are still to come, where the holder has said so; forecasts are made from it."""
        return self._entry.steps_left

    @steps_left.setter
    def steps_left(self, steps: float | None) -> None:
        self._entry.steps_left = steps

    def turn(self) -> Stint:
        """``async with ticket.turn() as turn``: waits for the job's next turn, which ends with the block.

        Raises ``BudgetExhausted`` where its budget has no room for a step, ``JobCancelled`` where the job was cancelled,
        ``DependencyFailed`` where it comes after one that failed.
        """
        return Stint(self)

    def renew(self, budget: Budget) -> None:
        """Gives the job another budget, of which nothing is spent yet."""
        if not self.finished:
            self._scheduler._renew(self, budget)

    def cancel(self) -> bool:
        """Ends the job where it waits; asks for its turn back where it has one, whose work then counts for nothing. Whether it had not
        ended before."""
        return self._scheduler.cancel(self.identifier)

    @property
    def costs(self) -> Costs:
        """What the scheduler has learned of the cost of steps."""
        return self._scheduler.costs

    @property
    def checkpoint_cost(self) -> Estimate | None:
        """What it takes to write the job's state down; ``None`` where that was not done yet."""
        return self._scheduler.costs.of(self.job.model, CHECKPOINT)

    @property
    def left(self) -> Allowance:
        """What is left of the job's budget now."""
        return self._entry.job.budget.left(self._entry.spent, self._scheduler.clock())

    def checkpointed(self, seconds: float, where: str = "") -> None:
        """Says that the job's state was written down, in ``seconds``: so long has to be left of a budget for it."""
        self._scheduler._checkpointed(self, seconds, where)

    def withdraw(self) -> None:
        """Lets whoever waits for a turn of this job wait no longer: it gets ``TurnWithdrawn``. Does nothing where nobody does."""
        if self._news is not None and self._entry.turn is None:
            self._scheduler.dispatcher.rest(self.identifier, self._scheduler.clock())
            self._refusal = TurnWithdrawn(f"job {self.identifier!r}: the turn is no longer wanted")
            self._tell()

    def hold(self, seconds: float, why: str = "") -> None:
        """Gives the job, which rests, no turn for so long; ``why``, in words."""
        if not self.finished:
            self._scheduler.dispatcher.hold(self.identifier, self._scheduler.clock() + seconds, why)

    def exclude(self, lane: str) -> bool:
        """Lets the job, which rests, use a lane no more; whether there is another one for it, or else it keeps the lane."""
        return not self.finished and self._scheduler.dispatcher.exclude(self.identifier, lane)

    def finish(self, error: BaseException | None = None) -> None:
        """Says that the job has ended, well or with ``error``; it has no turn then. Does nothing where it has ended before."""
        self._scheduler._finish(self, error)

    def __await__(self) -> Generator[Any, Any, Result]:
        return self._wait().__await__()

    async def _wait(self) -> Result:
        if not self.finished:
            self._done = self._done or anyio.Event()
            await self._done.wait()
        else:
            await anyio.lowlevel.checkpoint()
        return self._outcome()

    async def _await_turn(self, stint: Stint) -> None:
        """Lets the holder wait for its turn; raises where there is none to come."""
        scheduler = self._scheduler
        if self.finished:
            raise self._failure or SchedulerClosed(f"job {self.identifier!r}: expected one that has not ended, got one that has")
        if scheduler._group is None:
            scheduler._check_running()
        if self._stint is not None or self.work is not None:
            raise SchedulerError(f"job {self.identifier!r}: expected one turn at a time, got another one")
        self._stint, self._refusal = stint, None
        scheduler._ask(self.identifier, scheduler.clock())
        if stint._turn is None and self._refusal is None and not self.finished:
            await self._hear(stint)
        if stint._turn is None:
            self._stint = None
            raise self._refusal or self._failure or SchedulerClosed(f"job {self.identifier!r} has ended")

    async def _hear(self, stint: Stint) -> None:
        """Waits for a turn, or for why there is none; gives up both where the caller is cancelled."""
        self._news = anyio.Event()
        try:
            await self._news.wait()
        except BaseException:
            if stint._turn is not None:
                stint.used(0.0, 0)
                self._scheduler._leave_turn(self, stint)
            elif not self.finished:
                self._scheduler.dispatcher.rest(self.identifier, self._scheduler.clock())
            self._stint = None
            raise
        finally:
            self._news = None

    def _outcome(self) -> Result:
        if self._failure is not None:
            raise self._failure
        return cast(Result, self._result)  # None where the work gave None

    def _tell(self) -> None:
        """Lets whoever waits for a turn look again."""
        if self._news is not None:
            self._news.set()


class Stint:
    """One turn of a job, as its holder has it: a block of ``async with``.

    ``lane``, ``lane_name``: where the work runs. ``steps`` and ``seconds``: what may be used of the budget at most; ``step``: seconds
    that a step takes at most, 0 where nobody knows. ``threads``: how many the work may use.
    ``interrupt``: set by the holder; called when the turn should be given back at the next boundary. ``yields`` says whether that
    is so, ``why`` for what reason. What ``interrupt`` raises comes out of the holder's own block.
    """

    __slots__ = ("_fault", "_learned", "_seconds", "_steps", "_ticket", "_turn", "interrupt")

    def __init__(self, ticket: Ticket[Any]) -> None:
        self._ticket = ticket
        self._turn: Turn | None = None
        self._seconds: float | None = None
        self._steps = 0
        self._learned: tuple[float, int] | None = None
        self._fault: Exception | None = None
        self.interrupt: Callable[[], None] | None = None

    async def __aenter__(self) -> Stint:
        await self._ticket._await_turn(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._ticket._scheduler._leave_turn(self._ticket, self)
        if self._fault is not None and error is None:
            raise self._fault

    @property
    def turn(self) -> Turn:
        """The turn, once it has begun."""
        assert self._turn is not None, "a turn is asked of inside its block"
        return self._turn

    @property
    def lane_name(self) -> str:
        """The lane's name."""
        return self.turn.lane

    @property
    def lane(self) -> Lane:
        """Where the work runs."""
        return self._ticket._scheduler.lanes[self.turn.lane]

    @property
    def steps(self) -> float:
        """How many steps may be begun at most."""
        return self.turn.steps

    @property
    def seconds(self) -> float:
        """Seconds in which the turn has to end."""
        return self.turn.seconds

    @property
    def step(self) -> float:
        """Seconds in which a step will almost surely have ended; 0 where nobody knows."""
        return self.turn.step

    @property
    def threads(self) -> int:
        """How many threads the work may use."""
        return self.turn.threads

    @property
    def yields(self) -> bool:
        """Whether the turn should be given back at the next boundary."""
        return self.turn.yields

    @property
    def why(self) -> str:
        """Why it should."""
        return self.turn.why

    def used(self, seconds: float, steps: int, learned: tuple[float, int] | None = None) -> None:
        """Says what was used of the budget; without, it is the time that the block took, and no step.

        ``learned``: the seconds and steps that tell what a step takes, where these are not all. Raises ``ValueError`` for less than
        nothing.
        """
        for some, many in ((seconds, steps), learned or (0.0, 0)):
            if not (0 <= some < math.inf and many >= 0):
                raise ValueError(f"job {self._ticket.identifier!r}: used: expected 0 seconds and steps or more, got {some!r} and {many!r}")
        self._seconds, self._steps, self._learned = seconds, steps, learned

    def lose(self, error: LaneLost) -> None:
        """Says that the lane was lost under the work: where it is a device, the job goes on elsewhere."""
        self._ticket._scheduler._lost(self.lane_name, error, self._ticket)

    def _ask_back(self) -> None:
        """Asks the holder for the turn."""
        if self.interrupt is not None:
            try:
                self.interrupt()
            except Exception as error:  # whoever happens to decide just now has nothing to do with it
                self._fault = error

    def check(self) -> None:
        """Raises ``JobCancelled`` where the job was cancelled meanwhile."""
        if self._ticket.cancelled:
            raise JobCancelled(f"job {self._ticket.identifier!r} was cancelled")
