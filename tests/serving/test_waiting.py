"""What visitors are told to wait, against what then happens: the queue and the batches by a clock that is moved on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dalle2.serving.batches import Batches, Call, Visit
from dalle2.serving.pace import CPU_OVERHEAD, Job, Pace, Turn, first_of
from dalle2.serving.queue import Queue, Ticket

MOST = 8  # pictures in a batch, as on a CPU
# Seconds a step: of a batch, and of each picture in it. A processor gains little by a batch, a GPU nearly all.
CPU = {"prior": (0.01, 0.005), "inversion": (0.03, 0.06), "decoder": (0.01, 0.02), "upsampler": (0.01, 0.03)}
GPU = dict.fromkeys(CPU, (0.1, 0.002))
DRAWN = (("prior", 4), ("decoder", 5), ("upsampler", 2))
STAGES = {
    "text_to_image": DRAWN,
    "variations": DRAWN[1:],
    "text_diff": (("inversion", 10), *DRAWN),
    "long": (("prior", 4), ("decoder", 50), ("upsampler", 2)),
}
SAVING = 0.02
TICK = 0.5  # between two looks at what somebody is told


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Visitor:
    """Who comes at a time, for so many pictures; `gives_up` so many seconds later, if that is before the end."""

    comes: float
    pictures: int = 4
    kind: str = "text_to_image"
    gives_up: float | None = None
    told: list[tuple[float, float | None]] = field(default_factory=list)  # (when, seconds left)
    ended: float | None = None
    calls: list[tuple[str, int]] = field(default_factory=list)  # (stage, steps) that are left
    ticket: Ticket | None = None
    visit: Visit | None = None
    call: Call | None = None

    def ratio(self, place: int = 0) -> float:
        """Return what was told over what it then took, of the first or another time that it was told."""
        when, seconds = self.told[place]
        assert seconds is not None and self.ended is not None
        return seconds / (self.ended - when)


class Room:
    """A service's queue, batches and pace without threads: what they decide happens, and takes its time."""

    def __init__(self, costs: dict[str, tuple[float, float]] = CPU, first_use: float = 0.0) -> None:
        self.clock, self.costs, self.first_use = Clock(), costs, first_use
        self.pace = Pace(self.clock, CPU_OVERHEAD if costs is CPU else 1.5)
        self.batches, self.queue = Batches(MOST), Queue(30, 2 * MOST, MOST)
        self.used: set[str] = set()
        self.coming: list[Visitor] = []
        self.here: list[Visitor] = []
        self.drawn: Sequence[Visitor] = ()

    def let_in(self, *visitors: Visitor) -> None:
        """Let them come, counted from now, until all are served or gone."""
        for visitor in visitors:
            visitor.comes += self.clock.now
        self.coming = sorted(visitors, key=lambda visitor: visitor.comes)
        while self.coming or self.here:
            self._admit()
            calls = self.batches._chosen()
            if calls:
                self.batches._waiting = [call for call in self.batches._waiting if call not in calls]
                self._compute([visitor for visitor in self.here if visitor.call in calls])
            else:
                self._pass(max(self.coming[0].comes - self.clock.now, 0.0))

    def _admit(self) -> None:
        for visitor in self.here:
            if visitor.call is None and visitor.ticket.admitted():
                rows = [None] * visitor.pictures
                key = (visitor.kind, visitor.calls[0][0])
                visitor.call = Call(visitor.visit, (rows,), lambda *_: None, key)
                self.batches._waiting.append(visitor.call)

    def _compute(self, drawn: Sequence[Visitor]) -> None:
        pictures = sum(visitor.pictures for visitor in drawn)
        self.drawn = drawn
        stage, steps = drawn[0].calls[0]
        for visitor in drawn:
            visitor.visit.turn.begin(pictures)
        whole, each = self.costs[stage]
        if stage not in self.used:
            self._pass(self.first_use)
            self.used.add(stage)
        for index in range(steps):
            self._pass(whole + each * pictures)
            for visitor in drawn:
                visitor.visit.turn.step(stage, index + 1)
        for visitor in drawn:
            visitor.visit.turn.pause()
            visitor.calls.pop(0)
            visitor.call = None
        self.drawn = ()
        for visitor in drawn:
            if not visitor.calls:
                self._pass(SAVING)
                visitor.visit.turn.end()
                self._leave(visitor)

    def _leave(self, visitor: Visitor) -> None:
        visitor.ended = self.clock.now
        visitor.ticket.leave()
        self.here.remove(visitor)
        if visitor.call in self.batches._waiting:
            self.batches._waiting.remove(visitor.call)

    def _pass(self, seconds: float) -> None:
        """Let time pass: meanwhile others come, look at what they are told, and go."""
        until = self.clock.now + seconds
        while True:
            comes = self.coming[0].comes if self.coming else until
            goes = [visitor for visitor in self.here if visitor.gives_up is not None and visitor not in self.drawn]
            first = min((visitor.comes + visitor.gives_up for visitor in goes), default=until)
            looks = min((visitor.told[-1][0] + TICK for visitor in self.here), default=until)
            moment = min(comes, first, looks, until)
            self.clock.now = max(moment, self.clock.now)
            if self.coming and comes <= moment:
                self._join(self.coming.pop(0))
            elif goes and first <= moment:
                self._leave(min(goes, key=lambda visitor: visitor.comes + visitor.gives_up))
            elif self.here and looks <= moment:
                for visitor in self.here:
                    if visitor.told[-1][0] + TICK <= moment:
                        visitor.told.append((moment, visitor.ticket.seconds_left()))
            else:
                self.clock.now = until
                return

    def _join(self, visitor: Visitor) -> None:
        visitor.calls = list(STAGES[visitor.kind])
        turn = Turn(Job(visitor.kind, STAGES[visitor.kind], visitor.pictures), self.pace)
        visitor.visit, visitor.ticket = Visit(turn), self.queue.join(turn)
        visitor.told.append((self.clock.now, visitor.ticket.seconds_left()))
        self.here.append(visitor)


