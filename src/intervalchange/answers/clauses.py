"""A sentence -> evidence: the one place that decides what a statement claims.

Names that stand together are a group; the words before it and after it, up to the next group, are its own. Words
without a group of their own speak of the group before ("it has resolved"), or of the films as a whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from intervalchange.answers.evidence import NAMED, NOW_THERE, OFF_BOTH, OFF_CURRENT, OFF_PRIOR, ON_CURRENT, ON_PRIOR, Evidence
from intervalchange.answers.levels import film_after, film_before, levels_of
from intervalchange.answers.rewriting import rewritten
from intervalchange.answers.tokens import DEVICE, Token, tokens_of

_HARD = re.compile(r"[;?b]")
_GROUP = re.compile(r"[FO](?:[LdRTXaV,&|+wiY]*?[FO])*?(?=[^LdRTXa,&|wi]|[LdRTXa,&|wi]*(?:[^LdRTXa,&|wiFO]|$))")
_JOINED = re.compile(r"[LdRTXa,&|wiF(:]*")
_ATTRIBUTES = frozenset("NGWBSDHLXraEkpzg01CPMmfoV~j")
_EDGES = frozenset(",&w(J:bci|)e")
_TURNED = {"N": "G", "G": "N", "W": "B", "B": "W"}


@dataclass
class Group:
    """Names that share their words."""

    names: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """(finding, sides); a device or what is no finding has "" or `DEVICE`."""
    levels: list[str] = field(default_factory=list)
    """Of each name, the level right before it."""
    before: list[Token] = field(default_factory=list)
    after: list[Token] = field(default_factory=list)
    caused: bool = False
    """Named as the cause of what stands before."""
    comma: int = 0
    """How many names stand before the first comma; 0 where there is none."""
    last_comma: int = 0
    either: bool = False


@dataclass
class Findings:
    """What was read so far, sentence by sentence."""

    evidence: list[Evidence] = field(default_factory=list)
    last: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """The names that "it" and "they" mean."""
    recent: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    """Those that "none of this" means: all so far."""
    last_kind: str = ""
    """What was said of the names before."""
    region: str = ""
    film: str = ""
    """Of the heading above: "P" or "C"."""
    nothing: bool = False
    nothing_new: bool = False
    part_unchanged: bool = False
    hedged_nothing: bool = False
    denied: bool = False
    other: bool = False
    """A change of what is no finding of the library, nor a device."""
    device: bool = False
    unread: list[str] = field(default_factory=list)
    described: set[str] = field(default_factory=set)
    healthy: set[tuple[str, str]] = field(default_factory=set)
    regions: list[tuple[str, str]] = field(default_factory=list)
    """(part of the chest, course) where no finding is named."""


def tags_of(tokens: Sequence[Token]) -> str:
    return "".join(token.tag for token in tokens)


def read_sentence(sentence: str, found: Findings, header: Sequence[Token] = ()) -> None:
    """Add what a sentence says. header: words of a heading that hold for all of it."""
    tokens = rewritten(tokens_of(sentence, found.region))
    if not tokens:
        return
    tags = tags_of(tokens)
    regions = [token.value for token in tokens if token.tag == "R"]
    if regions:
        found.region = regions[0]
    film = found.film
    start = 0
    segments = []
    for match in _HARD.finditer(tags):
        segments.append((tokens[start : match.start()], match.group(), tokens[match.start()].word))
        start = match.end()
    segments.append((tokens[start:], "", ""))
    head, first, asked = list(header), True, False
    contrast = False
    for segment, mark, word in segments:
        head, film = _read_segment(segment, found, head, film, first, mark == "?", contrast, sentence)
        contrast = word in ("but", "while", "whereas", "yet", "however")
        if mark == ";":
            head = list(header)
        first = False


def _read_segment(
    tokens: list[Token], found: Findings, header: list[Token], film: str, first: bool, asked: bool,
    contrast: bool, sentence: str,
) -> tuple[list[Token], str]:
    """Read one part of a sentence; what heads the parts that follow, and the film it ends with."""
    if not tokens:
        return header, film
    groups, lead = grouped(tokens)
    if ":" in tags_of(lead):
        cut = len(lead) - 1 - tags_of(lead)[::-1].index(":")
        headed, lead = lead[:cut], lead[cut + 1 :]
        if set(tags_of(headed)) & set("NGWBSHDEPCZmjkpo"):
            header = headed
    if "K" in tags_of(tokens):
        _of_health(tokens, found, film)
    named = [group for group in groups if any(name for name, _ in group.names)]
    if groups and lead:
        own = set(tags_of(lead))
        if own & set("NGWBSpkoj~m") and not own & set("F") and (
            (found.last and ("J" in own or not first)) or (own & set("mS") and tags_of(lead)[-1] in ",&w")
        ):
            _without_names(lead, found, header, film, first, asked, sentence)
        else:
            groups[0].before = lead + groups[0].before
    if not groups:
        return header, _without_names(tokens, found, header, film, first, asked, sentence)
    before = len(found.evidence)
    for index, group in enumerate(groups):
        own_films = [token.tag for token in (*group.before, *group.after) if token.tag in "PC"]
        if group.before and (films := [token.tag for token in group.before if token.tag in "PC"]):
            film = films[-1]
        _of_group(group, found, header, film, asked)
        if own_films:
            film = own_films[-1]
    if "^" in tags_of(tokens) and found.last_kind:
        found.evidence += [replace(one, kind=found.last_kind) for one in found.evidence[before:] if one.kind == NAMED]
    _contrast(groups, contrast, found, before)
    _of_only(groups, found)
    kinds = [one.kind for one in found.evidence[before:] if one.kind in "NGWBS"]
    found.last_kind = kinds[-1] if kinds else found.last_kind
    if named:
        found.recent = [*dict.fromkeys([*found.recent, *(n for g in named for n in g.names if n[0] and n[0] != DEVICE)])]
        found.last = [name for group in named for name in group.names if name[0] and name[0] != DEVICE]
    return header, film


_OPPOSITE = {"N": "S", "S": "N", "G": "S", "W": "S", "B": "S"}


def _contrast(groups: Sequence[Group], contrast: bool, found: Findings, start: int) -> None:
    """ "The pneumothorax isn't new, but the fractures are": what is said of one is not so of the other."""
    last = groups[-1]
    if contrast and found.last_kind and tags_of(last.after) in ("V", "U", "VD", "k") and not tags_of(last.before).strip("dRLX"):
        kind = _OPPOSITE.get(found.last_kind, NAMED)
        found.evidence[start:] = [replace(one, kind=kind) for one in found.evidence[start:]]


def _of_only(groups: Sequence[Group], found: Findings) -> None:
    """ "Of which only the edema remains": the others that were named with it have gone."""
    first = groups[0]
    if "E" in tags_of(first.before) and "S" in tags_of(first.after) and found.last:
        kept = {name for name, _ in first.names}
        found.evidence += [Evidence(name, OFF_CURRENT, sides) for name, sides in found.last if name not in kept]


# --- groups ------------------------------------------------------------------------------------------------------


def grouped(tokens: list[Token]) -> tuple[list[Group], list[Token]]:
    """The groups of names with their words, and what stands before the words of the first."""
    tags = tags_of(tokens)
    spans = [match.start() for match in re.finditer("[FO]", tags)]
    if not spans:
        return [], tokens
    runs: list[list[int]] = [[spans[0]]]
    for here, there in zip(spans, spans[1:], strict=False):
        between = tags[here + 1 : there]
        if _JOINED.fullmatch(between) and not ("O" in (tags[here], tags[there]) and between):
            runs[-1].append(there)
        else:
            runs.append([there])
    groups = [_group(tokens, run) for run in runs]
    lead: list[Token] = []
    for index, run in enumerate(runs):
        start = runs[index - 1][-1] + 1 if index else 0
        between = tokens[start : run[0]]
        cut = _cut(between, bool(index), bool(index) and _has_course(groups[index - 1].before))
        if index:
            groups[index - 1].after = between[:cut]
            groups[index].caused = tags_of(between[:cut]).rstrip("Ld").endswith("c")
        else:
            lead = between[:cut]
        groups[index].before = between[cut:]
    groups[-1].after = tokens[runs[-1][-1] + 1 :]
    for group in groups:
        attached = list(itertools.takewhile(lambda token: token.tag in "LdRXaT", reversed(group.before)))
        level = next((token.value for token in attached if token.tag == "L"), "")
        group.levels[0] = group.levels[0] or level
    for one, other in itertools.pairwise(groups):
        _share(one, other)
    return groups, lead


def _share(one: Group, other: Group) -> None:
    """What two groups in a row lend each other: "the opacity, probably atelectasis, is smaller", "mild edema has given
    way to severe edema"."""
    before, between = tags_of(other.before), tags_of(one.after)
    if between in (",", "(") and before.startswith("H") and tags_of(other.after)[:1] in (",", ")"):
        one.after = other.after
        other.after = []
    if "t" in between + before and one.names[0][0] == other.names[0][0] and one.levels[-1] and other.levels[0]:
        one.after = [*one.after, Token("P", "", "")]
        other.before = [Token("C", "", ""), *other.before]


