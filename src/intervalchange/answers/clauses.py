"""A sentence -> evidence: the one place that decides what a statement claims.

Words without names of their own speak of the names before ("it has resolved"), of a part of the chest, or of the films
as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from intervalchange.answers.evidence import NAMED, OFF_BOTH, OFF_CURRENT, OFF_PRIOR, ON_CURRENT, ON_PRIOR, Evidence
from intervalchange.answers.groups import Group, grouped, places, tags_of
from intervalchange.answers.judging import Judged, judged
from intervalchange.answers.levels import film_after, film_before, levels_of
from intervalchange.answers.names import REGIONS
from intervalchange.answers.rewriting import rewritten
from intervalchange.answers.tokens import DEVICE, Token, tokens_of
from intervalchange.lazy_patterns import lazily

_COURSE_AFTER = lazily(r"[VUaXC]*[NGWBS]")
_HEDGE_AFTER = lazily(r"[VU]*H")
_NONE_OF = lazily(r"\b(?:none|neither|no such)\b")
_EDGE = lazily(r"[,(]|&(?=[VUCJRKd])")
_HARD = frozenset(";?b")
_CONTRASTS = frozenset(("but", "while", "whereas", "yet", "however", "although", "though"))
_BECOME = frozenset(("become", "became", "has become", "turned", "becoming"))
_FILM_OF_STATE = {"p": "P", "o": "P", "k": "C", "j": "C"}
_OPPOSITE = {"N": "S", "S": "N", "G": "S", "W": "S", "B": "S"}
Name = tuple[str, frozenset[str]]


@dataclass
class Findings:
    """What was read so far, sentence by sentence."""

    evidence: list[Evidence] = field(default_factory=list)
    last: list[Name] = field(default_factory=list)
    """The names that "it" and "they" mean."""
    recent: list[Name] = field(default_factory=list)
    """Those that "none of this" means: all so far."""
    last_kind: str = ""
    """What was said of the names before."""
    asked: bool = False
    """Whether the question named what `last` holds."""
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
    doubted: list[Evidence] = field(default_factory=list)
    """What is said only to say that it cannot be told."""
    described: set[str] = field(default_factory=set)
    healthy: set[tuple[str, str]] = field(default_factory=set)
    regions: list[tuple[str, str]] = field(default_factory=list)
    """(part of the chest, course) where no finding is named."""


@dataclass
class _Segment:
    """A part of a sentence, and what holds for it."""

    tokens: list[Token]
    header: list[Token]
    film: str
    first: bool
    asked: bool = False
    contrast: bool = False
    sentence: str = ""


def read_sentence(sentence: str, found: Findings, header: Sequence[Token] = ()) -> None:
    """Add what a sentence says. header: words of a heading that hold for all of it."""
    tokens = rewritten(tokens_of(sentence, found.region))
    if not tokens:
        return
    for token in tokens:
        if token.tag == "R":
            found.region = token.value
            break
    segment = _Segment([], list(header), found.film, True, sentence=sentence)
    for token in (*tokens, Token(";", "", "")):
        if token.tag not in _HARD:
            segment.tokens.append(token)
            continue
        segment.asked = token.tag == "?"
        if segment.tokens:
            _read_segment(segment, found)
        kept = list(header) if token.tag == ";" else segment.header
        segment = _Segment([], kept, segment.film, False, contrast=token.word in _CONTRASTS, sentence=sentence)


def _read_segment(segment: _Segment, found: Findings) -> None:
    groups, lead = grouped(segment.tokens)
    lead = _without_header(lead, segment)
    if "K" in tags_of(segment.tokens):
        _of_health(segment.tokens, found, segment.film)
    if not groups:
        _without_names(segment, lead or segment.tokens, found)
        return
    if lead:
        own = set(tags_of(lead))
        of_last = bool(found.last) and ("J" in own or not segment.first)
        whole = bool(own & set("mS")) and tags_of(lead)[-1] in ",&w"
        if own & set("NGWBSpkoj~m") and (of_last or whole):
            _without_names(segment, lead, found)
        else:
            comma = tags_of(lead).rfind(",")  # "Comparing the two images, ..." says nothing of both.
            lead = [token for index, token in enumerate(lead) if token.tag != "Z" or index > comma]
            groups[0].before = lead + groups[0].before
    for index, group in enumerate(groups):
        segment.film = _film_before(group, segment.film)
        _read_group(group, groups[:index], segment, found)
        for token in group.after:
            segment.film = _film_of(token) or segment.film
    if names := [name for group in groups for name in group.names if name[0] and name[0] != DEVICE]:
        found.last = names
        found.recent = list(dict.fromkeys([*found.recent, *names]))


def _film_of(token: Token) -> str:
    """The film that a token names."""
    if token.tag in "PC":
        return token.tag
    return _FILM_OF_STATE.get(token.tag, "") if token.value == "film" else ""


def _film_before(group: Group, film: str) -> str:
    """The film that a group is spoken of on; one that is only called clear does not count."""
    if not group.before:
        return film
    tags = tags_of(group.before)
    clear = tags.rfind("K")
    start = max(clear, tags.rfind("&", clear), tags.rfind(",", clear)) if clear >= 0 else 0
    films = [one for token in group.before[start:] if (one := _film_of(token))]
    return films[-1] if films else "" if clear >= 0 else film


def _without_header(lead: list[Token], segment: _Segment) -> list[Token]:
    """The words before the first names less those of a heading, "New:", which hold for all that follows."""
    if not lead:
        return lead
    tags = tags_of(lead)
    if ":" not in tags:
        return lead
    cut = tags.rindex(":")
    if set(tags[:cut]) & set("NGWBSHDEPCZmjkpo0"):
        segment.header = lead[:cut]
        films = [tag for tag in tags[:cut] if tag in "PC"]
        if films and not set(tags[:cut]) & set("NGWBSojpk"):
            segment.film = films[-1]
    return lead[cut + 1 :]


# --- names ---------------------------------------------------------------------------------------------------------


def _read_group(group: Group, earlier: Sequence[Group], segment: _Segment, found: Findings) -> None:
    start = len(found.evidence)
    _of_group(group, segment, found)
    before, after = tags_of(group.before), tags_of(group.after)
    if found.last_kind and all(one.kind == NAMED for one in found.evidence[start:]):
        if "^" in before:
            _replace(found, start, found.last_kind)
        elif segment.contrast and after in ("V", "U"):
            _replace(found, start, _OPPOSITE.get(found.last_kind, NAMED))
    elif segment.contrast and after in ("VD", "UD", "k", "~") and found.last_kind in _OPPOSITE:
        _replace(found, start, _OPPOSITE[found.last_kind])
    if "E" in before and "S" in after:
        kept = {name for name, _ in group.names}
        others = [name for one in earlier for name in one.names] or found.last
        found.evidence += [Evidence(name, OFF_CURRENT, sides) for name, sides in others if name not in kept]
    kinds = [one.kind for one in found.evidence[start:] if one.kind in "NGWBS"]
    found.last_kind = kinds[-1] if kinds else found.last_kind


def _replace(found: Findings, start: int, kind: str) -> None:
    found.evidence[start:] = [one._replace(kind=kind) for one in found.evidence[start:]]


def _of_group(group: Group, segment: _Segment, found: Findings) -> None:
    before = "".join("n" if token.word == "now" or token.word in _BECOME else token.tag for token in group.before)
    rest = _of_another_side(group)
    after = tags_of(group.after)
    own = set(before + after)
    header = tags_of(segment.header)
    if header and ("H" in header or not own & set("NGWBSDk")):
        before = f"{header}:{before}" if "H" not in header or not own & set("NGWBS") else f"H{before}"
    names = [name for name, _ in group.names]
    if group.caused and not own & set("NGWBS"):
        return
    if not any(name and name != DEVICE for name in names):
        _of_other(names, before + after, found)
        return
    split = _split(group, before, after)
    for order, (name, sides) in enumerate(group.names):
        if not name or name == DEVICE:
            continue
        words = (before, "") if order < split else ("", after) if split else (before, after)
        said = judged(*words, segment.film, segment.asked)
        either = group.either is not None and order >= group.either
        hedged = said.hedged or (either and said.kinds[0] not in (OFF_CURRENT, OFF_BOTH, OFF_PRIOR, "G", "S"))
        _put(name, sides, Judged(said.kinds, hedged), found)
        _of_levels(name, group.levels[order], group, hedged, found, segment.film, sides)
    if rest:
        last, found.last = found.last, [name for name in group.names if name[0]]
        _of_last(rest, segment, found)
        found.last = last


def _split(group: Group, before: str, after: str) -> int:
    """Up to which name the words before hold, where those after hold for the rest: "new effusion, edema resolved"."""
    if len(group.names) < 2:
        return 0
    if set("NGWB") & set(before) and _COURSE_AFTER.match(after):
        return group.first_comma
    return group.last_comma if set("NGWBS") & set(before) and _HEDGE_AFTER.match(after) else 0


def _of_another_side(group: Group) -> list[Token]:
    """Words about the same names elsewhere, taken from those after: "that on the left has grown"."""
    for index, token in enumerate(group.after[:-1]):
        if token.word in ("that", "those", "one") and group.after[index + 1].tag == "d":
            rest = group.after[index:]
            group.after = group.after[:index]
            return rest
    return []


def _put(name: str, sides: frozenset[str], said: Judged, found: Findings) -> None:
    for kind in said.kinds:
        found.evidence.append(Evidence(name, kind, sides, said.hedged))
        if kind in (OFF_CURRENT, OFF_BOTH, OFF_PRIOR):
            found.denied = True
        if kind in (ON_PRIOR, ON_CURRENT) and not said.hedged:
            found.described.add("P" if kind == ON_PRIOR else "C")


def _of_levels(
    name: str, own: str, group: Group, hedged: bool, found: Findings, film: str, sides: frozenset[str]
) -> None:
    """The levels of a name, each with its film."""
    if hedged:
        return
    after = levels_of(group.after, film)
    if own:
        of = film_before(group.before) or film_after(group.after) or ("P" if "tL" in tags_of(group.after) else film)
        if after == [("", own)] or not any(at == of for at, _ in after):
            after = [(of, own), *after]
    found.evidence += [Evidence(name, "level", sides, False, of, level) for of, level in after]


def _of_other(names: Sequence[str], tags: str, found: Findings) -> None:
    """A change of a device, or of what is no finding of the library."""
    if all(name == DEVICE for name in names):
        found.device = True
    elif set(tags) & set("Dk"):
        found.denied = True
    elif set(tags) & set("NGWB") and "H" not in tags:
        found.other = True


def _of_health(tokens: Sequence[Token], found: Findings, film: str) -> None:
    """ "The lungs are clear", of a film or of both."""
    tags = tags_of(tokens)
    edges = [match.start() for match in _EDGE.finditer(tags)]
    for at in (index for index, tag in enumerate(tags) if tag == "K"):
        start = max((edge for edge in edges if edge < at), default=-1) + 1
        end = min((edge for edge in edges if edge > at), default=len(tags))
        films = [tag for tag in tags[start:end] if tag in "PCZ"] or [tag for tag in tags[:start] if tag in "PC"][-1:]
        films = films or [film or "C"]
        regions = [token.value for token in tokens[start:end] if token.tag == "R"]
        regions = (
            regions or [token.value for token in tokens[:start] if token.tag == "R"] or [found.region if start else ""]
        )
        for of in films:
            for one in ("P", "C") if of == "Z" else (of,):
                found.healthy |= {(one, region) for region in regions}


# --- words without a name ------------------------------------------------------------------------------------------


def _of_last(tokens: Sequence[Token], segment: _Segment, found: Findings) -> None:
    """Words about the names before."""
    tags = tags_of(tokens)
    said = judged("", tags, segment.film, segment.asked, growth_is_course=True)
    sides = places([token.word for token in tokens if token.tag == "d"])
    everything = any(_NONE_OF.search(token.word) for token in tokens)
    names = found.recent if found.recent and everything and segment.first else found.last
    for name, known in names:
        _put(name, sides or known, Judged(tuple([kind for kind in said.kinds if kind != NAMED]), said.hedged), found)
        if not said.hedged:
            levels = levels_of(tokens, segment.film)
            found.evidence += [Evidence(name, "level", sides or known, False, of, level) for of, level in levels]


def _without_names(segment: _Segment, tokens: list[Token], found: Findings) -> None:
    """A part of a sentence that names nothing: of what stands before, of a part of the chest, or of the whole film."""
    tags = tags_of(tokens)
    kinds = set(tags)
    films = [film for token in tokens if (film := _film_of(token))]
    segment.film = films[-1] if films else segment.film
    regions = [token.value for token in tokens if token.tag == "R"]
    refers = found.asked or "J" in kinds or not segment.first or bool(films and kinds & set("pkojD"))
    about_last = bool(found.last) and refers and "Q" not in kinds and not regions
    if ("H" in kinds or segment.asked) and kinds & set("mM0S") and not about_last:
        found.hedged_nothing = True
    elif "m" in kinds and about_last and tags.startswith("J"):
        _of_last([Token("S", "", "no change")], segment, found)
    elif "m" in kinds:
        found.part_unchanged |= bool(regions)
        found.nothing |= not regions
    elif "0" in kinds:
        found.nothing_new = True
    elif "K" in kinds and not kinds & set("NGWB"):
        found.part_unchanged |= bool(kinds & set("SZQ"))
        found.denied = True
    elif about_last and (kinds & set("NGWBSopjk~LDgZU") or ("J" in kinds and films and "V" in kinds)):
        _of_last(tokens, segment, found)
    elif "E" in kinds and "S" in kinds and regions and found.last:
        _only_of(regions, found)
    elif "S" in kinds and not kinds & set("NGWB"):
        found.part_unchanged |= bool(regions)
        found.nothing |= not regions
    elif regions and kinds & set("NGWBg"):
        found.regions += [(region, next(tag for tag in tags if tag in "NGWBg")) for region in regions]
    elif kinds & set("1Dkz"):
        found.denied = True
    elif kinds & set("NGWBM") and not segment.asked:
        found.unread.append(" ".join(segment.sentence.split()))


def _only_of(regions: Sequence[str], found: Findings) -> None:
    """ "Only the aorta has stayed that way": what was named of it is the same, the rest has gone."""
    for name, sides in found.last:
        stays = any(name in REGIONS[region][1] for region in regions)
        found.evidence.append(Evidence(name, "S" if stays else OFF_CURRENT, sides))
