"""Which checkpoints are in memory: at most so many, loaded on demand, freed when nobody draws with them.

A request takes a `Lease` of a checkpoint, and waits until the checkpoint is there. One that is not in memory is read
beside those that are, with which others go on drawing; once it is read it takes the place of the least recently used
one, as soon as the pictures of that one are done. Later requests wait for that, so that nobody is passed over for ever.
When a checkpoint cannot be read, all stays as it was.
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

    def __init__(self, cache: "ModelCache", offer: Offer) -> None:
        self.offer, self.leases = offer, 0
        self.come = self.size = 0
        self.opened: Opened | None = None
        self.error: Refusal | None = None
        self._cache = cache

    def begin(self) -> None:
        """Begin to read it."""
        threading.Thread(target=copy_context().run, args=(self._read, self._cache), daemon=True).start()

    def _read(self, cache: "ModelCache") -> None:
        fetched.set(self._progress)
        opened, error = None, None
        try:
            opened = cache.open(str(self.offer.source))
        except Exception as wrong:
            error = refusal_of(wrong)
        with cache.changed:
            self.opened, self.error = (opened if self.leases else None), error
            cache.changed.notify_all()

    def _progress(self, come: int, size: int) -> None:
        self.come, self.size = come, size
        if not self.leases:
            raise InterruptedError("Nobody waits for this download any more.")


class ModelCache:
    """The models in memory by their names, for all threads of a service."""

    def __init__(
        self, models: dict[str, UnclipModel], most: int, open_: Callable[[str], Opened], put: Callable[[Opened], None]
    ) -> None:
        """Keep at most `most` of them; `open_` reads one by its source, and `put` is told of each that was read."""
        self.models, self.most, self.open, self.put = models, most, open_, put
        self.changed = threading.Condition()
        self.waiting: list[Lease] = []
        self.users: Counter[str] = Counter()
        self.loads: dict[Offer, _Load] = {}
        self._clock = count()
        self._last: dict[str, int] = {}
        self._stay = set(models)  # what was given, and could not be read again

    def may_leave(self, name: str) -> None:
        """Let a model be freed, since it can be read again."""
        self._stay.discard(name)

    def use(self, name: str) -> None:
        """Note that a request begins to use this model."""
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


class Lease:
    """One request's use of a checkpoint, as a context in which it stays in memory once `coming` has ended."""

    def __init__(self, cache: ModelCache, offer: Offer) -> None:
        self._cache, self._offer = cache, offer
        self._load: _Load | None = None
        self._there = False

    def __enter__(self) -> "Lease":
        with self._cache.changed:
            self._cache.waiting.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with self._cache.changed:
            if self._there:
                self._cache.users[self._offer.name] -= 1
            else:
                self._cache.waiting.remove(self)
                self._leave()
            self._cache.changed.notify_all()

    def coming(self) -> Iterator[Loading]:
        """Yield how far it is until it is there, nothing where it is already; Refusal when it cannot be had."""
        while True:
            with self._cache.changed:
                if self._enters():
                    return
                progress = self._progress()
            yield progress
            with self._cache.changed:
                self._cache.changed.wait_for(self._enters, timeout=TICK_SECONDS)

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
        cache, name = self._cache, self._offer.name
        if self._there:
            return True
        first = not any(lease._read for lease in cache.waiting[: cache.waiting.index(self)])
        if name not in cache.models:
            self._join()
            load = self._load
            assert load is not None, "it has just been joined"
            if load.error is not None:
                raise load.error
            if load.opened is None or not first or not cache.make_room():
                return False
            self._place(load.opened)
        elif not first:
            return False
        self._leave()
        cache.waiting.remove(self)
        cache.use(self._offer.name)
        self._there = True
        return True

    def _place(self, opened: Opened) -> None:
        cache, offer = self._cache, self._offer
        offer.name, offer.read = opened.model.checkpoint, True
        cache.models[offer.name] = opened.model
        cache.put(opened)
        cache.loads.pop(offer, None)
        log.info("loaded %s", offer.name)
        cache.changed.notify_all()

    def _join(self) -> None:
        if self._load is None:
            cache, offer = self._cache, self._offer
            new = offer not in cache.loads
            self._load = cache.loads.setdefault(offer, _Load(cache, offer))
            self._load.leases += 1
            if new:
                self._load.begin()

    def _leave(self) -> None:
        """Give the loading up; the last one to do so ends it."""
        load, self._load = self._load, None
        if load is not None:
            load.leases -= 1
            if not load.leases or load.error is not None:
                self._cache.loads.pop(self._offer, None)
