"""Which checkpoints are in memory: at most so many, loaded when somebody needs one, freed when nobody draws with it.

Who needs a checkpoint comes as a `Need` and stays in line until it is there. One that is not is read beside those that
are, with which others draw on; once it is read it takes the place of the one that was needed least lately, as soon as
that one's pictures are done. Who comes later waits for that, so that nobody is passed over for ever. When it cannot be
read, all is as before.
"""

import gc
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count

from dalle2.families.downloads import fetched
from dalle2.families.published import Published
from dalle2.model import UnclipModel
from dalle2.serving.opening import Opened
from dalle2.serving.refusal import Refusal, refusal_of

TICK_SECONDS = 0.5  # between two events while a checkpoint is loaded

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Offer:
    """A checkpoint that may be had.

    Attributes:
        source: what `dalle2.families.load` takes, or None for a model that was given and stays.
        name: what it is called here: by its source, and once it was read as the model says, which names its prior too.
        known: what is known of it beforehand, or None.
        read: whether it has ever been in memory.
        public: what it was called before it was read.
    """

    source: str | None
    name: str
    known: Published | None = None
    read: bool = False
    public: str = ""

    def __post_init__(self) -> None:
        self.public = self.name  # before it is read, that of its source without the paths of this machine


@dataclass(frozen=True)
class Loading:
    """How far a checkpoint is: bytes that have come of all that come, (0, 0) while none do.

    `waiting` is whether it has been read, and others' pictures are finished first.
    """

    checkpoint: str
    come: int = 0
    size: int = 0
    waiting: bool = False


class _Load:
    """One checkpoint being read in a thread, for all who need it; given up when nobody does any more."""

    def __init__(self, shelf: "Shelf", offer: Offer) -> None:
        self.offer, self.needs = offer, 0
        self.come = self.size = 0
        self.opened: Opened | None = None
        self.error: Refusal | None = None
        self._shelf = shelf

    def begin(self) -> None:
        """Begin to read it."""
        threading.Thread(target=copy_context().run, args=(self._read, self._shelf), daemon=True).start()

    def _read(self, shelf: "Shelf") -> None:
        fetched.set(self._progress)
        opened, error = None, None
        try:
            opened = shelf.open(str(self.offer.source))
        except Exception as wrong:
            error = refusal_of(wrong)
        with shelf.changed:
            self.opened, self.error = (opened if self.needs else None), error
            shelf.changed.notify_all()

    def _progress(self, come: int, size: int) -> None:
        self.come, self.size = come, size
        if not self.needs:
            raise InterruptedError("Nobody waits for this download any more.")


class Shelf:
    """The models in memory by their names, for all threads of a service."""

    def __init__(
        self, models: dict[str, UnclipModel], most: int, open_: Callable[[str], Opened], put: Callable[[Opened], None]
    ) -> None:
        """Keep at most `most` of them; `open_` reads one by its source, and `put` is told of each that was read."""
        self.models, self.most, self.open, self.put = models, most, open_, put
        self.changed = threading.Condition()
        self.waiting: list[Need] = []
        self.users: Counter[str] = Counter()
        self.loads: dict[Offer, _Load] = {}
        self._clock = count()
        self._last: dict[str, int] = {}
        self._stay = set(models)  # what was given, and could not be read again

    def may_leave(self, name: str) -> None:
        """Let a model be freed, since it can be read again."""
        self._stay.discard(name)

    def use(self, name: str) -> None:
        """Note that a request begins to need this model."""
        self.users[name] += 1
        self._last[name] = next(self._clock)

    def make_room(self) -> bool:
        """Free what is in the way, if nobody draws with it, longest unneeded first; return whether there is room."""
        idle = [name for name in self.models if not self.users[name] and name not in self._stay]
        idle.sort(key=lambda name: self._last.get(name, -1), reverse=True)
        while len(self.models) >= self.most and idle:
            log.info("freed %s", name := idle.pop())
            del self.models[name]
            gc.collect()  # networks and what they hold refer to one another
            import torch  # which has held them

            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return len(self.models) < self.most


class Need:
    """One request's need of a checkpoint, as a context in which it stays in memory once `coming` has ended."""

    def __init__(self, shelf: Shelf, offer: Offer) -> None:
        self._shelf, self._offer = shelf, offer
        self._load: _Load | None = None
        self._there = False

    def __enter__(self) -> "Need":
        with self._shelf.changed:
            self._shelf.waiting.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with self._shelf.changed:
            if self._there:
                self._shelf.users[self._offer.name] -= 1
            else:
                self._shelf.waiting.remove(self)
                self._leave()
            self._shelf.changed.notify_all()

    def coming(self) -> Iterator[Loading]:
        """Yield how far it is until it is there, nothing where it is already; Refusal when it cannot be had."""
        while True:
            with self._shelf.changed:
                if self._enters():
                    return
                progress = self._progress()
            yield progress
            with self._shelf.changed:
                self._shelf.changed.wait_for(self._enters, timeout=TICK_SECONDS)

    def wait(self) -> None:
        """Return when it is there; Refusal as `coming`."""
        for _ in self.coming():
            pass

    @property
    def _read(self) -> bool:
        """Whether its checkpoint has been read and waits for room."""
        return self._load is not None and self._load.opened is not None

    def _progress(self) -> Loading:
        load = self._load
        if load is None or load.opened is not None:
            return Loading(self._offer.name, waiting=True)
        return Loading(self._offer.name, load.come, load.size)

    def _enters(self) -> bool:
        """Take the checkpoint when it is there and nobody who came before waits for room; the lock is held."""
        shelf, name = self._shelf, self._offer.name
        if self._there:
            return True
        first = not any(need._read for need in shelf.waiting[: shelf.waiting.index(self)])
        if name not in shelf.models:
            self._join()
            load = self._load
            assert load is not None, "it has just been joined"
            if load.error is not None:
                raise load.error
            if load.opened is None or not first or not shelf.make_room():
                return False
            self._place(load.opened)
        elif not first:
            return False
        self._leave()
        shelf.waiting.remove(self)
        shelf.use(self._offer.name)
        self._there = True
        return True

    def _place(self, opened: Opened) -> None:
        shelf, offer = self._shelf, self._offer
        offer.name, offer.read = opened.model.checkpoint, True
        shelf.models[offer.name] = opened.model
        shelf.put(opened)
        shelf.loads.pop(offer, None)
        log.info("loaded %s", offer.name)
        shelf.changed.notify_all()

    def _join(self) -> None:
        if self._load is None:
            shelf, offer = self._shelf, self._offer
            new = offer not in shelf.loads
            self._load = shelf.loads.setdefault(offer, _Load(shelf, offer))
            self._load.needs += 1
            if new:
                self._load.begin()

    def _leave(self) -> None:
        """Need the loading no more; the last one ends it."""
        load, self._load = self._load, None
        if load is not None:
            load.needs -= 1
            if not load.needs or load.error is not None:
                self._shelf.loads.pop(self._offer, None)