def _group(tokens: list[Token], run: list[int]) -> Group:
    group = Group()
    for order, index in enumerate(run):
        previous = run[order - 1] if order else -1
        between = tokens[previous + 1 : index] if order else []
        inner = tags_of(between)
        if order and "," in inner:
            group.comma = group.comma or order
            group.last_comma = order
        if "|" in inner:
            group.either = True
        level = next((token.value for token in reversed(between) if token.tag == "L"), "")
        group.names.append((tokens[index].value, _sides(tokens, index, run)))
        group.levels.append(level)
    return group


def _sides(tokens: list[Token], index: int, run: list[int]) -> frozenset[str]:
    """Words of place right before and right after a name."""
    found: list[str] = []
    step = index - 1
    while step >= 0 and tokens[step].tag in "dLRaXNGWBSHVgM":
        if tokens[step].tag == "d":
            found.append(tokens[step].word)
        step -= 1
    step = index + 1
    while step < len(tokens) and tokens[step].tag in "dRL,":
        if tokens[step].tag == "," and not (step + 1 < len(tokens) and tokens[step + 1].tag == "d"):
            break
        if tokens[step].tag == "d":
            found.append(tokens[step].word)
        step += 1
    return places(found)


_PLACES = {
    **dict.fromkeys(("right", "r", "rt", "right sided", "rightward"), ("right",)),
    **dict.fromkeys(("left", "l", "lt", "left sided", "leftward"), ("left",)),
    **dict.fromkeys(("bilateral", "bilaterally", "bibasilar", "bibasal", "biapical"), ("left", "right")),
    "rul": ("right", "upper"), "rml": ("right", "middle"), "rll": ("right", "lower"),
    "lul": ("left", "upper"), "lll": ("left", "lower"), "lingula": ("left", "middle"), "lingular": ("left", "middle"),
    **dict.fromkeys(("lower", "base", "bases", "basal", "basilar"), ("lower",)),
    **dict.fromkeys(("upper", "apical", "apex", "apices"), ("upper",)),
    **dict.fromkeys(("middle", "mid"), ("middle",)),
}  # fmt: skip


