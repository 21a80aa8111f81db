"""Which DICOM is a frontal chest film: what its header says of the modality, the part of the body and the view.

The same words for one file given to `answer` and for a hospital's folder. A header says yes, no, or something that
is not known here: a word that nobody knows is never read as "no".
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

Kind = Literal["radiograph", "other", "unknown"]
Part = Literal["chest", "other", "unknown", ""]
View = Literal["PA", "AP", "frontal", "lateral", "either", ""]
"""lateral: not frontal. either: it names a frontal view and another. Empty: not said in words that are known here."""

RADIOGRAPHS = ("CR", "DX", "DR", "RG", "XR", "RX")
"""CR, DX and RG (digitised film) are terms of the standard; DR, XR and RX are what devices and archives write."""
UNSAID = ("", "OT", "SC")
"""What digitised films and secondary captures are filed as: it may be a radiograph."""
FORCIBLE = ("RF", "XA")
"""Other X-ray projections. A spot film of a fluoroscopy may show contrast medium or an instrument: not by default."""
OTHERS = (
    *("AR", "AS", "ASMT", "AU", "BDUS", "BI", "BMD", "CD", "CF", "CFM", "CP", "CS", "CT", "CTPROTOCOL", "DD"),
    *("DF", "DG", "DM", "DMS", "DOC", "DS", "EC", "ECG", "EEG", "EMG", "EOG", "EPS", "ES", "FA", "FID", "FS"),
    *("GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LP", "LS", "M3D", "MA", "MG", "MR"),
    *("MS", "NM", "OAM", "OCT", "OP", "OPM", "OPR", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "PA", "PLAN"),
    *("POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD"),
    *("RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "ST", "STAIN", "TEXTUREMAP"),
    *("TG", "US", "VA", "VF", "XA", "XAPROTOCOL", "XC"),
)
"""The other modalities of the standard (PS3.3 C.7.3.1.1.1, retired ones too): what an error may name."""
STORAGE = "1.2.840.10008.5.1.4.1.1."
PLAIN_STORAGE = ("1", "1.1", "1.1.1", "7")
"""SOP classes of CR, of DX for presentation and for processing, and of secondary captures (7, 7.x)."""

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")
"""Asked for the view in this order: the last is about all films of a study."""

PA = r"\bp ?a\d*\b|poster(?:o|ior) ?anter|\bpost ant\b|dorso ?ventral|tylno ?przed|задн\w* ?перед|[后後]前"
AP = r"\ba ?p\d*\b|anter(?:o|ior) ?poster|\bant post\b|ventro ?dorsal|przed\w* ?tyl|передн\w* ?задн|前[后後]"
PRESUMED_AP = r"portable|bedside|supine|liegend|decubito supino|\ba letto\b|\bau lit\b"
FRONTAL = r"\bfrontal|\bde face\b|\bface$|\bfrente\b|\blordo|\b[lr]ld\b|decub|正位|正面"
"""A film in decubitus is a frontal one of a patient who lies on the side."""
LATERAL = (
    r"\blat(?:eral\w*)?\d*\b(?! ?decub)|latero ?lateral|\b(?:ll|rl|ml|lm)\b|seitlich|\bprofile?\b|\bperfil\b|\bboczn"
    r"|бок|[侧側]"
)
OBLIQUE = r"obliq|oblic|\bobl\b|schrag|\b[lr][ap]o\b|\b[lr]lo\b|\bmlo\b|\bskosn|косая|斜"
VIEW_CODES: dict[str, View] = {
    **dict.fromkeys(("R-10214", "272479007"), "PA"),
    **dict.fromkeys(("R-10206", "399348003"), "AP"),
    **dict.fromkeys(("R-10232", "R-10236", "399198007", "399173006"), "lateral"),
}
"""SNOMED, old and new, of views whose meaning is not written out."""

SPINE = (
    r"(?:thora\w*|tora\w*|brust|dorsal\w*) ?(?:(?:spine|vertebra|wirbel|wervel|colum|colun|colonn|rachis)\w*)"
    r"|(?:spine|vertebra|colum|colun|colonn|rachis)\w* (?:thora|tora|dorsal)\w*|th?oraco ?lumb\w*"
)
"""A part of the name of the chest is in that of the spine behind it."""
CHEST = (
    r"chest|thora|\btora[xck]|pecho|poitrine|\bbrust|\bborst|\bbrost|\bbryst|pulm[oa]|\blung|\bheart|\bherz|\bcoeur|corazon"
    r"|coracao|\bcuore|rib ?cage|\bcxr\b|klatk|\bpluc|hrudn|mellkas|\bpiept|gogus|akciger|keuhko|груд|легк|胸|肺|흉부"
    r"|صدر|חזה|θωρα"
)
OTHER_PARTS = (
    r"abdom|pelvi|\bhip|knee|\bhands?\b|wrist|\bfoot|\bfeet|ankle|should|elbow|spine|skull|\bhead|\bneck|femur|tibia"
    r"|fibula|humer|forearm|finger|thumb|\btoes?\b|sinus|cervic|lumb|sacr|coccy|mammo|breast|\blegs?\b|\barms?\b|\bkub\b"
    r"|\bribs?\b|clavic|scapul|stern|\bjaw|mandib|maxil|facial|orbit|teeth|dental|heel|calcan|patell|extremit|brain"
    r"|\beyes?\b|stomach|colon\b|esophag|bladder|kidney|renal|carotid|airway|nasal|zygo"
    r"|rodilla|\bmanos?\b|muneca|cadera|tobillo|hombro|\bcodo|columna|craneo|\bpies?\b|cuello|costilla"
    r"|genou|\bmains?\b|poignet|hanche|cheville|epaule|\bcoude|rachis|\bcrane|\bpieds?\b|bassin"
    r"|ginocchio|polso|\banca\b|caviglia|spalla|gomito|colonna|cranio|\bpiede|bacino|addom"
    r"|joelho|\bmao\b|punho|quadril|tornozelo|ombro|cotovelo|coluna"
    r"|\bknie|handgelenk|\bfuss|schulter|becken|wirbel|\b[hlb]ws\b|schadel|ellenbogen|\bhuft|unterschenkel|oberschenkel"
    r"|kolan|\breka\b|biodr|miednic|brzuch|kregos|живот|колен|таз|[膝手腹足肩頭头腰颈頸骨]"
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is let in although its header names something else: words as the headers write them."""

    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    views: tuple[str, ...] = ()


