"""Words in the names of columns, and what each tells of the column's role. Evidence beside the
values, never alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.data.role_word_lists import (
    ARMS,
    BATCHES,
    CODES,
    DISEASES,
    EVENTS,
    EXACT,
    FLAG,
    GROUP,
    HINTS,
    ID,
    IDS,
    INPUTS,
    MAYBE_ROW_NUMBERS,
    MEDIUM,
    MOMENTS,
    PATIENT,
    ROW_NUMBERS,
    SITES,
    STRONG,
    SURVIVAL,
    TELLING,
)

ROLES = ("outcome", "patient", "site", "time", "split", "input", "left out")


def tokens(name: str) -> list[str]:
    """Return the words of a column's name, in small letters: SubjectID -> subject, id."""
    spaced = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.lower())


def normalise_name(name: str) -> str:
    """Return a name in small letters, joined by underscores."""
    return re.sub(r"[\s\-.]+", "_", name.strip().lower())


def is_exact(name: str) -> bool:
    """Whether a column is called just like an outcome."""
    return normalise_name(name) in EXACT


def exact_name_rank(name: str) -> int:
    """Return the place of an exact name among them; those first are preferred."""
    return EXACT.index(normalise_name(name)) if is_exact(name) else len(EXACT)


def outcome_name_score(parts: Sequence[str]) -> float:
    """How much a name speaks for an outcome: 0.8, 0.5, or 0."""
    there = set(parts)
    if there & {
        "history",
        "family",
        "date",
        "time",
        "days",
        "size",
        "duration",
        "prior",
        "previous",
        "risk",
        "score",
        "age",
    }:
        return 0.0
    if there & STRONG:
        return 0.8
    if there & (MEDIUM | DISEASES):
        return 0.5
    return 0.0


def outcome_values_score(values: Sequence[str]) -> float:
    """How much the different values themselves speak for an outcome."""
    plain = {v.strip().strip("'\"").lower() for v in values}
    if len(plain) >= 2 and plain <= TELLING:
        return 0.25
    return 0.0


def are_arms(values: Sequence[str]) -> bool:
    """Whether values are the arms of a trial: treatment beside control, drug beside placebo."""
    there = {part for v in values for part in re.findall(r"[^\W\d_]+", v.lower())}
    return bool(there & ARMS)


def is_only_disease(parts: Sequence[str]) -> bool:
    """Whether a name speaks for an outcome by an illness alone."""
    there = set(parts)
    return bool(there & DISEASES) and not there & (STRONG | MEDIUM)


def is_known_afterwards(parts: Sequence[str]) -> bool:
    """Whether a name is that of a time that is known only once the outcome is: survival_time, days
    to death.
    """
    there = set(parts)
    return bool(
        there & {"time", "days", "months", "years", "day", "month", "year"}
        and there & (STRONG | {"followup", "follow", "event"})
    )


def is_time_to(parts: Sequence[str], outcome: Sequence[str]) -> bool:
    """Whether a name is that of the time until an event or the end of watching, beside the outcome
    `outcome`: time beside event, OS_MONTHS beside OS_STATUS.
    """
    there = set(parts)
    spans = bool(there & {"time", "days", "months", "years", "duration", "futime", "followup"})
    if spans and there & SURVIVAL:
        return True
    plain = spans and there <= {
        "time",
        "days",
        "months",
        "years",
        "duration",
        "futime",
        "followup",
        "t",
        "in",
        "to",
    }
    return plain and bool(set(outcome) & (EVENTS | SURVIVAL))


def is_place(parts: Sequence[str]) -> bool:
    """Whether a name is that of an address or a code of a catalogue, which many people share."""
    return bool(
        set(parts)
        & {"zip", "zipcode", "plz", "postcode", "postal", "icd", "atc", "ops", "loinc", "snomed"}
    )


def is_input(parts: Sequence[str]) -> bool:
    """Whether a name is that of something known beforehand."""
    return bool(set(parts) & INPUTS)