def warm(costs: dict[str, tuple[float, float]] = CPU, pictures: Sequence[int] = (4, 4)) -> Room:
    """Return a room in which so many pictures have been drawn alone."""
    room = Room(costs)
    for number in pictures:
        room.let_in(Visitor(0, number))
    return room


def test_each_of_those_who_come_alone_is_told_right_from_the_second_on() -> None:
    room = Room(first_use=0.1)
    visitors = [Visitor(0) for _ in range(4)]
    for visitor in visitors:
        room.let_in(visitor)
    assert visitors[0].told[0][1] is None
    assert all(0.7 < visitor.ratio() < 1.3 for visitor in visitors[1:])


CROWDS = {
    "five at once": [Visitor(0.05 * place) for place in range(5)],
    "two": [Visitor(0), Visitor(0.1)],
    "twenty with one picture": [Visitor(0.05 * place, 1) for place in range(20)],
    "ones and eights": [Visitor(0.05 * place, (1, 8)[place % 2]) for place in range(10)],
    "one large, then small": [Visitor(0, 8), *(Visitor(0.1 + 0.02 * place, 1) for place in range(12))],
    "all day": [Visitor(0.25 * place, 1 + place % 4) for place in range(40)],
    "of several kinds": [
        Visitor(0.04 * place, 1 + place % 3, ("text_to_image", "variations", "text_diff")[place % 3])
        for place in range(12)
    ],
    "a long one between": [Visitor(0, 4, "long"), *(Visitor(0.3 + 0.03 * place, 2) for place in range(6))],
}


@pytest.mark.parametrize("costs", [CPU, GPU], ids=["CPU", "GPU"])
@pytest.mark.parametrize("crowd", CROWDS)
def test_each_of_a_crowd_is_told_right_within_30_percent(crowd: str, costs: dict) -> None:
    room = warm(costs, (1, 1, 4, 4))
    for kind in ("variations", "text_diff", "long"):
        room.let_in(Visitor(0, 4, kind))
    visitors = [Visitor(one.comes, one.pictures, one.kind) for one in CROWDS[crowd]]
    room.let_in(*visitors)
    assert all(0.7 < visitor.ratio() < 1.3 for visitor in visitors), [visitor.ratio() for visitor in visitors]


def test_each_of_a_crowd_is_told_right_by_the_experience_of_four_pictures_alone() -> None:
    room, visitors = warm(), [Visitor(0.05 * place, (4, 1, 8)[place % 3]) for place in range(7)]
    room.let_in(*visitors)
    assert all(0.7 < visitor.ratio() < 1.3 for visitor in visitors), [visitor.ratio() for visitor in visitors]


def test_it_stays_right_while_they_wait_and_are_drawn() -> None:
    room, visitors = warm(), [Visitor(0.05 * place) for place in range(5)]
    room.let_in(*visitors)
    for visitor in visitors:
        for when, seconds in visitor.told:  # the whole time, with what has passed
            assert when - visitor.comes + seconds == pytest.approx(visitor.ended - visitor.comes, rel=0.3)


def test_those_behind_one_who_gives_up_are_told_of_it() -> None:
    room = warm()
    visitors = [Visitor(0.05 * place, 4, gives_up=0.2 if place == 3 else None) for place in range(6)]
    room.let_in(*visitors)
    behind = visitors[4:]
    for visitor in behind:
        anew = next(place for place, (when, _) in enumerate(visitor.told) if when > visitors[3].ended)
        assert visitor.told[anew][1] < visitor.told[0][1] - TICK
        assert 0.7 < visitor.ratio(anew) < 1.3


def test_company_makes_nobody_later_than_told_but_serves_a_crowd_in_batches() -> None:
    room, visitors = warm(CPU, (1, 1, 8, 8)), [Visitor(0.01 * place, 1) for place in range(30)]
    begun = room.clock.now
    room.let_in(*visitors)
    assert all(visitor.ended - visitor.comes < 1.3 * visitor.told[0][1] for visitor in visitors)
    alone = sum(steps * sum(CPU[stage]) for stage, steps in DRAWN) + SAVING
    assert room.clock.now - begun < 0.85 * 30 * alone


def test_nobody_goes_before_who_is_late_already() -> None:
    clock = Clock()
    pace, job = Pace(clock, CPU_OVERHEAD), Job("any", (("decoder", 1),), 1)
    pace.learn(job, "decoder", 1.0)
    late, urgent = (Turn(job, pace) for _ in range(2))
    late.promise(1.0)
    clock.now += 0.5
    urgent.promise(1.0)
    assert first_of([late, urgent]) is late


def test_who_is_late_anyhow_takes_company() -> None:
    clock = Clock()
    pace = Pace(clock, CPU_OVERHEAD)
    job = Job("any", (("decoder", 1),), 1)
    for pictures in (1, 2):
        pace.learn(Job("any", job.stages, pictures), "decoder", float(pictures))
    batches = Batches(MOST)
    turns = [Turn(job, pace) for _ in range(2)]
    batches._waiting = [Call(Visit(turn), ([None],), lambda *_: None, "key") for turn in turns]
    turns[0].promise(1.0)
    assert len(batches._chosen()) == 1
    clock.now += 1.0
    assert len(batches._chosen()) == 2