def places(words: Sequence[str]) -> frozenset[str]:
    """Words of place as sides, each with its zone where it has one: "right lower"."""
    sides = {part for word in words for part in _PLACES.get(word, ()) if part in ("left", "right")}
    zones = {part for word in words for part in _PLACES.get(word, ()) if part not in ("left", "right")}
    if sides and zones:
        return frozenset(f"{side} {zone}" for side in sides for zone in zones)
    return frozenset(sides | zones)


def _has_course(tokens: Sequence[Token]) -> bool:
    return any(token.tag in "NGWBSg" for token in tokens)


def _cut(between: list[Token], follows: bool, marked: bool) -> int:
    """Where the words after a group end and those before the next one begin."""
    tags = tags_of(between)
    cut = len(tags)
    while cut and tags[cut - 1] in _ATTRIBUTES or cut and tags[cut - 1] in "dRTY":
        cut -= 1
    if cut == 0 and follows:
        stop = re.search(r"[DHE]|N(?=$)", tags)
        if not marked and not stop:
            return len(tags)
        if not marked and stop:
            return stop.start() if stop.start() or tags[stop.start()] in "DH" else len(tags)
        return 0
    if cut and tags[cut - 1] not in _EDGES:
        return len(tags) if follows and not re.search(r"[DH]", tags[cut:]) and tags[cut:].strip("RLTdV") else cut
    return cut


# --- what a group says -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """What words say of the names they belong to."""

    kinds: tuple[str, ...]
    """Courses or states."""
    hedged: bool = False