NOTHING_MORE = Admitted()


def _plain(text: str) -> str:
    """Lower case, no accents, single blanks for all that is neither letter nor digit."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    composed = unicodedata.normalize("NFC", letters).casefold().replace("ł", "l")
    return " ".join(re.sub(r"[\W_]+", " ", composed).split())


def header_text(header: Any, name: str) -> str:
    """An element as text, empty where absent: as UTF-8 or in the character set that the header names."""
    item = header.get_item(name)
    value = None if item is None else item.value
    if not isinstance(value, bytes):
        text = "" if value is None else value if isinstance(value, str) else " ".join(map(str, _several(value)))
        if any(ord(letter) > 255 for letter in text):
            return text.strip("\0 ")
        # pydicom reads code strings as Latin-1, whatever their bytes are.
        value = text.encode("latin-1")
    for encoding in (*_declared(header), "utf-8"):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            return value.decode(encoding).strip("\0 ")
    return value.decode("latin-1").strip("\0 ")


def _several(value: Any) -> list[Any]:
    return [value] if isinstance(value, (int, float)) or not hasattr(value, "__iter__") else list(value)


def _declared(header: Any) -> list[str]:
    """Python's names of the character sets of a header, but for Latin-1, in which every byte is a letter."""
    from pydicom.charset import python_encoding

    sets = header.get("SpecificCharacterSet") or ""
    names = [sets] if isinstance(sets, str) else list(sets)
    found = [python_encoding.get(str(name), "") for name in reversed(names) if name]
    return [name for name in found if name not in ("", "iso8859", "latin_1", "utf8", "ascii")]


# --- modality ------------------------------------------------------------------------------------------------------


def modality_of(header: Any) -> str:
    """The first code of the modality, in capitals."""
    words = re.split(r"[^A-Z0-9]+", header_text(header, "Modality").upper().strip())
    return words[0]


def kind_of(header: Any, admitted: Admitted = NOTHING_MORE) -> Kind:
    """Whether it is a radiograph. unknown: filed as something else, under an unknown word, or under none."""
    modality = modality_of(header)
    if modality in RADIOGRAPHS or modality in map(str.upper, admitted.modalities):
        return "radiograph"
    if modality in OTHERS:
        return "other"
    storage = header_text(header, "SOPClassUID")
    known = storage.startswith(STORAGE) and modality not in UNSAID
    rest = storage.removeprefix(STORAGE)
    return "other" if known and rest not in PLAIN_STORAGE and not rest.startswith("7.") else "unknown"


