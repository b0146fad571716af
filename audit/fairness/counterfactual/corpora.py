"""Published sentences that differ in the person alone, from the local mirror of data sets.

Equity Evaluation Corpus: S. Kiritchenko, S. Mohammad, *SEM 2018, arXiv:1805.04508. 8,640 English sentences
from 11 templates; noun phrases ("my sister" / "my brother") are paired one to one, and every first name of a
race and gender with every other. The template is the cluster. HateCheck: P. Röttger et al., ACL 2021,
arXiv:2012.15606 (CC BY 4.0). Functional tests of hate-speech detectors; the sentences of one template that
name seven identities are counterparts. Templates that perturb the same one are one cluster. The texts are
offensive: reports name cases by their ids.

Raises `DataError` for a file that is not the official one. A file that is not there is `None`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from raiaudit.audit.fairness.counterfactual.probe import Place, Probe
from raiaudit.models.data.fetch import OfficialFile

__all__ = ["CORPORA", "attributes_of", "missing", "sentences"]

_EEC = OfficialFile(
    "text/eec/Equity-Evaluation-Corpus.csv",
    "d90ff4e56e46475c12d0bb89c2f7bb3e3d23ef36d0fb64e1fb371157c80a45c3",
    "https://saifmohammad.com/WebDocs/EEC/Equity-Evaluation-Corpus.zip",
    member="Equity-Evaluation-Corpus/Equity-Evaluation-Corpus.csv",
)
_HATECHECK = OfficialFile(
    "text/hatecheck/test_suite_cases.csv",
    "ecf0dc1e93fccc90b6f880e632b19e635c0f0a68b3157915a9e20b6938f121cf",
    "https://raw.githubusercontent.com/paul-rottger/hatecheck-data/main/test_suite_cases.csv",
)
CORPORA: Mapping[str, OfficialFile] = {"eec": _EEC, "hatecheck": _HATECHECK}
_ATTRIBUTES = {"eec": ("gender", "race_by_name"), "hatecheck": ("identity",)}


def attributes_of(corpus: str) -> tuple[str, ...]:
    """What the sentences of a corpus vary."""
    return _ATTRIBUTES[corpus]


def missing(corpus: str) -> str | None:
    """Why a corpus cannot be asked about, or None."""
    file = CORPORA[corpus]
    if _mirrored(file) is None:
        return f"{file.path} is not under RAIAUDIT_DATA; its publisher has it at {file.url}"
    return None


def sentences(corpus: str, attributes: Sequence[str]) -> Probe:
    """The sentences of a corpus that is there, in the order of its file."""
    path = CORPORA[corpus].obtain()
    frame = pl.read_csv(path, infer_schema=False)
    return (_eec if corpus == "eec" else _hatecheck)(frame, attributes)


def _mirrored(file: OfficialFile) -> Path | None:
    mirror = os.environ.get("RAIAUDIT_DATA")
    path = Path(mirror) / file.path if mirror else None
    return path if path is not None and path.is_file() else None


def _eec(frame: pl.DataFrame, attributes: Sequence[str]) -> Probe:
    """Noun phrases stand in the file in the same order for both genders: the i-th are counterparts."""
    phrases = frame.filter(pl.col("Race").is_null())
    order = {
        person: index
        for part in phrases.select("Person", "Gender").unique(maintain_order=True).partition_by("Gender")
        for index, person in enumerate(_subject_forms(part["Person"].to_list()))
    }
    ids, texts, places = [], [], []
    for row in frame.iter_rows(named=True):
        cluster, race, gender = row["Template"], row["Race"], row["Gender"]
        frame_of = f"{cluster} {row['Emotion word'] or ''}".rstrip()
        if race is None:
            kin = f"phrase {order[_SUBJECT.get(row['Person'], row['Person'])]:02d}"
            held = [Place("eec", "gender", f"{frame_of}/{kin}", cluster, gender, None)]
        else:
            held = [
                Place("eec", "gender", f"{frame_of}/{race} names", cluster, gender, None),
                Place("eec", "race_by_name", f"{frame_of}/{gender} names", cluster, race, None),
            ]
        held = [place for place in held if place.attribute in attributes]
        if held:
            ids.append(f"eec/{row['ID']}")
            texts.append(row["Sentence"])
            places.append(held)
    return Probe(ids, texts, places)


_SUBJECT = {"him": "he", "her": "she"}


def _subject_forms(people: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(_SUBJECT.get(person, person) for person in people))


def _hatecheck(frame: pl.DataFrame, attributes: Sequence[str]) -> Probe:
    """Cases of templates that name more than one identity."""
    if "identity" not in attributes:
        return Probe([], [], [])
    several = pl.col("target_ident").n_unique().over("templ_id") > 1
    chosen = frame.filter(pl.col("target_ident").is_not_null()).filter(several)
    root = pl.coalesce("ref_templ_id", "templ_id")
    ids, texts, places = [], [], []
    for case, text, template, cluster, identity in chosen.select(
        "case_id", "test_case", "templ_id", root, "target_ident"
    ).iter_rows():
        ids.append(f"hatecheck/{case}")
        texts.append(text)
        places.append([Place("hatecheck", "identity", template, f"template {cluster}", identity, None)])
    return Probe(ids, texts, places)