def judged(before: str, after: str, film: str, asked: bool = False, growth_is_course: bool = False) -> Judged:
    """What the words before and after a group say of it. film: the one the sentence speaks of, "" for none."""
    before, after = before.replace("m", "S"), after.replace("m", "S")
    both = before + after
    hedged = asked or "H" in before or bool(re.search(r"H(?!c)", after))
    if re.search(r"N[|&]?[/|]?W|W[|]N", both):
        return Judged(("N",), True)
    courses = [tag for tag in both if tag in "NGWBS"]
    if "g" in both and not set(courses) - {"S"}:
        courses.append("W") if ("S" in courses or "a" in both or growth_is_course) else None
        if not courses:
            return Judged(("N",), True)
    denied = bool(re.search(r"[Dkz1]", before.rpartition(":")[2])) and not re.search(r"[Dk1].*N", before)
    denied |= bool(re.match(r"[^NGWBSopj]*[Dkz]", after)) and not set(courses) & set("NGWB") and "o" not in both
    denied |= bool(set("Dkz") & set(after)) and set(courses) == {"S"}
    if denied and "p" not in both and "o" not in both:
        if "z" in both or "Z" in both:
            return Judged((OFF_BOTH,), hedged)
        if "D" in both and "k" not in both and film == "P" and "C" not in both:
            return Judged((OFF_PRIOR,), hedged)
        if set(courses) & set("WBS") and "D" not in before and "k" not in before:
            return Judged((OFF_CURRENT,), hedged)
        return Judged((OFF_CURRENT,), hedged)
    if courses:
        return Judged((_course(courses, before, after),), hedged)
    states = [{"~": OFF_PRIOR}.get(tag, tag) for tag in both if tag in "opjkz~"]
    if "D" in both:
        states.append(OFF_CURRENT)
    if states:
        if set(states) == {OFF_PRIOR} and film != "P":
            states.append(ON_CURRENT)
        return Judged(tuple(dict.fromkeys(states)), hedged)
    if "Z" in both:
        return Judged(("S",), hedged)
    if re.search(r"n[VdLXR,]*$", before):
        return Judged((NOW_THERE,), hedged)
    own = [tag for part in both.split(",") if "K" not in part for tag in part if tag in "PC"]
    if "P" in own and "C" in own:
        return Judged((ON_PRIOR, ON_CURRENT), hedged)
    of = own[0] if own else film
    return Judged(({"P": ON_PRIOR, "C": ON_CURRENT}.get(of, NAMED),), hedged)


def _course(courses: Sequence[str], before: str, after: str) -> str:
    """One course of several words for it; turned round where the prior is what is spoken of."""
    kinds = set(courses)
    if "S" in kinds and len(kinds) > 1:
        kinds.discard("S")
    course = courses[-1] if len(kinds) > 1 and "G" not in kinds else next(iter(kinds)) if len(kinds) == 1 else "G"
    if kinds == {"N", "W"} or kinds == {"N", "B"}:
        course = "N"
    if kinds == {"G", "B"}:
        course = "G"
    both = before + after
    if "P" in both and "C" not in both and course in _TURNED:
        spoken_of = bool(re.search(r"P[dR]*[VU][^,]*[NGWB]", both))
        if course in "WB" and (spoken_of or re.search(r"[WB].*P|P.*U.*[WB]", both) and "U" in both):
            return _TURNED[course]
        if course in "NG" and spoken_of:
            return _TURNED[course]
    return course


def _of_group(group: Group, found: Findings, header: Sequence[Token], film: str, asked: bool) -> None:
    before, after = tags_of(group.before), tags_of(group.after)
    if group.before and any(token.word == "now" for token in group.before):
        before = "".join("n" if token.word == "now" else token.tag for token in group.before)
    own = set(before + after)
    headed = bool(header) and not own & set("NGWB")
    if headed:
        before = tags_of(header) + ":" + before if not own & set("SDk") or "H" in tags_of(header) else before
    names = [name for name, _ in group.names]
    if group.caused and not own & set("NGWBS"):
        return
    if not any(name and name != DEVICE for name in names):
        _of_other(names, before + after, found)
        return
    split = 0
    if len(names) > 1 and set("NGWB") & set(before) and re.match(r"[VUaXC]*[NGWBS]", after):
        split = group.comma
    elif len(names) > 1 and set("NGWBS") & set(before) and re.match(r"[VU]*H", after):
        split = group.last_comma
    for order, (name, sides) in enumerate(group.names):
        if not name or name == DEVICE:
            continue
        if split:
            said = judged(before, "", film, asked) if order < split else judged("", after, film, asked)
        else:
            said = judged(before, after, film, asked)
        hedged = said.hedged or (group.either and said.kinds[0] not in (OFF_CURRENT, OFF_BOTH, OFF_PRIOR, "G", "S"))
        for kind in said.kinds:
            found.evidence.append(Evidence(name, kind, sides, hedged))
            if kind in (OFF_CURRENT, OFF_BOTH, OFF_PRIOR):
                found.denied = True
            if kind in (ON_PRIOR, ON_CURRENT) and not hedged:
                found.described.add("P" if kind == ON_PRIOR else "C")
        _of_levels(name, group.levels[order], group, said, found, film, sides)


