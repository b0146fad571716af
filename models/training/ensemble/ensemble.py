"""`train_ensemble`: one recipe, one data set, many members, by the engine that is quickest here.

The choice is made by timing (`timing.py`) and never falls on something slower than serial training: another
engine must promise a tenth less time. What is finished, the checkpoints and the choice stay in `folder`, so
that a killed ensemble is resumed by the engine that began it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from raiaudit.models.training.ensemble.member import SERIAL, Engine, Job, Member, Mode
from raiaudit.models.training.ensemble.members_on_disk import load, packs_of, train_pack
from raiaudit.models.training.ensemble.packed import why_not_packed
from raiaudit.models.training.ensemble.processes import Workers, cores
from raiaudit.models.training.ensemble.timing import Trial
from raiaudit.models.training.train import device_of

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe

__all__ = ["EnsembleProgress", "TrainedEnsemble", "train_ensemble"]

_PACKS = (8, 16, 64)
_GAIN = 0.9  # of serial's time: what another engine must promise
_HOPELESS = 1.0  # of serial's time: a larger pack will not make good what this one costs
_WORTH_TIMING = 2.0  # seconds of serial training
_WORTH_STARTING = 30.0  # seconds of training in this process: others take several to start
_BRIEF = 20.0  # seconds of one member's training: less is not worth checkpoints
_CHOICE = "engine-{mode}.json"


@dataclass(frozen=True, slots=True)
class EnsembleProgress:
    """Members finished, of how many; `epoch` of the pack in training, where that is known."""

    done: int
    members: int
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine, seconds a member's step by engine (empty: not timed), and why the others were not tried.

    `brief`: a member takes seconds.
    """

    engine: Engine
    timings: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    brief: bool = False

    def __str__(self) -> str:
        timed = ", ".join(f"{name} {1e3 * seconds:.3g} ms" for name, seconds in self.timings.items())
        said = "; ".join(filter(None, [f"a member's step: {timed}" if timed else "", self.why]))
        return str(self.engine) + (f" ({said})" if said else "")


@dataclass(frozen=True, slots=True)
class TrainedEnsemble:
    """The members, in order, in evaluation mode on the CPU; how they were trained; the seconds it took."""

    classifiers: tuple[Classifier, ...]
    choice: Choice
    seconds: float


def train_ensemble(
    recipe: Recipe,
    dataset: Dataset,
    members: Sequence[Member],
    *,
    device: str = "auto",
    mode: Mode = "auto",
    progress: Callable[[EnsembleProgress], None] | None = None,
    folder: Path | None = None,
) -> TrainedEnsemble:
    """Train every member as `train(recipe, dataset, seed=member.seed, indices=member.rows_N)` would.

    `mode` asks for an engine; one that cannot serve (see `why_not_packed`; one core, CUDA or one member for
    processes) is replaced by serial training, and `choice.why` says so. A recipe that is `deterministic` is
    not timed in mode auto, but trained serially. The caller removes `folder` once it has what it wants.

    Raises what `train` raises, and `RaiauditError` when a process of ours dies.
    """
    started = time.perf_counter()
    job = Job(recipe, dataset, tuple(members), str(device_of(device)))
    with TemporaryDirectory(prefix="raiaudit-members-") as own:
        choice, workers = _choice(job, mode, folder or Path(own), folder)
        if workers is None:
            found = _train_here(job, choice, folder, progress)
        else:
            with workers:
                found = _train_there(job, workers, choice, folder or Path(own), progress)
    return TrainedEnsemble(tuple(found), choice, time.perf_counter() - started)


def _train_here(
    job: Job, choice: Choice, folder: Path | None, progress: Callable[[EnsembleProgress], None] | None
) -> list[Classifier]:
    found: list[Classifier] = []
    count = len(job.members)
    for pack in packs_of(count, choice.engine.pack):

        def report(epoch: int, done: int = pack.start) -> None:
            if progress is not None:
                progress(EnsembleProgress(done, count, epoch))

        members = [job.members[place] for place in pack]
        found += train_pack(job, members, folder=folder, brief=choice.brief, report=report)
        if progress is not None:
            progress(EnsembleProgress(len(found), count))
    return found


def _train_there(
    job: Job,
    workers: Workers,
    choice: Choice,
    folder: Path,
    progress: Callable[[EnsembleProgress], None] | None,
) -> list[Classifier]:
    trained: set[int] = set()

    def report(place: int) -> None:
        trained.add(place)
        if progress is not None:
            progress(EnsembleProgress(len(trained), len(job.members)))

    workers.train(choice.engine.pack, report, brief=choice.brief)
    found = [load(job, member, folder) for member in job.members]
    assert all(classifier is not None for classifier in found), "a process reports what it has saved"
    return [classifier for classifier in found if classifier is not None]


