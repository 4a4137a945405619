"""Who gets which lane now: every decision of the scheduler, over plain records, with the time as an argument.

``Scheduler`` awaits around it, ``simulate`` drives it on a clock of its own. A job that was submitted rests until it asks for
a turn; a turn is one stretch of work on one lane, and ends with what was used of it. After anything that happens,
``decide`` says what begins, and ``next_time`` when it has to be asked again at the latest.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from heapq import heappop, heappush

from .budget import EVERYTHING, NOTHING_SPENT, Budget, EnergyClass, steps_that_fit
from .conditions import Surroundings
from .cost import Costs, Estimate
from .errors import DependencyFailed
from .job import NO_CONDITIONS, Job
from .place import place
from .preempt import in_the_way
from .queue import Queue
from .tally import Tally
from .turn import Blocker, Decisions, Entry, Shortage, Standing, Turn

REMEMBERED = 10_000
"""Of how many finished jobs the outcome is known, so that others may come after them."""

CORES = "cores"
"""What keeps a job whose lane has room, where no core is free."""

ON_BATTERY = "on battery"

WITHOUT_CORES = ("background", "gpu")
"""How the names of lanes begin whose turns leave the processor's cores to others: they wait, for an event or for a device."""


class Dispatcher:
    """The jobs, the lanes and what is free of them.

    ``lanes``: how many turns each has at a time. ``cores``: how many threads all turns together may have, on lanes that compute here.
    ``limits``: how many jobs of a tag may be at work at a time. ``weights``: of shares, as ``Queue`` has them.
    Raises ``ValueError`` for what makes no sense.
    """

    def __init__(
        self,
        lanes: Mapping[str, int],
        *,
        cores: int = 1,
        limits: Mapping[str, int] | None = None,
        weights: Mapping[str, float] | None = None,
        costs: Costs | None = None,
        around: Surroundings | None = None,
    ) -> None:
        most = {f"lane {name!r}": size for name, size in lanes.items()} | {"cores": cores}
        for what, number in (most | {f"limit of tag {tag!r}": size for tag, size in (limits or {}).items()}).items():
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"dispatcher: {what}: expected a whole number of at least 1, got {number!r}")
        self.costs = costs if costs is not None else Costs()
        self.cores = self.free_cores = cores
        self.capacity = dict(lanes)
        self.limits = dict(limits or {})
        self.around = around if around is not None else Surroundings()
        self.queue = Queue(weights, self._kind)
        self.tally = Tally()
        self.watch: Callable[[Entry, Standing, float], None] | None = None  # is told before a job stands elsewhere
        self.busy: Counter[str] = Counter()
        self.tagged: Counter[str] = Counter()
        self.turns: dict[str, Turn] = {}
        self._entries: dict[str, Entry] = {}
        self._outcomes: OrderedDict[str, bool] = OrderedDict()
        self._after: dict[str, set[str]] = {}
        self._times: list[tuple[float, int, str]] = []
        self._serial = self._number = 0  # not counters of itertools: those cannot be copied
        self._exhausted: list[str] = []
        self._stranded: list[str] = []
        self._pressed: list[Turn] = []
        self._sparing: dict[str, None] = {}  # jobs that were held to spare the battery
        self._placed: str | None = None  # the lane for the job that was looked at last, where nothing keeps it
        self._lacking: set[Blocker] = set()  # what kept jobs in the present decision that lack a place
        self._short: dict[str, set[Blocker]] = {}  # of each lane, and of the cores, what keeps the jobs that lack them

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry(self, identifier: str) -> Entry | None:
        """What is known of a job; ``None`` where it is not, or has finished."""
        return self._entries.get(identifier)

    def outcome(self, identifier: str) -> bool | None:
        """Whether a job has ended well; ``None`` where it has not ended, or long ago."""
        return self._outcomes.get(identifier)

    def submit(self, job: Job, now: float, *, narrow: bool = False) -> Entry:
        """Takes on a job, which rests. ``narrow``: its turns have one core each.

        Raises ``ValueError`` where one of its identifier is there already, where it may use none of the lanes, and where it
        comes after a job that nobody knows; ``DependencyFailed`` where one that it comes after has ended badly.
        """
        if not isinstance(job, Job):
            raise ValueError(f"dispatcher: expected a Job, got {job!r}")
        if job.identifier in self._entries:
            raise ValueError(f"job {job.identifier!r}: expected an identifier that is not in use, got one that is")
        if self.capacity.keys().isdisjoint(job.lanes):
            there = ", ".join(map(repr, self.capacity))
            raise ValueError(f"job {job.identifier!r}: lanes: expected one of {there}, got {', '.join(map(repr, job.lanes))}")
        awaits: set[str] | None = None
        for other in job.after:
            if other in self._entries:
                awaits = (awaits or set()) | {other}
            elif other not in self._outcomes:
                raise ValueError(f"job {job.identifier!r}: after: expected jobs that were submitted, got {other!r}")
            elif not self._outcomes[other]:
                raise DependencyFailed(f"job {job.identifier!r} comes after {other!r}, which did not end well")
        deadline = job.deadline
        if job.budget.deadline < deadline:
            job = replace(job, deadline=job.budget.deadline)
        self._number += 1
        entry = Entry(job, self._number, now, since=now, awaits=awaits, deadline=deadline, narrow=narrow)
        self._entries[job.identifier] = entry
        for other in awaits or ():
            self._after.setdefault(other, set()).add(job.identifier)
        self.tally.submit(now)
        return entry

    def ask(self, identifier: str, now: float) -> None:
        """Lets a resting job ask for a turn."""
        entry = self._entries[identifier]
        if entry.standing is not Standing.RESTING:
            raise ValueError(f"job {identifier!r}: expected one that rests, got one that is {entry.standing.value}")
        entry.short = None
        if self._expire(entry, now):
            return
        if entry.awaits or entry.job.not_before > now or entry.held_until > now:
            self._stand(entry, Standing.HELD, now)
            if entry.not_before > now:
                self._at(entry.not_before, identifier)
        else:
            self.queue.add(entry.job, entry.number)
            self._stand(entry, Standing.WAITING, now)
            if self.queue.keeps(identifier) in (("lanes", entry.job.lanes), (CORES, entry.job.lanes)):
                self._press_for(entry.job)  # before a place is free it is not looked at, and it may be more urgent
            if not self._lanes(entry.job):
                self._stranded.append(identifier)
        deadline = entry.job.budget.deadline
        if deadline < math.inf and (ends := deadline - entry.reserve) != entry.ends:  # noted once, not at every turn
            entry.ends = ends
            self._at(ends, identifier)

    def ask_alone(self, identifier: str, now: float) -> Turn | None:
        """As ``ask`` and ``decide`` in one for a job that finds an idle lane, and nobody waiting; ``None``: nothing has changed."""
        entry = self._entries[identifier]
        job = entry.job
        held = entry.awaits or job.not_before > now or entry.held_until > now or entry.standing is not Standing.RESTING
        if held or job.budget.left(entry.spent, now) is not EVERYTHING or not self.settled(now) or self._blocker(job) is not None:
            return None
        self.queue.pass_by(job)
        turn = self._begin(entry, now)
        if turn is not None and self.free_cores:
            self._share_cores([turn])
        return turn

    def settled(self, now: float) -> bool:
        """Whether there is nothing to decide: nobody waits, and nothing is due."""
        due = self._times and self._times[0][0] <= now
        return not (due or len(self.queue) or self._exhausted or self._stranded or self._pressed)

    def rest(self, identifier: str, now: float) -> None:
        """Lets a job that asked for a turn, and has none, ask no longer."""
        entry = self._entries[identifier]
        if entry.standing is Standing.WAITING:
            self.queue.remove(identifier)
        if entry.standing in (Standing.WAITING, Standing.HELD):
            self._stand(entry, Standing.RESTING, now)

    def hold(self, identifier: str, until: float, why: str = "") -> None:
        """Gives a resting job no turn before ``until``, nor before it was held until already; ``why``, in words."""
        entry = self._entries[identifier]
        if until > entry.held_until:
            entry.held_until, entry.held_for = until, why

    def renew(self, identifier: str, budget: Budget, now: float) -> None:
        """Gives a job another budget, of which nothing is spent."""
        entry = self._entries[identifier]
        asks = entry.standing in (Standing.HELD, Standing.WAITING)
        self.rest(identifier, now)
        entry.job = replace(entry.job, budget=budget, deadline=min(entry.deadline, budget.deadline))
        entry.spent = NOTHING_SPENT
        entry.short = None
        if asks:
            self.ask(identifier, now)

    def exclude(self, identifier: str, lane: str) -> bool:
        """Lets a job use a lane no more from its next turn on; whether there is another one for it, or else it keeps the lane."""
        entry = self._entries[identifier]
        others = tuple(name for name in entry.job.lanes if name != lane)
        if not any(self.capacity.get(name, 0) for name in others):
            return False
        entry.job = replace(entry.job, lanes=others)
        entry.excluded += (lane,)
        return True

    def end_turn(self, identifier: str, seconds: float, steps: int, now: float, learned: tuple[float, int] | None = None) -> None:
        """Takes a turn back, of which ``seconds`` of work and ``steps`` were used; the job rests.

        ``learned``: the seconds and steps that tell what a step takes, where these are not all.
        """
        turn = self.turns.pop(identifier)
        entry = self._entries[identifier]
        job = entry.job
        entry.turn = None
        entry.spent = entry.spent.and_more(seconds, steps)
        if entry.steps_left is not None:
            entry.steps_left = max(0.0, entry.steps_left - steps)
        self._stand(entry, Standing.RESTING, now)
        if steps:
            self.costs.learn(job.model, self.cost_lane(turn.lane, turn.threads), *(learned or (seconds, steps)))
        self.queue.charge(job.share, seconds)
        self.tally.end_turn(turn.lane, job.share, seconds=seconds, held=now - turn.begun)
        self.busy[turn.lane] -= 1
        if self.needs_cores(turn.lane):
            self.free_cores += turn.threads
            self._lift(CORES)
        for tag in job.tags and job.tags & self.limits.keys():
            self.tagged[tag] -= 1
            self.queue.lift(("tag", tag))
        self._lift(turn.lane)
        if self.around.external_power is False and 0 < (duty := job.budget.energy.duty) < 1:
            self._sparing[identifier] = None
            self.hold(identifier, now + seconds * (1 / duty - 1), f"{ON_BATTERY} it may work {duty:.0%} of the time")

    def finish(self, identifier: str, ok: bool, now: float) -> list[str]:
        """Forgets a job that has no turn, but for its outcome; gives the jobs that can never begin because of it."""
        entry = self._entries[identifier]
        if entry.turn is not None:
            raise ValueError(f"job {identifier!r}: expected one without a turn, got one at work on lane {entry.turn.lane!r}")
        if entry.standing is not Standing.RESTING:
            self.rest(identifier, now)
        del self._entries[identifier]
        self._sparing.pop(identifier, None)
        entry.standing = Standing.FINISHED
        self._outcomes.pop(identifier, None)  # of another job of that name
        self._outcomes[identifier] = ok
        while len(self._outcomes) > REMEMBERED:
            self._outcomes.popitem(last=False)
        for other in entry.awaits or ():
            self._after[other].discard(identifier)
        dependents = self._after.pop(identifier, None)
        if not dependents:
            return []
        waiting = [self._entries[other] for other in sorted(dependents)]
        for dependent in waiting:
            assert dependent.awaits is not None
            dependent.awaits.discard(identifier)
            if ok and not dependent.awaits and dependent.standing is Standing.HELD:
                self._let_go(dependent, now)
        return [] if ok else [dependent.job.identifier for dependent in waiting]

    def surroundings(self, around: Surroundings) -> None:
        """Takes in what the machine is like now; turns whose conditions hold no longer are asked back by the next decision."""
        if around == self.around:
            return
        self.around = around
        self.queue.lift_all()
        if around.external_power is not False:  # there is nothing to spare any more
            for entry in filter(None, map(self._entries.get, self._sparing)):
                if entry.held_for.startswith(ON_BATTERY):
                    entry.held_until, entry.held_for = -math.inf, ""
                    self._at(-math.inf, entry.job.identifier)
            self._sparing.clear()
        for turn in self.turns.values():
            job = self._entries[turn.identifier].job
            unmet = job.conditions.unmet(around)
            if unmet or self._spares_battery(job):
                self._press(turn, str(unmet[0]) if unmet else "the machine runs on battery")

    def set_capacity(self, lane: str, capacity: int) -> None:
        """Says how many turns a lane has from now on; 0 for one that is gone."""
        self.capacity[lane] = capacity
        self._lift(lane)
        if capacity < 1:
            asking = (entry for entry in self if entry.standing in (Standing.HELD, Standing.WAITING))
            self._stranded += [entry.job.identifier for entry in asking if not self._lanes(entry.job)]

    def decide(self, now: float) -> Decisions:
        """What happens now; to be carried out by the caller."""
        while self._times and self._times[0][0] <= now:
            _, _, identifier = heappop(self._times)
            entry = self._entries.get(identifier)
            if entry is not None and entry.standing in (Standing.HELD, Standing.WAITING):
                self._look_again(entry, now)
        self._lacking.clear()
        turns: list[Turn] = []
        while len(self.queue) and any(lane in self.capacity and self.has_room(lane) for lanes in self.queue.lanes() for lane in lanes):
            taken = self.queue.take(self._keeps)
            if taken is None:
                break
            turn = self._begin(self._entries[taken[0].identifier], now)
            if turn is not None:
                turns.append(turn)
        if turns and self.free_cores:
            self._share_cores(turns)
        if len(self.queue) and (first := self.queue.look(self._keeps_besides)) is not None:
            self._press_for(first)
        pressed = self._pressed and [turn for turn in self._pressed if self.turns.get(turn.identifier) is turn]  # not ended meanwhile
        decisions = Decisions(turns, self._exhausted, self._stranded, pressed)
        self._exhausted, self._stranded, self._pressed = [], [], []
        return decisions

    def next_time(self) -> float:
        """When something happens by itself; infinite where nothing does."""
        return self._times[0][0] if self._times else math.inf

    def estimate(self, job: Job, lane: str, threads: int | None = None) -> Estimate | None:
        """What a step takes on a lane: with so many threads, or else with any number of them that was tried."""
        if not self.costs.knows(job.model):
            return None
        known = self.costs.of(job.model, self.cost_lane(lane, threads or 1))
        if known is not None or not self.needs_cores(lane):
            return known
        others = (self.costs.of(job.model, self.cost_lane(lane, number)) for number in range(self.cores, 0, -1))
        return next((other for other in others if other is not None), None)

    def cost_lane(self, lane: str, threads: int) -> str:
        """The name that a lane's costs are learned by: with more threads a step takes less."""
        return f"{lane} x{threads}" if self.needs_cores(lane) and threads > 1 else lane

    def needs_cores(self, lane: str) -> bool:
        """Whether turns on a lane hold cores of the processor."""
        return not lane.startswith(WITHOUT_CORES)

    def keeps(self, identifier: str) -> Blocker | None:
        """What keeps a job that waits, looked at now: ``("conditions", ...)``, ``("energy", ...)``, ``("tag", tag)``, ``("lanes",
        names)`` or ``("cores", names)``; ``None`` where only those ahead of it do."""
        return self._blocker(self._entries[identifier].job)

    def _keeps(self, job: Job) -> Blocker | None:
        """The same for the queue; a job that has come this far asks others for their places."""
        blocker = self._blocker(job)
        if blocker is not None and blocker[0] in ("lanes", CORES) and blocker not in self._lacking:
            self._lacking.add(blocker)  # those that come later in the same decision are less urgent
            for lacked in (*job.lanes, CORES) if blocker[0] == CORES else job.lanes:
                self._short.setdefault(lacked, set()).add(blocker)
            self._press_for(job)
        return blocker

    def _keeps_besides(self, job: Job) -> Blocker | None:
        """What keeps a job besides that it finds no place."""
        blocker = self._blocker(job)
        return None if blocker is None or blocker[0] in ("lanes", CORES) else blocker

    def _blocker(self, job: Job) -> Blocker | None:
        if job.conditions is not NO_CONDITIONS and job.conditions.unmet(self.around):
            return ("conditions", job.conditions)
        if self._spares_battery(job):
            return ("energy", job.budget.energy)
        for tag in job.tags:
            if tag in self.limits and self.tagged[tag] >= self.limits[tag]:
                return ("tag", tag)
        lanes = self._lanes(job)
        self._placed = place(lanes, self.has_room, lambda lane: self.estimate(job, lane))
        if self._placed is not None:
            return None
        return (CORES if self._lacks_a_core(lanes) else "lanes", job.lanes)

    def _begin(self, entry: Entry, now: float) -> Turn | None:
        """A turn for a job that the queue gave; ``None`` where its budget has no room for a step."""
        job = entry.job
        lane = self._placed
        assert lane is not None, "nothing keeps a job that the queue gives"
        turn = self._turn(entry, lane, 1, now)
        if turn.steps < 1 and self.free_cores > 1 and self._may_be_wide(turn):  # with all that there are it may be faster
            turn = self._turn(entry, lane, self.free_cores, now)
        if turn.steps < 1:
            self._stand(entry, Standing.RESTING, now)
            self._exhaust(entry, turn.step, now)
            return None
        if not entry.turns:
            self.tally.begin(now - entry.since)
        entry.turn, entry.turns = turn, entry.turns + 1
        entry.lane, entry.before = lane, entry.lane
        self.turns[job.identifier] = turn
        self._stand(entry, Standing.AT_WORK, now)
        self.busy[lane] += 1
        if self.needs_cores(lane):
            self.free_cores -= turn.threads
        for tag in job.tags and job.tags & self.limits.keys():
            self.tagged[tag] += 1
        return turn

    def _turn(self, entry: Entry, lane: str, threads: int, now: float) -> Turn:
        """A turn on a lane with so many threads; of less than one step where none fits."""
        job = entry.job
        step = self.estimate(job, lane, threads)
        allowance = job.budget.left(entry.spent, now)
        if allowance is EVERYTHING and step is None:
            return Turn(job.identifier, lane, threads=threads, begun=now)
        steps = steps_that_fit(allowance, step, entry.reserve)
        return Turn(job.identifier, lane, steps, allowance.seconds - entry.reserve, 0.0 if step is None else step.at_most(1), threads, now)

    def _may_be_wide(self, turn: Turn) -> bool:
        return self.needs_cores(turn.lane) and not self._entries[turn.identifier].narrow

    def _share_cores(self, turns: list[Turn]) -> None:
        """Gives the cores that are left to turns that begin, evenly: one that begins alone has all of them."""
        wide = [turn for turn in turns if turn.threads == 1 and self._may_be_wide(turn)]
        for number, turn in enumerate(wide):
            more = -(-self.free_cores // (len(wide) - number))
            with_more = self._turn(self._entries[turn.identifier], turn.lane, 1 + more, turn.begun)
            if with_more.steps >= 1:
                turn.threads, turn.steps, turn.step = with_more.threads, with_more.steps, with_more.step
                self.free_cores -= more

    def _press_for(self, job: Job) -> None:
        """Asks for a place for a job that finds none."""
        cores = self._lacks_a_core(self._lanes(job))
        turns = [turn for turn in self.turns.values() if (self.needs_cores(turn.lane) if cores else turn.lane in job.lanes)]
        found = in_the_way(job, turns, lambda turn: self._entries[turn.identifier].job.priority, cores=cores)
        if found is not None:
            self._press(*found)

    def _press(self, turn: Turn, why: str) -> None:
        if not turn.yields:
            turn.yields, turn.why = True, why
            self._pressed.append(turn)

    def _look_again(self, entry: Entry, now: float) -> None:
        """At a job whose time has come, whatever it was that it was noted for."""
        if self._expire(entry, now):
            return
        if entry.standing is Standing.HELD and not entry.awaits and entry.not_before <= now:
            self._let_go(entry, now)

    def _let_go(self, entry: Entry, now: float) -> None:
        """Lets a job that was held ask anew."""
        self._stand(entry, Standing.RESTING, now)
        self.ask(entry.job.identifier, now)

    def _expire(self, entry: Entry, now: float) -> bool:
        """Whether nothing is left of a job's budget; it rests then."""
        budget = entry.job.budget
        left = budget.left(entry.spent, now)
        if left is EVERYTHING or (not left.exhausted and left.seconds > entry.reserve and now < budget.deadline - entry.reserve):
            return False
        self.rest(entry.job.identifier, now)
        self._exhaust(entry, 0.0, now)
        return True

    def _exhaust(self, entry: Entry, step: float, now: float) -> None:
        """Notes that a job's budget has no room for a step of so many seconds."""
        budget, spent = entry.job.budget, entry.spent
        left = budget.left(spent, now)
        bound = "deadline" if budget.deadline - now <= budget.seconds - spent.seconds else "seconds"
        entry.short = Shortage("steps", left.steps, 1) if left.steps < 1 else Shortage(bound, left.seconds, entry.reserve + step)
        self._exhausted.append(entry.job.identifier)

    def _spares_battery(self, job: Job) -> bool:
        return self.around.external_power is False and job.budget.energy is EnergyClass.NONE

    def has_room(self, lane: str) -> bool:
        """Whether a turn could begin on the lane: it has a worker free, and a core where it needs one."""
        return self.busy[lane] < self.capacity[lane] and (self.free_cores > 0 or not self.needs_cores(lane))

    def _lacks_a_core(self, lanes: tuple[str, ...]) -> bool:
        """Whether a core is all that a turn on one of the lanes lacks."""
        return self.free_cores < 1 and any(self.needs_cores(lane) and self.busy[lane] < self.capacity[lane] for lane in lanes)

    def _lanes(self, job: Job) -> tuple[str, ...]:
        """Those of a job's lanes that there are."""
        if len(job.lanes) == 1:
            return job.lanes if self.capacity.get(job.lanes[0], 0) else ()
        return tuple(lane for lane in job.lanes if self.capacity.get(lane, 0))

    def _lift(self, what: str) -> None:
        """Lets the jobs be looked at again that lacked a core, or that may use a lane; who lacked a core may do without one there."""
        for blocker in self._short.pop(what, ()):
            self.queue.lift(blocker)

    def _kind(self, job: Job) -> Hashable:
        """What ``_blocker`` looks at: the same for jobs that the same things keep."""
        tags = job.tags and job.tags.intersection(self.limits)  # hashable, as & with keys is not
        model = job.model if len(job.lanes) > 1 and self.costs.knows(job.model) else ""
        return tags, job.lanes, job.conditions, job.budget.energy, model

    def _stand(self, entry: Entry, standing: Standing, now: float) -> None:
        if self.watch is not None:
            self.watch(entry, standing, now)
        entry.standing, entry.since = standing, now

    def _at(self, time: float, identifier: str) -> None:
        self._serial += 1
        heappush(self._times, (time, self._serial, identifier))