# --- part of the body ----------------------------------------------------------------------------------------------


@lru_cache(4096)
def named_part(text: str) -> Part:
    """chest, other, or empty where the text names neither."""
    plain = re.sub(SPINE, "spine", _plain(text))
    if re.search(CHEST, plain):
        return "chest"
    return "other" if re.search(OTHER_PARTS, plain) else ""


def part_of_body(header: Any, admitted: Admitted = NOTHING_MORE) -> Part:
    """By body part, else anatomic region, else the descriptions. unknown: named in words that are not known here."""
    body, region = header_text(header, "BodyPartExamined"), _meaning(header, "AnatomicRegionSequence")
    texts = (body, region, " ".join(header_text(header, name) for name in DESCRIPTIONS))
    for text in texts:
        part = named_part(text)
        if part:
            return "chest" if part == "other" and _among(admitted.body_parts, text) else part
    return "unknown" if body or region else ""


def _among(names: tuple[str, ...], text: str) -> bool:
    """Whether one of the names is in a text, as whole words."""
    return any(f" {_plain(name)} " in f" {_plain(text)} " for name in names)


# --- view ----------------------------------------------------------------------------------------------------------


@lru_cache(4096)
def named_view(text: str, of_one_film: bool = True) -> View:
    """The view that a text names. of_one_film: not a description, which may be of several films."""
    plain = _plain(text)
    named: list[View] = [view for view, words in (("PA", PA), ("AP", AP)) if re.search(words, plain)]  # type: ignore[misc]
    if not named and re.search(FRONTAL, plain):
        named = ["frontal"]
    oblique = re.search(OBLIQUE, plain)
    if oblique and (of_one_film or not named):
        return "lateral"
    if oblique or re.search(LATERAL, plain):
        return "either" if named else "lateral"
    if re.search(PRESUMED_AP, plain) and named in ([], ["frontal"]):
        return "AP"
    return "frontal" if len(named) > 1 else named[0] if named else ""


def view_of(header: Any, admitted: Admitted = NOTHING_MORE) -> View:
    """By view position, else view code, else patient orientation, else the descriptions.

    A header that says frontal and not which may get PA or AP from its descriptions.
    """
    position = header_text(header, "ViewPosition")
    view = _by_codes(header, position)
    if view in ("", "frontal", "either"):
        view = _by_descriptions(header, view)
    if view not in ("lateral", "either") or not admitted.views:
        return view
    texts = (position, _meaning(header, "ViewCodeSequence"), *(header_text(header, name) for name in DESCRIPTIONS))
    return "frontal" if any(_among(admitted.views, text) for text in (view, *texts)) else view


def says_a_view(header: Any) -> bool:
    """Whether a view is written, known or not."""
    return bool(header_text(header, "ViewPosition") or _meaning(header, "ViewCodeSequence"))


def _by_codes(header: Any, position: str) -> View:
    first, second = named_view(position), _by_view_code(header)
    if first == "frontal" and second in ("PA", "AP"):
        return second
    definite: View = next((view for view in (first, second) if view not in ("", "either")), "")
    return definite or _by_orientation(header) or first or second


def _by_view_code(header: Any) -> View:
    codes = header.get("ViewCodeSequence")
    if not codes:
        return ""
    named: View = VIEW_CODES.get(header_text(codes[0], "CodeValue"), "")
    return named_view(_meaning(header, "ViewCodeSequence")) or named


def _by_orientation(header: Any) -> View:
    """Frontal where rows and columns run along the body and across it, lateral where one runs from front to back."""
    letters = {direction[:1] for direction in orientation_of(header)}
    if letters & {"A", "P"}:
        return "lateral"
    return "frontal" if letters & {"L", "R"} and letters & {"F", "H"} else ""


def _by_descriptions(header: Any, view: View) -> View:
    for name in DESCRIPTIONS:
        described = named_view(header_text(header, name), of_one_film=False)
        if described in ("PA", "AP") or (described in ("lateral", "either") and view != "frontal"):
            return described
        if view != "frontal":
            view = described or view
    return view


def orientation_of(header: Any) -> tuple[str, ...]:
    """The directions of a row and of a column, in capitals, as far as they are written."""
    return tuple(re.findall(r"[A-Z]+", header_text(header, "PatientOrientation").upper()))


def _meaning(header: Any, name: str) -> str:
    codes = header.get(name)
    return header_text(codes[0], "CodeMeaning") if codes else ""