def is_patient(name: str) -> bool:
    """Whether a name can only mean who a row is of: patient, MRN, SubjectID, pat_nr; not
    patient_age.
    """
    there = set(tokens(name))
    return (bool(there & PATIENT) and there <= PATIENT | ID | {"study", "fall"}) or normalise_name(
        name
    ) in (
        "fall_nr",
        "fall_id",
    )


def is_group(name: str) -> bool:
    """Whether a name may mean rows that belong together: group, case_id, id."""
    there = set(tokens(name))
    return bool(there & (GROUP | {"id"})) and there <= GROUP | ID


def is_site(name: str) -> float:
    """How much a name speaks for a place or machine: 0.9, 0.8, 0.7, or 0."""
    there = set(tokens(name)) - ID
    if not there or normalise_name(name) in ("source_name", "batch_size"):
        return 0.0
    if there <= set(HINTS["domain"]):
        return 0.9
    if there <= SITES | set(HINTS["domain"]):
        return 0.8
    if there <= BATCHES:
        return 0.7
    return 0.0


def row_number_score(name: str) -> float:
    """How much a name (or having none: a blank one, “Unnamed: 0”) speaks for a row number: 0.95,
    0.85, or 0.
    """
    plain = " ".join(re.sub(r"[\W_]+", " ", name.lower()).split())
    plain = re.sub(r"^(unnamed|level|column) \d+$", r"\1", plain)
    maybe = plain in MAYBE_ROW_NUMBERS or bool(
        set(tokens(name)) & {"id", "ids", "nr", "nummer", "number"}
    )
    if plain in ROW_NUMBERS:
        return 0.95
    if maybe:
        return 0.85
    return 0.0


def is_short_id(parts: Sequence[str]) -> bool:
    """Whether a name ends like that of an id in short: sid, pid, rid."""
    return (
        bool(parts)
        and len(parts[-1]) <= 4
        and parts[-1].endswith("id")
        and parts[-1] not in ("acid",)
    )


def is_code(parts: Sequence[str]) -> bool:
    """Whether numbers of that name are codes, telephone or account numbers: zip, PLZ, diag_1,
    phone.
    """
    return bool(set(parts) & CODES)


def is_prediction(parts: Sequence[str]) -> bool:
    """Whether a name is that of a model's answer: predicted_prob, y_pred."""
    return bool(
        set(parts)
        & {
            "pred",
            "preds",
            "predicted",
            "prediction",
            "predictions",
            "yhat",
            "logit",
            "logits",
            "softmax",
        }
    )


def is_moment(parts: Sequence[str]) -> bool:
    """Whether a name is that of a moment: created, timestamp, updated_at, admission_time."""
    return bool(set(parts) & MOMENTS)


def is_date(parts: Sequence[str]) -> bool:
    """Whether a name is that of a day: date, visit_date, Geburtsdatum."""
    return any(
        p.endswith(("date", "datum", "dob", "datetime", "timestamp"))
        and p not in ("update", "candidate")
        for p in parts
    )


def is_id(parts: Sequence[str]) -> bool:
    """Whether the words of a column's name say that it holds ids."""
    return bool(set(parts) & IDS)


def is_case_weight(parts: Sequence[str]) -> bool:
    """Whether a name means how much a case counts (sample_weight, survey_wt, iptw), and not what a
    person weighs.
    """
    there = set(parts)
    if there & {"iptw", "ipw", "ipcw"}:
        return True
    counts = {"sample", "sampling", "survey", "case", "class", "inverse", "design", "propensity"}
    return bool(there & {"weight", "weights", "wt", "wgt"}) and bool(there & counts)


def is_flag(name: str) -> str:
    """“train”, “val” or “test” for a yes-or-no column that marks one part (is_test), else ""."""
    found = FLAG.fullmatch(normalise_name(name))
    if found is None:
        return ""
    word = found["a"] or found["b"] or found["c"]
    if word in ("holdout", "test", "testing"):
        return "test"
    if word.startswith("val"):
        return "val"
    return "train"