def _of_levels(
    name: str, own: str, group: Group, said: Judged, found: Findings, film: str, sides: frozenset[str]
) -> None:
    """The levels of a name, each with its film."""
    if said.hedged:
        return
    after = levels_of(group.after, film)
    if own:
        of = film_before(group.before, film) or film_after(group.after) or film
        if after == [("", own)] or not any(at == of for at, _ in after):
            after = [(of, own), *after]
    for of, level in after:
        found.evidence.append(Evidence(name, "level", sides, False, of, level))


def _of_other(names: Sequence[str], tags: str, found: Findings) -> None:
    """A change of a device, or of what is no finding of the library."""
    if all(name == DEVICE for name in names):
        found.device = True
    elif set(tags) & set("NGWB") and not set("DkH") & set(tags):
        found.other = True
    elif set(tags) & set("Dk"):
        found.denied = True


def _of_health(tokens: Sequence[Token], found: Findings, film: str) -> None:
    """ "The lungs are clear", of a film or of both."""
    tags = tags_of(tokens)
    at = tags.index("K")
    start = max(tags.rfind(",", 0, at), tags.rfind(";", 0, at)) + 1
    end = next((index for index in range(at, len(tags)) if tags[index] in ",;"), len(tags))
    films = [tag for tag in tags[start:end] if tag in "PCZ"] or ([film] if film else []) or [tag for tag in tags[:start] if tag in "PC"][-1:]
    regions = [token.value for token in tokens[:end] if token.tag == "R"] or ([found.region] if start else [""])
    for of in films or ["C"]:
        for region in regions:
            for one in ("P", "C") if of == "Z" else (of,):
                found.healthy.add((one, region))


# --- words without a name ------------------------------------------------------------------------------------------


def _of_last(tokens: Sequence[Token], found: Findings, film: str, asked: bool) -> None:
    """Words about the names before."""
    tags = tags_of(tokens)
    said = judged("", tags, film, asked, growth_is_course=True)
    sides = places([token.word for token in tokens if token.tag == "d"])
    all_of_it = any(token.word.startswith(("none", "neither", "do not", "all of")) for token in tokens) and "J" in tags
    for name, known in found.recent if all_of_it or re.search(r"[pkzoj]", tags) and "J" not in tags and found.recent else found.last:
        for kind in said.kinds:
            if kind != NAMED:
                found.evidence.append(Evidence(name, kind, sides or known, said.hedged))
        if not said.hedged:
            for of, level in levels_of(tokens, film):
                found.evidence.append(Evidence(name, "level", sides or known, False, of, level))


def _without_names(
    tokens: list[Token], found: Findings, header: Sequence[Token], film: str, first: bool, asked: bool, sentence: str
) -> str:
    """A part of a sentence that names nothing: of what stands before, of a part of the chest, or of the whole film."""
    tags = tags_of(tokens)
    kinds = set(tags)
    films = [tag for tag in tags if tag in "PC"]
    if "H" in kinds and kinds & set("mM0S"):
        found.hedged_nothing = True
        return films[-1] if films else film
    refers = "J" in kinds or not first or (bool(films or kinds & set("pk")) and bool(kinds & set("pkojD")))
    about_last = bool(found.last) and refers and "Q" not in kinds and "R" not in kinds
    if "m" in kinds:
        if about_last and tags.startswith("J"):
            _of_last([Token("S", "", "no change")], found, film, asked)
        elif "R" in kinds:
            found.part_unchanged = True
        else:
            found.nothing = True
        return film
    if "0" in kinds:
        found.nothing_new = True
        return film
    if "K" in kinds:
        if about_last and first is False and "G" not in kinds and not kinds & set("NWB"):
            return films[-1] if films else film
        if "S" in kinds or "Z" in kinds or "Q" in kinds:
            found.part_unchanged = True
        found.denied = True
        return films[-1] if films else film
    if about_last and kinds & set("NGWBSopjk~LDgZ"):
        _of_last(tokens, found, film, asked)
        return films[-1] if films else film
    if "S" in kinds and not kinds & set("NGWB") and not asked:
        if "R" in kinds:
            found.part_unchanged = True
            for token in tokens:
                if token.tag == "R":
                    found.regions.append((token.value, "S"))
        else:
            found.nothing = True
        return film
    if "R" in kinds and kinds & set("NGWBg"):
        course = next(tag for tag in tags if tag in "NGWBg")
        found.regions += [(token.value, course) for token in tokens if token.tag == "R"]
        return film
    if "1" in kinds or "D" in kinds or "k" in kinds or "z" in kinds:
        found.denied = True
        return films[-1] if films else film
    if kinds & set("NGWBM"):
        found.unread.append(" ".join(sentence.split()))
    return films[-1] if films else film