def _choice(job: Job, mode: Mode, room: Path, folder: Path | None) -> tuple[Choice, Workers | None]:
    """The choice that began this ensemble, or a new one; with processes that were started on the way."""
    noted = None if folder is None else folder / _CHOICE.format(mode=mode)
    if noted is not None and noted.exists():
        told = json.loads(noted.read_text(encoding="utf-8"))
        choice = Choice(Engine(**told["engine"]), told["timings"], told["why"], told["brief"])
        workers = Workers(job, choice.engine.workers, room) if choice.engine.workers > 1 else None
        if workers is not None:
            workers.wait()
        return choice, workers
    choice, workers = _chosen(job, mode, room)
    if noted is not None:
        noted.parent.mkdir(parents=True, exist_ok=True)
        temporary = noted.with_name(noted.name + ".partial")  # a kill must not leave half a choice
        temporary.write_text(json.dumps(asdict(choice)), encoding="utf-8")
        temporary.replace(noted)
    return choice, workers


def _chosen(job: Job, mode: Mode, room: Path) -> tuple[Choice, Workers | None]:
    if mode == "serial" or len(job.members) == 1 or (mode == "auto" and job.recipe.deterministic):
        return Choice(SERIAL), None
    trial = Trial(job)
    timings = {str(SERIAL): trial.serial()}
    member = timings[str(SERIAL)] * trial.steps
    brief = member < _BRIEF
    if mode == "auto" and member * len(job.members) < _WORTH_TIMING:
        return Choice(SERIAL, timings, "too little work for another engine", brief), None
    why_not = _why_not_packed(job, trial)
    best = SERIAL
    if not why_not:
        sizes = [
            size for size in sorted({min(size, len(job.members)) for size in _PACKS}) if trial.fits(size)
        ]
        packs = _timed_packs(trial, sizes, timings)
        best = min(packs, key=lambda engine: timings[str(engine)], default=SERIAL)
        if not packs and sizes:
            why_not = "too little work to time packs"
            best = Engine(pack=sizes[0]) if mode == "packed" else SERIAL
        elif not packs:
            why_not = "a pack needs too much memory"
    if mode == "packed":
        return Choice(best, timings, f"not packed: {why_not}" if best == SERIAL else "", brief), None
    if timings[str(best)] > _GAIN * timings[str(SERIAL)]:
        best = SERIAL
    why = f"not packed: {why_not}" if why_not else ""
    count = min(cores(), len(job.members))
    if job.device != "cpu" or count == 1:
        why = "; ".join(filter(None, [why, "no processes: one core, or a GPU"]))
        return Choice(best, timings, why, brief), None
    alone = timings[str(best)] * trial.steps * len(job.members)
    if mode == "auto" and alone < _WORTH_STARTING:
        return Choice(best, timings, why, brief), None
    return _with_processes(job, mode, room, Choice(best, timings, why, brief), count, not why_not)


def _with_processes(
    job: Job, mode: Mode, room: Path, here: Choice, count: int, packable: bool
) -> tuple[Choice, Workers | None]:
    """Start processes, time them, and keep them if they are the quickest."""
    timings = dict(here.timings)
    share = -(-len(job.members) // count)
    sizes = {1, min(here.engine.pack if here.engine.pack > 1 else _PACKS[0], share)} if packable else {1}
    workers = Workers(job, count, room)
    try:
        workers.wait()
        engines = [Engine(count, size) for size in sorted(sizes)]
        for engine in engines:
            # A process with more members than the others is what all wait for.
            timings[str(engine)] = workers.seconds(engine.pack) * share / len(job.members)
        best = min(engines, key=lambda engine: timings[str(engine)])
        if mode == "processes" or timings[str(best)] < _GAIN * timings[str(here.engine)]:
            return replace(here, engine=best, timings=timings), workers
    except BaseException:
        workers.__exit__(None, None, None)
        raise
    workers.__exit__(None, None, None)
    return replace(here, timings=timings), None


def _why_not_packed(job: Job, trial: Trial) -> str:
    if len({len(job.rows(member)) for member in job.members}) > 1:
        return "members learn from different numbers of rows"
    return why_not_packed(job.recipe, trial.classifier, job.dataset.splits["train"].inputs)


def _timed_packs(trial: Trial, sizes: Sequence[int], timings: dict[str, float]) -> list[Engine]:
    """Packs of `sizes` with their `timings`, the smallest first, until one is hopeless."""
    packs: list[Engine] = []
    for size in filter(trial.worth, sizes):
        packs.append(Engine(pack=size))
        timings[str(packs[-1])] = trial.packed(size)
        if timings[str(packs[-1])] > _HOPELESS * timings[str(SERIAL)]:
            break
    return packs
