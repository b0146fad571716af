"""Black boxes behind a real HTTP server: what is asked, what is believed, and what a failure costs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError

from raiaudit.attacks.spaces import Column, ImageBox, InputSpace, TableSchema, TokenSpace
from raiaudit.errors import QueryFailedError, SubjectUnavailableError, UsageError
from raiaudit.models.black_box import BlackBox, from_callable, from_endpoint, version_of
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.endpoint import Endpoint

CLASSES = ("cat", "dog", "eel")
SPACE = ImageBox((1, 2, 2))


def dataset_of(inputs: Any, space: InputSpace = SPACE) -> Dataset:
    modality: Any = {ImageBox: "image", TableSchema: "tabular", TokenSpace: "text"}[type(space)]
    labels = np.arange(len(inputs)) % len(CLASSES)
    split = Split(pl.Series([f"i{i}" for i in range(len(inputs))]), inputs, labels)
    return Dataset("tiny", modality, CLASSES, space, {"train": split, "test": split}, "d" * 64)


def images(n: int) -> Any:
    return np.random.default_rng(0).random((n, 1, 2, 2), dtype=np.float32)


def scores_of(image: Any) -> list[float]:
    """A known model: the first three pixels, normalised."""
    first = np.asarray(image, dtype=np.float64).ravel()[:3] + 0.01
    shares: list[float] = (first / first.sum()).tolist()
    return shares


def honest(body: Any, _: int) -> Any:
    return {"scores": [scores_of(image) for image in body["inputs"]]}


@pytest.fixture
def box(serve: Any) -> Callable[..., tuple[BlackBox, Any]]:
    """(reply, **options) → the box and the server behind it."""

    def make(
        reply: Any, *, inputs: Any = None, space: InputSpace = SPACE, **options: Any
    ) -> tuple[BlackBox, Any]:
        server = serve(reply)
        facts = {"returns": "scores", "timeout": 5.0, "retries": 0, **options}
        data = dataset_of(images(4) if inputs is None else inputs, space)
        return from_endpoint(Endpoint(url=server.url, **facts), data), server

    return make


def ask(box: BlackBox, inputs: Any) -> torch.Tensor:
    logits: torch.Tensor = box(box.encode(inputs))
    return logits


# Right answers


def test_scores_arrive_as_their_logarithms(box: Any) -> None:
    ours, server = box(honest, batch=4)
    x = images(10)
    logits_BK = ask(ours, x)
    expected = np.log([scores_of(image) for image in x])
    assert np.allclose(logits_BK.numpy(), expected, atol=1e-6)
    assert [len(body["inputs"]) for body in server.bodies] == [4, 4, 2]
    # float32 pixels cross the wire exactly
    assert np.array_equal(np.asarray(server.bodies[0]["inputs"], dtype=np.float32), x[:4])


def test_bytes_are_sent_within_the_bounds_of_the_space(box: Any) -> None:
    ours, server = box(honest)
    ask(ours, np.array([[[[0, 51], [255, 102]]]], dtype=np.uint8))
    assert np.allclose(server.bodies[0]["inputs"], [[[[0, 0.2], [1, 0.4]]]])


@pytest.mark.parametrize("answer", [1, "dog"])
def test_labels_are_names_or_indices(box: Any, answer: Any) -> None:
    ours, _ = box(lambda body, _: {"labels": [answer] * len(body["inputs"])}, returns="labels")
    assert ask(ours, images(3)).argmax(1).tolist() == [1, 1, 1]
    assert ours.knowledge == "label"


def test_rows_are_sent_by_column_name(box: Any) -> None:
    schema = TableSchema(
        (
            Column("age", "integer", 0, 99),
            Column("job", "category", categories=("none", "cook")),
            Column("pay", "real", 0, 1e4),
        )
    )
    rows = np.array([[42, 0, 1, 0.5], [7, 1, 0, 12.25]], dtype=np.float32)

    def reply(body: Any, _: int) -> Any:
        return {"scores": [[1, 0, 0]] * len(body["inputs"])}

    ours, server = box(reply, inputs=rows, space=schema)
    ask(ours, rows)
    assert server.bodies[0]["inputs"] == [
        {"age": 42, "job": "cook", "pay": 0.5},
        {"age": 7, "job": "none", "pay": 12.25},
    ]


def test_texts_survive_being_a_tensor(box: Any) -> None:
    texts = ["a plain one", "", "Καλημέρα 🦉\n\x00 end", " "]

    def by_length(body: Any, _: int) -> Any:
        return {"scores": [[1.0, 0.0, 0.0] if text else [0.0, 1.0, 0.0] for text in body["inputs"]]}

    ours, server = box(by_length, inputs=texts, space=TokenSpace(100, 16))
    assert ask(ours, texts).argmax(1).tolist() == [0, 1, 0, 0]
    assert server.bodies[0]["inputs"] == texts


def test_a_score_of_zero_is_a_finite_logit(box: Any) -> None:
    ours, _ = box(lambda body, _: {"scores": [[1, 0, 0]] * len(body["inputs"])})
    logits_BK = ask(ours, images(1))
    assert bool(logits_BK.isfinite().all())
    assert logits_BK.softmax(1)[0].tolist() == pytest.approx([1, 0, 0], abs=1e-30)


# Failures that pass


def test_a_server_that_recovers_is_asked_again(box: Any) -> None:
    def recovering(body: Any, number: int) -> Any:
        return honest(body, number) if number >= 2 else (500, {}, b"oh no")

    ours, server = box(recovering, retries=2)
    assert bool(ask(ours, images(3)).isfinite().all())
    assert len(server.bodies) == 3


def test_an_idle_connection_that_was_closed_is_no_failure(box: Any) -> None:
    ours, server = box(honest, retries=0)
    server.hangs_up = True
    for _ in range(3):
        assert bool(ask(ours, images(2)).isfinite().all())
        time.sleep(0.05)


def test_an_announced_end_of_the_connection_is_no_failure(box: Any) -> None:
    def closing(body: Any, number: int) -> Any:
        return 200, {"Connection": "close"}, json.dumps(honest(body, number)).encode()

    ours, _ = box(closing, retries=0)
    for _ in range(3):
        assert bool(ask(ours, images(2)).isfinite().all())


def test_a_server_that_asks_for_patience_gets_it(box: Any) -> None:
    def busy(body: Any, number: int) -> Any:
        return (429, {"Retry-After": "1"}, b"") if number == 0 else honest(body, number)

    ours, _ = box(busy, retries=1)
    began = time.monotonic()
    ask(ours, images(1))
    assert time.monotonic() - began >= 1


# One bad row


def poisoned(body: Any, number: int, failure: Any) -> Any:
    """Honest, unless an image holds the value 0.75 in its last pixel."""
    if any(image[0][1][1] == 0.75 for image in body["inputs"]):
        return failure(body)
    return honest(body, number)


def spoilt(answer: Any) -> Any:
    def fail(body: Any) -> Any:
        rows = honest(body, 0)["scores"]
        return {
            "scores": [
                answer if image[0][1][1] == 0.75 else row
                for image, row in zip(body["inputs"], rows, strict=True)
            ]
        }

    return fail


def slow(body: Any) -> Any:
    time.sleep(0.6)
    return honest(body, 0)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (lambda _: (500, {}, b"boom"), "HTTP 500 Internal Server Error"),
        (lambda _: (422, {}, b"{}"), "HTTP 422"),
        (lambda _: (200, {}, b"<html>sorry</html>"), "not JSON"),
        (lambda _: {"scores": []}, "one an input, got 0"),
        (lambda _: {"predictions": [1]}, 'expected {"scores": [...]}'),
        (lambda _: [1, 2], 'expected {"scores": [...]}'),
        (slow, "no answer within 0.3 s"),
        (spoilt([float("nan"), 0.5, 0.5]), "NaN"),
        (spoilt([1e999, 0, 0]), "infinity"),
        (spoilt([0.5, 0.5]), "expected 3 scores, one a class, got 2"),
        (spoilt([0.1, 0.2, 5.0]), "a sum of 5.3"),
        (spoilt([-0.5, 0.5, 1.0]), "a lowest of -0.5"),
        (spoilt([None, 0.5, 0.5]), "got null"),
        (spoilt(["0.2", 0.3, 0.5]), "got a text"),
        (spoilt([True, 0, 0]), "a truth value"),
        (spoilt(7), "expected a list of 3 scores"),
        (spoilt([10**400, 0, 0]), "infinity"),
    ],
)
def test_a_poisoned_row_fails_alone(box: Any, failure: Any, says: str) -> None:
    x = images(13)
    x[9, 0, 1, 1] = 0.75
    ours, server = box(lambda body, n: poisoned(body, n, failure), batch=8, timeout=0.3)
    with pytest.raises(QueryFailedError) as caught:
        ask(ours, x)
    error = caught.value
    assert error.rows == (9,)
    assert says in str(error)
    assert "row 9 of 13" in str(error)
    assert server.url in str(error)
    expected = np.log([scores_of(image) for image in x])
    others = [row for row in range(13) if row != 9]
    assert np.allclose(error.answers.numpy()[others], expected[others], atol=1e-6)
    assert bool(error.answers[9].isnan().all())
    assert len(server.bodies) <= 2 + 2 * 3  # bisecting, not one by one


@pytest.mark.parametrize("label", [3, -1, 1.0, True, "cow", None, [1]])
def test_a_label_that_is_no_class_is_refused(box: Any, label: Any) -> None:
    ours, _ = box(lambda body, _: {"labels": [0, label, 2]}, returns="labels")
    with pytest.raises(QueryFailedError) as caught:
        ask(ours, images(3))
    assert caught.value.rows == (1,)
    assert caught.value.answers[[0, 2]].argmax(1).tolist() == [0, 2]


# A box that does not work at all


@pytest.mark.parametrize(
    ("reply", "says", "requests"),
    [
        (lambda *_: (302, {"Location": "http://elsewhere.example/?token=s3cret"}, b""), "redirect", 1),
        (lambda *_: (401, {}, b"s3cret"), "HTTP 401", 1),
        (lambda *_: (404, {}, b""), "HTTP 404", 1),
        (lambda *_: (503, {}, b"s3cret"), "HTTP 503", 20),
        (lambda body, _: {"scores": [[0.5, 0.5]] * len(body["inputs"])}, "expected 3 scores", 1),
        (lambda body, _: {"scores": [[7.0, 2, -1]] * len(body["inputs"])}, "probabilities", 1),
    ],
)
def test_a_box_at_fault_is_told_from_a_bad_row(box: Any, reply: Any, says: str, requests: int) -> None:
    ours, server = box(reply, batch=64)
    with pytest.raises(SubjectUnavailableError) as caught:
        ask(ours, images(64))
    assert says in str(caught.value)
    assert server.url in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(server.bodies) <= requests


def test_nobody_there(box: Any) -> None:
    ours, server = box(honest, retries=1)
    server.stop()
    with pytest.raises(SubjectUnavailableError, match=r"cannot connect: Connection refused \(2 tries\)"):
        ask(ours, images(5))


def test_an_endless_answer_is_cut_off(box: Any) -> None:
    ours, _ = box(lambda *_: (200, {}, b"[" * (2 << 20)))
    with pytest.raises(QueryFailedError, match="an answer of more than"):
        ask(ours, images(1))


def test_a_trickling_answer_has_no_more_time_than_another(box: Any) -> None:
    ours, server = box(honest, timeout=0.3)
    server.pause = 0.05  # each byte is prompt, all of them are not
    began = time.monotonic()
    with pytest.raises(QueryFailedError, match=r"no answer within 0\.3 s"):
        ask(ours, images(1))
    assert time.monotonic() - began < 1


def test_nested_lists_without_end_are_not_json(box: Any) -> None:
    ours, _ = box(lambda *_: (200, {}, b"[" * 200_000))
    with pytest.raises(QueryFailedError, match="not JSON"):
        ask(ours, images(1))


def test_a_nan_of_ours_is_never_sent(box: Any) -> None:
    ours, server = box(honest)
    with pytest.raises(UsageError, match="NaN"):
        ours(torch.full((1, 1, 2, 2), torch.nan))
    assert not server.bodies


# Secrets


def test_a_secret_is_sent_and_never_told(box: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_TOKEN", "Bearer s3cret\n")
    ours, server = box(honest, headers_env={"Authorization": "TINY_TOKEN"})
    version = version_of(ours, dataset_of(images(4)), name="x")
    assert server.headers[0]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in version.record.model_dump_json()
    assert version.record.config["url"] == server.url


@pytest.mark.parametrize("value", [None, "", "two\nlines"])
def test_a_variable_that_holds_no_header_is_named(
    box: Any, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("TINY_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TINY_TOKEN", value)
    with pytest.raises(UsageError, match="TINY_TOKEN"):
        box(honest, headers_env={"X-Key": "TINY_TOKEN"})


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("url", "ftp://example.org/", "http:// or https://"),
        ("url", "file:///etc/passwd", "http:// or https://"),
        ("url", "//example.org/", "http:// or https://"),
        ("url", "http://", "no host"),
        ("url", "http://me:s3cret@example.org/", "user or password"),
        ("url", "http://example.org/?key=s3cret", "query"),
        ("url", "http://example.org/#s3cret", "fragment"),
        ("url", "http://example.org:99999/", "not an address"),
        ("url", "http://example.org/\r\nX: s3cret", "plain ASCII"),
        ("headers_env", {"Authorization": "Bearer s3cret"}, "not the secret"),
        ("headers_env", {"Bad header": "A"}, "name of a header"),
        ("headers_env", {"Content-Length": "A"}, "name of a header"),
    ],
)
def test_what_an_endpoint_cannot_be(field: str, value: Any, says: str) -> None:
    facts: dict[str, Any] = {"url": "http://example.org/", "returns": "scores", field: value}
    with pytest.raises(ValidationError) as caught:
        Endpoint(**facts)
    (problem,) = caught.value.errors(include_input=False)
    assert says in problem["msg"]
    assert "s3cret" not in problem["msg"]


# Fingerprints


def test_the_fingerprint_is_that_of_the_answers(box: Any) -> None:
    data = dataset_of(images(40))

    def digest(reply: Any) -> tuple[str, str]:
        record = version_of(box(reply)[0], data, name="x").record
        return record.weights_digest, record.config["answers"]

    def another(body: Any, number: int) -> Any:
        """Another model: one example of the first 32 is answered differently."""
        rows = honest(body, number)["scores"]
        return {"scores": [*rows[:5], [0.2, 0.3, 0.5], *rows[6:]]}

    def jittery(body: Any, number: int) -> Any:
        rows = np.array(honest(body, number)["scores"])
        rows[:, 0] += 1e-6 * number
        return {"scores": rows.tolist()}

    first = digest(honest)
    assert first == digest(honest)
    assert digest(another)[0] != first[0]
    assert first[1] == "repeat exactly"
    assert digest(jittery)[1] == "differ when asked again"
    assert digest(jittery) == digest(lambda body, number: jittery(body, 2 * number))


# Functions


def test_a_function_is_given_what_it_can_use() -> None:
    seen: list[Any] = []

    def model(x: Any) -> Any:
        seen.append(x)
        return np.array([scores_of(image) for image in x])

    ours = from_callable(model, returns="scores", classes=CLASSES, space=SPACE, batch=3)
    x = images(7)
    assert np.allclose(ask(ours, x).numpy(), np.log([scores_of(image) for image in x]), atol=1e-6)
    assert [part.shape for part in seen] == [(3, 1, 2, 2), (3, 1, 2, 2), (1, 1, 2, 2)]
    assert all(part.dtype == np.float32 for part in seen)


def test_a_function_that_raises_for_one_row_fails_for_that_row() -> None:
    def model(x: Any) -> Any:
        if (x[:, 0, 1, 1] == 0.75).any():
            raise KeyError("no such pixel")
        return torch.tensor([2] * len(x))

    x = images(6)
    x[0, 0, 1, 1] = x[4, 0, 1, 1] = 0.75
    ours = from_callable(model, returns="labels", classes=CLASSES, space=SPACE)
    with pytest.raises(QueryFailedError, match=r"raised KeyError: 'no such pixel'") as caught:
        ask(ours, x)
    assert caught.value.rows == (0, 4)
    assert caught.value.answers[[1, 2, 3, 5]].argmax(1).tolist() == [2, 2, 2, 2]


def test_a_function_that_always_raises_is_given_up_early() -> None:
    calls = []

    def model(x: Any) -> Any:
        calls.append(len(x))
        raise RuntimeError("broken")

    ours = from_callable(model, returns="labels", classes=CLASSES, space=SPACE)
    with pytest.raises(SubjectUnavailableError, match="RuntimeError: broken"):
        ask(ours, images(256))
    assert len(calls) <= 8 + 1 + 3 + 2
