"""Refusals and disclaimers: sentences that speak of the speaker, or of films that cannot be compared."""

from __future__ import annotations

import re

from intervalchange.lazy_patterns import lazily

_CANNOT = (
    r"(?:can ?not|can'?t|could not|couldn'?t|unable to|not able to|won'?t|will not|would not|wouldn'?t|do not|don'?t"
    r"|rather not|not (?:going|allowed|permitted|qualified) to|refuse to|decline to|inability to"
    r"|not (?:be )?in a position to|not equipped to|lack the ability to|not possible to|impossible to"
    r"|impossible for me to|not feasible to|irresponsible (?:of me )?to|difficult for me to)"
)
_DO = (
    r"(?:compar\w*|determin\w*|tell|say|assess\w*|answer\w*|assist\w*|help\w*|analy[sz]e\w*|interpret\w*|diagnos\w*"
    r"|provid\w*|give|see (?:the|any|both|your)|view"
    r"|access|open|evaluat\w*|guess|speculat\w*|comment|identify|judge|know|make|offer"
    r"|process|read|describe|detect what|check|fulfil\w*|comply|draw|examine|perform|do (?:that|this|so))"
)
_FILMS = r"(?:image|film|study|radiograph|picture|exam|examination|reference|prior|previous|comparison|second|earlier)"
_GIVEN = r"(?:provided|available|attached|supplied|given|load\w*|received|to compare|for comparison|uploaded|included)"
_POLITE = r"(?:upload|provide|share|send|attach|supply|consult)"
_NO_CAN = (
    *("not", "n't", "cant", "wont", "couldnt", "wouldnt", "dont", "unable", "refuse", "decline", "inability", "lack"),
    *("impossible", "irresponsible", "difficult"),
)
_JUDGED = ("assess", "compar", "evaluat", "interpret", "determin", "judg", "answer")
_REFUSALS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        _NO_CAN,
        rf"\b(?:i|we|i'm|i am|me|it(?:'s| is| would be)?|be)\b[^.;!?]{{0,40}}\b{_CANNOT}\b[^.;!?]{{0,30}}?\b{_DO}"
        rf"|^(?:{_CANNOT}|unable)\b[^.;!?]{{0,30}}?\b{_DO}",
    ),
    (
        ("ai", "language", "doctor", "radiologist", "physician", "clinician"),
        r"\bas an ai\b|\b(?:i am|i'm) (?:only |just )?(?:an ai|a language model"
        r"|not a (?:doctor|radiologist|physician|clinician))",
    ),
    (
        ("my", "polic"),
        r"(?<!not )(?<!n't )\bbeyond my (?:abilities|capabilit\w+|scope|competence)|\bagainst my (?:\w+ )?polic\w+"
        r"|\busage polic\w+|\bout(?:side)? (?:of )?my (?:scope|abilities)",
    ),
    (
        ("please", "could you", "consult", "see a", "see your"),
        rf"\bcould you (?:please )?{_POLITE}|\bplease {_POLITE}|\bconsult (?:a|your)|\bsee (?:a|your) doctor",
    ),
    (
        ("provided", "available", "attached", "supplied", "given", "load", "received", "compar", "included"),
        r"\b(?:no|not|without a|lack of a|missing(?! (?:the )?findings?)|only one|just one|a single)\b[^.;!?]{0,30}"
        rf"\b{_FILMS}s?\b[^.;!?]{{0,30}}\b{_GIVEN}",
    ),
    (
        ("prior", "reference", "comparison", "earlier", "previous"),
        r"^no priors? (?:\w+ )?(?:for|to|available)|\bno (?:\w+ )?(?:reference|prior|comparison|earlier|previous) "
        r"(?:image|film|study|radiograph|exam\w*)s?\b(?=[,.;]| was| is| for|$| to compare)",
    ),
    (
        ("compar",),
        r"\bcompar\w+ (?:is|was|are) (?:not |im)possible|\bno comparison\b.*\b(?:possible|made|can be)"
        r"|\b(?:too|insufficient|poor|inadequate)\b[^.;]{0,50}\b(?:for|to)\b[^.;]{0,12}\bcompar\w+",
    ),
    (
        _JUDGED,
        rf"\b(?:not|cannot be|can't be|un) ?(?:{'|'.join(_JUDGED)})\w*\b(?=[^.;]{{0,40}}(?:{_FILMS}|$))",
    ),
    (
        ("only", "just"),
        r"\bonly (?:have )?(?:one|a single|1) (?:image|film|radiograph|study|picture)"
        r"|\b(?:only|just) (?:one|a single) image",
    ),
    (("possible",), r"\bnot possible\b|\bimpossible\b"),
    (("too ",), r"\btoo \w+(?: \w+)? to (?:tell|say|compare|judge|assess|determine|interpret)"),
    (("no ",), r"\bno (?:answer|comment|response|opinion)\b|\bno idea\b|\bno substitute|\bno basis for\b"),
    (
        ("unknown", "n/a", "na", "not applicable", "unclear", "determin", "sure", "pass", "skip", "error", "refused"),
        r"^(?:unknown|n/?a|not applicable|unclear|undetermined|indeterminate|not sure|unsure|pass|skip|error"
        r"|refused)\b",
    ),
    (("know", "sorry"), r"\bi (?:really |honestly |simply )?(?:don'?t|do not) know|\bsorry\b"),
    (
        ("image",),
        r"\bimages? (?:is|are|was|were) (?:missing(?! (?:the )?findings?)|not (?:visible|loaded|available))",
    ),
    (
        ("medical", "professional", "substitute", "replace", "qualified", "wasn"),
        r"\bnot (?:a |meant as )?(?:medical|professional|substitute|replace)"
        r"|\bmedical (?:advice|licen[cs]e|diagnosis)|\bqualified (?:professional|radiologist)|\bwasn'?t trained",
    ),
    (
        ("training", "typical", "left to", "hard to"),
        r"\btraining data|\bwould be a typical answer|\btypical ones are|\bmust be left to|\bhard to tell what\b",
    ),
    (
        ("need", "allow", "leave"),
        r"\bi (?:would )?need (?:the|a|both) \b|\bnot allow (?:a |any )?(?:comparison|assessment|statement)"
        r"|\bleave (?:it|this) to",
    ),
)
"""(pieces of text of which every match has one, what a refusal looks like)."""
_PATTERNS = [(pieces, lazily(pattern, re.IGNORECASE)) for pieces, pattern in _REFUSALS]
_TRIGGERS = frozenset(
    re.findall(
        r"[\w'/]+",
        "cannot can't can not unable able won't wouldn't couldn't don't rather refuse decline inability position "
        "possible impossible feasible irresponsible difficult ai language doctor radiologist physician clinician "
        "abilities ability capabilities competence policies policy scope please could consult provided available "
        "attached supplied given loaded load received compare comparison uploaded included assessable comparable "
        "evaluable interpretable sorry unknown n/a na unclear undetermined indeterminate know idea answer comment "
        "response opinion medical professional substitute qualified trained training typical treating guess "
        "quality no one single only missing visible unsure pass skip error refused leave basis see judged "
        "applicable sure too need",
    )
)
"""Words of which every refusal has one: most sentences have none, and are not looked at further."""
_WORD = lazily(r"[a-z'/]+")
_STILL_ANSWERS = lazily(r"\b(?:but|however|nevertheless|that said|with that said|still)\b|;|:", re.IGNORECASE)
_WHILE = lazily(r"\s*(?:while|although|though|even though)\b[^,]*,", re.IGNORECASE)
_OF_ONE = lazily(r"\b(?:whether|if)\b(?P<what>.*)", re.IGNORECASE)
_SEEN = lazily(
    r"\b(?:see|find|identify|detect|spot|discern|appreciate|make out|tell (?:these|them|the two)|tell you what it is)\b"
    r"(?! (?:(?:any |the |both )*(?:attached|reference|prior|second|images?|films?|pictures?|x-?rays?)\b|what|both))",
    re.IGNORECASE,
)


def refuses(sentence: str) -> bool:
    """Whether a sentence refuses, asks for films, or speaks of the speaker's limits."""
    text = sentence.lower().replace("\u2019", "'").strip(" .!")
    if _TRIGGERS.isdisjoint(_WORD.findall(text)):
        return False
    for pieces, pattern in _PATTERNS:
        for piece in pieces:
            if piece in text:
                if pattern.search(text):
                    return True
                break
    return False


def finds_nothing(sentence: str) -> bool:
    """ "I cannot see any difference" is no refusal."""
    return bool(_SEEN.search(sentence.replace("\u2019", "'")))


def in_doubt(sentence: str) -> str:
    """What a sentence doubts: "the opacity is new" of "I can't tell whether the opacity is new"."""
    match = _OF_ONE.search(sentence)
    return match["what"] if match else ""


def after_disclaimer(sentence: str) -> str:
    """What a sentence says after "..., but" or a colon."""
    if match := _WHILE.match(sentence):
        return sentence[match.end() :]
    found = list(_STILL_ANSWERS.finditer(sentence))
    return sentence[found[0].end() :] if found else ""
