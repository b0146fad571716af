"""Foolbox in a process of its own, which asks for the model's answers through a pipe.

Some of foolbox's solvers are compiled loops that need not end (Brendel & Bethge's trust region), and no
exception or signal reaches into them. A process can be killed. The model stays on this side: nothing of it
is pickled, it may be a closure or live on an accelerator, and every input the attack tried has been seen
here before the answer went back, so that an attack that is killed has still handed in what it had.

The process lives as long as this one, for compiling a solver takes tens of seconds; it is replaced when it
had to be killed. Both sides speak pickled tuples. To it: ("job", attack, job, compile first?), ("answer",
array), ("stop",). From it: ("ready",) once compiled; ("look", x, wants gradient), answered by logits;
("pull", gradient at the logits), answered by the gradient at the last x; and, ending a job, ("found", x),
("failed", reason) or ("stopped",). Arrays are numpy, rows as in the batch.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from raiaudit.attacks.evasion.foolbox.adapter import FoolboxAttack, Job
    from raiaudit.attacks.threats import Norm

__all__ = ["SilentError", "run_apart"]

COMPILING = 600.0
"""Seconds that starting up and compiling may take."""

_lock = threading.Lock()


class SilentError(Exception):
    """The process asked nothing for longer than it may: it hangs."""


def run_apart(
    attack: FoolboxAttack, job: Job, model: nn.Module, *, patience: float, deadline: float
) -> Tensor:
    """What `attack.run_foolbox` finds over there, asking `model` here.

    Raises whatever `model` raises, `SilentError` after `patience` seconds without a question (or at the
    `deadline`, by `time.monotonic`), and `RuntimeError` if the attack or its process fails.
    """
    with _lock:
        worker = _Worker.living()
        try:
            worker.hire(attack, job.on_cpu())
            return worker.answer(model, job.x.device, patience, deadline)
        except (SilentError, OSError, EOFError, pickle.UnpicklingError):
            worker.kill()
            raise


class _Worker:
    """The process as this side sees it."""

    _current: ClassVar[_Worker | None] = None

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to_it, self.from_it = self.process.stdin, self.process.stdout
        self.compiled: set[tuple[str, Norm]] = set()
        atexit.register(self.kill)

    @classmethod
    def living(cls) -> _Worker:
        """The one there is, or a new one."""
        if cls._current is None or cls._current.process.poll() is not None:
            cls._current = cls()
        return cls._current

    def kill(self) -> None:
        """End it, whatever it does."""
        atexit.unregister(self.kill)
        self.process.kill()
        with suppress(BrokenPipeError):  # what it never read is dropped
            self.to_it.close()
        self.from_it.close()
        self.process.wait()

    def hire(self, attack: FoolboxAttack, job: Job) -> None:
        """Hand over a job, and wait until its solver is compiled."""
        solver = (attack.name, job.norm)
        _send(self.to_it, "job", attack, job, solver not in self.compiled)
        self.hear(COMPILING)
        self.compiled.add(solver)

    def answer(self, model: nn.Module, device: torch.device, patience: float, deadline: float) -> Tensor:
        """Answer until it has found something."""
        x = logits_BK = torch.empty(0)
        while True:
            kind, *message = self.hear(min(patience, deadline - time.monotonic()))
            if kind == "look":
                x = torch.from_numpy(message[0]).to(device).requires_grad_(message[1])
                try:
                    with torch.set_grad_enabled(message[1]):
                        logits_BK = model(x)
                except Exception:
                    _send(self.to_it, "stop")
                    self.hear(patience)
                    raise
                _send(self.to_it, "answer", logits_BK.detach().float().cpu().numpy())
            elif kind == "pull":
                pulled = torch.from_numpy(message[0]).to(device)
                (grad,) = torch.autograd.grad(logits_BK, x, pulled, retain_graph=True)
                _send(self.to_it, "answer", grad.cpu().numpy())
            elif kind == "found":
                return torch.from_numpy(message[0]).to(device)
            else:
                raise RuntimeError(message[0])

    def hear(self, seconds: float) -> tuple[Any, ...]:
        """Its next message; it is killed if that takes longer than `seconds`."""
        watchdog = threading.Timer(max(0.0, seconds), self.process.kill)
        watchdog.start()
        began = time.monotonic()
        try:
            message: tuple[Any, ...] = pickle.load(self.from_it)
        except (EOFError, pickle.UnpicklingError) as ended:
            if time.monotonic() - began >= seconds:
                raise SilentError(f"no question for {seconds:.0f} s") from ended
            raise
        finally:
            watchdog.cancel()
        return message


def _send(stream: IO[bytes], *message: Any) -> None:
    pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


class _AskedToStopError(Exception):
    """The other side wants no more questions."""


class _Distant(nn.Module):
    """The model as foolbox sees it over there."""

    def __init__(self, questions: IO[bytes], answers: IO[bytes]) -> None:
        super().__init__()
        self.questions, self.answers = questions, answers
        self.eval()

    def ask(self, *question: Any) -> Tensor:
        """One question, one answer."""
        _send(self.questions, *question)
        kind, *message = pickle.load(self.answers)
        if kind == "stop":
            raise _AskedToStopError
        return torch.from_numpy(message[0])

    def forward(self, x: Tensor) -> Tensor:
        """logits_BK."""
        logits_BK: Tensor = _Look.apply(x, self)  # type: ignore[no-untyped-call]  # torch's own gap
        return logits_BK


class _Look(torch.autograd.Function):
    """One look at the distant model, and its gradient if that is asked for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, model: _Distant) -> Tensor:
        """The model's logits."""
        ctx.model = model
        return model.ask("look", x.detach().numpy(), ctx.needs_input_grad[0])

    @staticmethod
    def backward(ctx: Any, *pulled: Tensor) -> tuple[Tensor, None]:
        """The gradient at x."""
        return ctx.model.ask("pull", pulled[0].numpy()), None


class _Toy(nn.Module):
    """Errs where the mean is above a half."""

    def forward(self, x: Tensor) -> Tensor:
        """Two logits."""
        mean_B = x.flatten(1).mean(1)
        return torch.stack([0.5 - mean_B, mean_B - 0.5], dim=1)


def main() -> None:
    """Run jobs, asking on standard output and hearing on standard input, until that is closed."""
    from raiaudit.attacks.evasion.foolbox.adapter import Job

    answers, questions = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not fall between the messages
    torch.set_num_threads(1)
    model = _Distant(questions, answers)
    label = torch.zeros(1, dtype=torch.int64)
    x = torch.full((1, 1, 2, 2), 0.25)
    while True:
        try:
            _, attack, job, compile_first = pickle.load(answers)
        except EOFError:
            return
        if compile_first:
            toy = Job(job.norm, x, label, label + 1, x + 0.5, 0.0, 1.0, 0.5, 0)
            with suppress(Exception):  # if it cannot do the toy, it will say so of the job
                attack.run_foolbox(_Toy().eval(), toy)
        _send(questions, "ready")
        try:
            found = attack.run_foolbox(model, job)
        except _AskedToStopError:
            _send(questions, "stopped")
        except Exception as problem:  # whatever foolbox, eagerpy or numba may raise
            _send(questions, "failed", repr(problem))
        else:
            _send(questions, "found", found.detach().numpy())


if __name__ == "__main__":
    main()
