"""Identifiers of simulated subjects, studies and films: outside the ranges of real ones, and free of collisions."""

from __future__ import annotations

import hashlib

from intervalchange.policy import EVALUATION_SEED

PATIENTS_PER_SEED = 16_000
TRAINING_SEEDS = 100
EVALUATION_SEEDS = 25
VISITS_PER_PATIENT = 5
_SEVEN_DIGITS = 10**7


def patient_number(seed: int, index: int) -> int:
    """A number below 2,000,000 for a patient, which subject and study ids are made of.

    Seven free digits hold ten million ids; a patient has up to five studies, so two million patients have ids of
    their own. Seeds 0..99 own 16,000 numbers each, and so do seeds 900,000..900,024, which never meet the former.
    Within these bounds no two patients share a subject or a study id. Other seeds are folded into their family by
    remainder: 123 repeats the ids (never the patients or the films) of 23. Further patients of a seed run on into
    the next seed's numbers.
    """
    evaluation = seed >= EVALUATION_SEED
    seeds = EVALUATION_SEEDS if evaluation else TRAINING_SEEDS
    start = TRAINING_SEEDS * PATIENTS_PER_SEED if evaluation else 0
    own = (seed - EVALUATION_SEED if evaluation else seed) % seeds
    return start + (own * PATIENTS_PER_SEED + index) % (seeds * PATIENTS_PER_SEED)


def subject_id(seed: int, index: int) -> str:
    """2 and seven digits, outside the range of real subjects."""
    return f"2{_scatter(patient_number(seed, index), 'subject'):07d}"


def study_id(seed: int, index: int, visit: int) -> str:
    """6 and seven digits, outside the range of real studies, random with respect to time."""
    return f"6{_scatter(patient_number(seed, index) * VISITS_PER_PATIENT + visit, 'study'):07d}"


def dicom_id(seed: int, index: int, visit: int, view: str = "frontal") -> str:
    """Five groups of eight hexadecimal digits: 160 bits of BLAKE2b."""
    digest = hashlib.blake2b(f"{seed}/{index}/{visit}/{view}".encode(), digest_size=20).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def _scatter(number: int, key: str) -> int:
    """A fixed one-to-one shuffle of 0..9,999,999: four Feistel rounds on 24 bits, repeated while out of range."""
    while True:
        left, right = number >> 12, number & 0xFFF
        for turn in range(4):
            digest = hashlib.blake2b(f"{key}/{turn}/{right}".encode(), digest_size=2).digest()
            left, right = right, left ^ (int.from_bytes(digest) & 0xFFF)
        number = left << 12 | right
        if number < _SEVEN_DIGITS:
            return number
