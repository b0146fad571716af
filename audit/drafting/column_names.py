"""Names by which people call their columns, in lower case with `_` for whatever is no letter or digit."""

from __future__ import annotations

__all__ = ["GROUPS", "IDS", "LABELS", "SPLITS", "TEXTS"]

LABELS = (
    "label",
    "labels",
    "target",
    "y",
    "class",
    "outcome",
    "response",
    "ground_truth",
    "income",
    "survived",
    "default",
    "defaulted",
    "churn",
    "churned",
    "exited",
    "approved",
    "admitted",
    "hired",
    "repaid",
    "fraud",
    "is_fraud",
    "spam",
    "is_spam",
    "toxic",
    "sentiment",
    "polarity",
    "stars",
    "rating",
    "species",
    "diagnosis",
    "readmitted",
    "recidivism",
    "two_year_recid",
    "recid",
    "category",
    "grade",
    "digit",
    "attrition",
)
"""What is predicted; the first that is found is taken."""

IDS = (
    "id",
    "ids",
    "row_id",
    "rowid",
    "row",
    "index",
    "idx",
    "key",
    "uuid",
    "uid",
    "guid",
    "pk",
    "record",
    "example",
    "example_id",
    "sample_id",
    "unnamed_0",
)
"""What names a row."""

GROUPS = (
    "sex",
    "gender",
    "race",
    "ethnicity",
    "race_ethnicity",
    "ethnic_group",
    "age",
    "age_group",
    "age_band",
    "age_cat",
    "age_range",
    "agegroup",
    "nationality",
    "native_country",
    "country_of_birth",
    "religion",
    "disability",
    "disabled",
    "marital_status",
    "skin_tone",
    "skin_type",
    "skin_color",
    "skin_colour",
    "sexual_orientation",
    "pregnant",
    "veteran",
    "native_language",
)
"""Attributes of people by which they may be treated unalike."""

TEXTS = (
    "text",
    "sentence",
    "review",
    "comment",
    "message",
    "tweet",
    "body",
    "content",
    "document",
    "abstract",
    "question",
    "phrase",
)
"""What a person wrote."""

SPLITS = (
    "split",
    "fold",
    "subset",
    "partition",
    "dataset_split",
    "set",
)
"""What says which rows are for training."""
