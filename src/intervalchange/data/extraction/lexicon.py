"""What findings are called in reports, beyond the aliases of findings.py, and the words that negate or doubt them.

A term is a regular expression over a lower-case sentence with single blanks. `NOT_MEANT` are phrases that look like a
finding and mean something else; they hide what they cover. `NORMAL` are phrases that deny findings without naming them.
"""

from __future__ import annotations

from types import MappingProxyType

_HEART = r"(?:heart|cardiac (?:size|contour|contours)|heart size)"
_SILHOUETTE = r"(?:cardiac|heart|cardio ?-?mediastinal|cardiopericardial) (?:silhouettes?|shadow|contours?)"
_IS = r"(?: (?:size|silhouette|is|are|was|appears?|remains?|seems?|again|still|now|has|been|also|at|least))*"
_DEGREE = (
    r"(?: (?:mildly|mild|minimally|slightly|moderately|moderate|markedly|severely|massively|grossly|borderline|top"
    r"|prominently|significantly|stably|persistently|chronically|mild to moderately|moderately to severely|to|and"
    r"|unchanged|stable|somewhat|xxxx|diffusely|the|of))*"
)
_AORTA = r"(?:thoracic )?(?:aorta|aortic(?: (?:arch|knob|contour|xxxx))?)"
_TORTUOUS = r"(?:tortuous|tortuosity|unfolded|unfolding|ectatic|ectasia|uncoiled|uncoiling)"
_ANGLES = r"(?:costophrenic|costodiaphragmatic|cp)(?: (?:angles?|sulcus|sulci|recess(?:es)?|xxxx|___))?"
_CALCIFIED = (
    r"(?:lymph (?:nodes?|xxxx)|nodes?|adenopathy|lymphadenopathy|aorta|aortic|arch|knob|mediastinal|hilar|hilum|hila"
    r"|thoracic|pleural|plaques?|vessels|arteries|valve|annulus|annular|mitral|coronary|carotid|vascular"
    r"|tracheobronchial"
    r"|bronchi|costal|cartilage)"
)

TERMS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "pleural effusion": (
            r"(?:hemo|hydro)thorax",
            r"pleural (?:fluid|collections?)",
            r"(?:hydro|hemo)pneumothora(?:x|ces)",
        ),
        "atelectasis": (r"atelect\w+", r"(?:lobar|lung|partial) collapse", r"subsegmental collapse"),
        "cardiomegaly": (
            r"cardiomegal\w+",
            rf"{_HEART}{_IS}{_DEGREE} (?:enlarged|large)",
            rf"enlarged{_DEGREE} (?:heart|cardiac size)",
            rf"enlargement of{_DEGREE} heart",
            rf"{_HEART}{_DEGREE} enlargement",
            rf"{_HEART} size{_IS}{_DEGREE} increased",
        ),
        "enlargement of the cardiac silhouette": (
            rf"{_SILHOUETTE}{_IS}{_DEGREE} (?:enlarged|large|widened)",
            rf"(?:enlarged|enlargement of){_DEGREE} {_SILHOUETTE}",
            rf"{_SILHOUETTE}{_DEGREE} enlargement",
        ),
        "edema": (r"(?:o?edema|o?edematous)",),
        "hernia": (
            r"(?:hiatal|hiatus|paraesophageal|diaphragmatic|bochdalek|morgagni) hernias?",
            r"intrathoracic stomach",
        ),
        "vascular congestion": (
            r"(?:(?:pulmonary|central|perihilar|venous|interstitial|mild|hilar) )*(?:vascular|venous|vasculature)"
            r" (?:congestion|engorgement)",
            r"pulmonary congestion",
            r"congest(?:ion|ed)(?: of the)?(?: pulmonary)? (?:vasculature|vessels)",
            r"(?:vasculature|vessels|vascularity)(?: (?:is|are|appears?))?(?: \w+ly)? (?:congested|engorged)",
            r"cephalization",
            r"congestion",
            r"(?:pulmonary )?(?:vascular|venous) prominence",
            r"(?:prominent|increased|prominence of(?: the)?|distended)(?: (?:central|pulmonary|perihilar|lung"
            r"|hilar))*"
            r" (?:vascularity|vasculature|vascular markings)",
            r"(?:vascularity|vasculature)(?: (?:is|are|appears?|\w+ly))* (?:increased|prominent|indistinct"
            r"|distended)",
            r"(?:pulmonary (?:xxxx|vessels|vasculature) are) engorged",
            r"indistinct(?: \w+)? vascular margination",
        ),
        "hilar congestion": (r"hilar (?:congestion|engorgement)",),
        "pneumothorax": (r"(?:hydro|hemo|tension )?pneumothora(?:x|ces)",),
        "heart failure": (r"(?:heart|cardiac) failure", r"cardiac decompensation", r"\bchf"),
        "lung opacity": (
            r"(?:air ?-?space|alveolar|parenchymal) (?:disease|process|opaci\w+)",
            r"opaci(?:ty|ties|fications?)",
            r"infiltrat(?:es?|ions?)",
            r"densit(?:y|ies)",
            r"infiltrative (?:process|disease|change)",
        ),
        "pneumonia": (
            r"(?:broncho|lobar )?pneumonias?",
            r"pneumonic (?:process|infiltrates?|consolidation)",
            r"infect\w+(?: process| etiology| infiltrates?)?",
        ),
        "tortuosity of the descending aorta": (
            rf"{_TORTUOUS}(?: (?:of|the|and|calcified))* descending aorta",
            rf"descending aorta(?: (?:is|appears|\w+ly))* {_TORTUOUS}",
        ),
        "scoliosis": (
            r"(?:\w+-?)?scolio(?:sis|tic)(?: curvature| deformity)?",
            r"(?:dextro|levo|s-shaped|spinal|spine|thoracic|lumbar|thoracolumbar) ?-?(?:curvature|curve)",
            r"curvature (?:of )?(?:the )?(?:\w+ )?(?:spine|thoracolumbar junction)",
        ),
        "gastric distention": (r"(?:gastric|stomach) disten[st]ion", r"distended stomach", r"stomach is distended"),
        "hypoxemia": (r"hypox(?:a)?emia",),
        "hypertensive heart disease": (r"hypertensive heart disease",),
        "hematoma": (r"h(?:a)?ematomas?",),
        "tortuosity of the thoracic aorta": (
            rf"{_TORTUOUS}(?:,? (?:and|calcified|of|the|or|dilated|\w+ly|elongated|a|to|descending|\w*sclerosis"
            rf"|\w*sclerotic|\w+ation|{_TORTUOUS}))* {_AORTA}",
            rf"{_AORTA}(?:,? (?:is|appears?|remains|again|are|calcifications?|\w+ly|calcified|and|mild|\w*sclerotic"
            rf"|enlarged|dilated|somewhat|elongated|stable|unchanged|shows|demonstrates|noted|to|be|{_TORTUOUS}))*"
            rf"[ /]{_TORTUOUS}",
        ),
        "contusion": (r"contusions?",),
        "emphysema": (r"(?:centrilobular |paraseptal |bullous )?emphysem\w+", r"emphysematous (?:change|disease)s?"),
        "granuloma": (r"granulomas?", r"granulomatous \w+", r"granulomata", r"granulomatosis"),
        "calcification": (
            r"calcifi?cations?",
            rf"calcified (?!(?:[\w/]+ ){{0,3}}(?:granulom|pulmonary nod))(?:\w+ ){{0,3}}?{_CALCIFIED}",
            rf"(?:{_AORTA}|lymph nodes?|nodes)(?: (?:is|are|appears?|mildly|tortuous|and|ectatic))* calcified",
            r"calcified (?:\w+ ){0,4}?(?:nodules?|lesions?|densit(?:y|ies)|mass|foci|focus)",
            r"calcific (?:density|densities|disease|change|changes|atherosclerosis|atherosclerotic disease)",
        ),
        "pleural thickening": (
            r"pleural(?:-parenchymal| based)?(?: \w+)? thickening",
            r"pleural (?:and parenchymal )?(?:scarring and |scar or )?thickening",
            r"thickening of(?: the)?(?: \w+)? pleura",
            r"thickened pleura",
            r"(?:bi)?apical(?: pleural)? (?:thickening|capping|caps?)",
        ),
        "thymoma": (r"thymomas?",),
        "blunting of the costophrenic angle": (
            rf"blunt(?:ing|ed)(?: [\w/-]+){{0,6}}? (?:{_ANGLES}|sulcus|sulci)",
            rf"{_ANGLES}(?: [\w/-]+){{0,5}}? blunt(?:ing|ed)",
        ),
        "consolidation": (r"consolidat(?:ions?|ive(?: \w+)?|ed)",),
        "fracture": (r"fractur(?:es?|ed)",),
        "pneumomediastinum": (r"pneumo ?-?mediastinum", r"mediastinal (?:air|emphysema)"),
        "air collection": (r"air collections?", r"collections? of air"),
    }
)
"""Finding -> regular expressions, besides its name and aliases."""

OTHER = "another abnormality"
"""Any abnormality that is not one of the 30 findings."""
OTHER_TERMS: tuple[str, ...] = (
    r"nodul(?:es?|ar)",
    r"mass(?:es)?",
    r"lesions?",
    r"scar(?:s|ring|red)?",
    r"fibro(?:sis|tic)",
    r"bronchiectasis",
    r"interstitial (?:lung )?disease",
    r"(?:lymph)?adenopathy",
    r"aneurysms?",
    r"tuberculosis",
    r"cavit(?:y|ies|ary|ation)",
    r"hyper-?(?:inflat\w+|expan\w+)",
    r"bullae?",
    r"pericardial effusions?",
    r"(?:subcutaneous|soft tissue) emphysema",
    r"pneumoperitoneum",
)

NORMAL_FILM = (
    r"(?:no|without)(?: evidence of)?(?: an?)? (?:acute|active|significant|radiographic)?(?: \w+)*? ?"
    r"(?:abnormalit(?:y|ies)|process|disease|findings?|pathology)"
    r"|(?:normal|unremarkable|negative) (?:\w+ )?(?:chest|study|exam\w*|radiograph|film)"
    r"|chest (?:is )?(?:normal|unremarkable)|within normal limits"
)
"""Words by which a report that names no finding says that there is none."""

RIVALS: frozenset[tuple[str, str]] = frozenset(
    {
        ("vascular congestion", "hilar congestion"),
        ("tortuosity of the thoracic aorta", "tortuosity of the descending aorta"),
    }
)
"""(general, special): words that name the special finding do not name the general one."""

NOT_MEANT: tuple[str, ...] = (
    r"joint effusions?",
    r"densit(?:y|ies)(?= (?:\w+ ){0,3}?(?:overlying|over|of|in|at|along|surrounding|adjacent|near)(?: [\w-]+){0,5} "
    r"(?:\d\w+ )?(?:ribs?|mediastinum|clavicle|glenoid|humerus|humeral|sternum|heart|spine|vertebra\w*|scapula|breast"
    r"|tissues?|costophrenic|bones?|abdomen|neck))",
    r"(?:paratracheal|substernal|mediastinal|sclerotic|synovial|osseous|paraspinal) densit(?:y|ies)",
    r"(?:vertebral|vertebra|vertebral body|tracheal|endplate) collapse",
    r"(?:inguinal|umbilical|ventral|incisional|abdominal) hernias?",
    r"(?:bone|bony|osseous|mineral|soft tissue|metallic|metal|fat|fatty|breast) (?:mineral )?densit(?:y|ies)",
    r"densit(?:y|ies) of the bones?",
    r"(?:fractured|fracture of(?: the)?) (?:\w+ )?(?:wires?|lead|leads|hardware|catheter|screws?|sternotomy)",
    r"(?:wires?|hardware|leads?|screws?)(?: \w+)? fractur(?:es?|ed)",
    r"(?:prior|previous|old|remote|chronic|healed) infections?",
    r"(?:dependent|peripheral|subcutaneous|ankle|soft tissue|leg) edema",
    r"renal failure",
    r"respiratory failure",
)

NORMAL: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        r"(?:heart|cardiac)(?: (?:size|silhouette|contours?|shadow))?(?: size)?(?: and \w+(?: \w+){0,3})?"
        r"(?: (?:is|are|appears?|remains|within|the|at|of|also))*"
        r" (?:normal|unremarkable|not enlarged|upper limits of normal|stable and normal)": (
            "cardiomegaly",
            "enlargement of the cardiac silhouette",
        ),
        r"normal(?: in)? (?:heart|cardiac|cardiomediastinal|cardio mediastinal)(?: size| silhouette)?": (
            "cardiomegaly",
            "enlargement of the cardiac silhouette",
        ),
        r"cardio ?-?mediastinal silhouettes?(?: (?:is|are|appears?|within|and|pulmonary|vasculature))* (?:normal"
        r"|unremarkable)": ("cardiomegaly", "enlargement of the cardiac silhouette"),
        r"lungs?(?: fields)?(?: (?:is|are|appear|appears|remain|otherwise|both|well|expanded|inflated|and|grossly"
        r"|essentially|bilaterally))* clear(?! (?:of|from))": ("lung opacity", "consolidation"),
        r"clear lungs?": ("lung opacity", "consolidation"),
        r"lungs (?:are|appear) (?:\w+ )?free of (?:\w+ )?airspace": ("lung opacity",),
        rf"{_ANGLES}(?: (?:is|are|appear))? (?:sharp|clear|preserved|maintained)": (
            "blunting of the costophrenic angle",
        ),
        r"pleural spaces? (?:is|are)(?: \w+)? clear": ("pleural effusion", "pneumothorax"),
        r"vascular(?:ity|ture)?(?: (?:is|are|appears?|within|the))* (?:normal"
        r"|unremarkable)": ("vascular congestion",),
        r"vasculature(?: (?:is|are|appears?|within|the))* (?:normal|unremarkable)": ("vascular congestion",),
    }
)
"""A phrase of health -> the findings that it denies."""

# --- negation and doubt: NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009), written anew --------

STAYS: tuple[str, ...] = (
    r"no (?:\w+ ){0,3}?(?:changes?|difference|increase|decrease|improvement|worsening|progression|enlargement)"
    r"(?: (?:in|of|from|to|since|compared))?",
    r"not (?:\w+ly )?(?:changed|increased|decreased|improved|worsened|progressed|cleared|resolved)",
    r"without (?:\w+ ){0,3}?(?:change|interval change|increase|progression|improvement)",
    r"not only",
    r"(?:incomplete|partial|near complete|nearly complete|near-complete|some|without|no) (?:interval )?"
    r"(?:resolution|clearing)",
    r"(?:nearly|partially|incompletely|almost|mostly|largely)(?: \w+)? (?:resolved|cleared)",
    r"no doubt",
)
"""Phrases with a "no" or a "resolved" that deny nothing."""

DENIES_WHAT_FOLLOWS: tuple[str, ...] = (
    r"no(?: \w+){0,2}? (?:evidence|sign|signs|suggestion|indication|findings?|features|radiographic evidence) "
    r"(?:of|for|to suggest)",
    r"no",
    r"not",
    r"without",
    r"non?egative for",
    r"negative for",
    r"(?:free|clear|cleared) of",
    r"absen(?:ce of|t)",
    r"denies",
    r"nor",
    r"neither",
    r"none n?or",
    r"never had",
    r"(?:has|have) (?:excluded|ruled out)",
    r"(?:complete |interval |complete interval |full )*(?:resolution|clearing|disappearance) of",
    r"(?:resolved|cleared)(?! (?:from|with))",
    r"interval removal of",
    r"rather than",
    r"instead of",
)

DENIES_WHAT_PRECEDES: tuple[str, ...] = (
    r"(?:is|are|was|were|has|have)(?: been)?(?: \w+ly)? (?:no longer|resolved|cleared|disappeared|excluded|gone"
    r"|absent"
    r"|ruled out)",
    r"(?:has|have)(?: now| since| completely| fully| nearly)* (?:resolved|cleared|disappeared)",
    r"no longer",
    r"within (?:the )?(?:normal limits|limits of normal)",
    r"(?:may|might|could) not be (?:\w+ly )?(?:demonstrated|visible|visualized|seen|detected|apparent|evident)",
    r"not (?:seen|identified|visualized|visualised|evident|present|appreciated|demonstrated|apparent|visible"
    r"|detected)",
    r"(?:is|are) (?:un)?likely excluded",
    r"resolved",
    r"free",
)

_PERCEIVED = r"(?:seen|identified|noted|present|evident|visible|detected|found)"
ABSENT_AFTER = (
    rf"none(?: {_PERCEIVED})?|nil|absent|negative|(?:has |have )?not (?:yet )?developed|no(?=$| ?[;,])"
    rf"|not {_PERCEIVED}|free"
)
IN_DOUBT_AFTER = (
    r"questionable|equivocal|possible|unlikely|indeterminate|doubtful|uncertain"
    r"|not (?:assessed|evaluated|assessable|well seen|well visuali[sz]ed|applicable)|n/a|unknown"
)
"""Words right after a name, at the end of a clause, that deny or doubt it without a verb: "pneumothorax none"."""

DOUBTS_WHAT_FOLLOWS: tuple[str, ...] = (
    r"possib(?:le|ly|ility of)",
    r"(?:may|might|could|can)(?: \w+)? (?:represent|reflect|be|indicate|relate|suggest|signify|also|partly|have)"
    r"(?: (?:due to|related to|secondary to|to))?",
    r"question(?:able|s)?(?: of)?",
    r"equivocal",
    r"suspicious for",
    r"suspicion (?:of|for)",
    r"suspect(?:ed)?",
    r"suggest(?:s|ed|ing|ive)?(?: of)?",
    r"concern(?:ing)?(?: for)?",
    r"worrisome for",
    r"cannot(?: \w+)? (?:exclude|rule out|entirely exclude)",
    r"(?:not|never) (?:\w+ly )?excluded?",
    r"versus",
    r"vs\.?",
    r"differential(?: \w+)* includ(?:es?|ing)",
    r"in the (?:appropriate|proper|right|correct) clinical (?:setting|context)",
    r"indeterminate",
    r"perhaps",
    r"unlikely(?: to)?",
    r"less likely",
    r"could be seen with",
    r"raises?(?: the)? (?:possibility|question|suspicion) of",
    r"either",
)

DOUBTS_WHAT_PRECEDES: tuple[str, ...] = (
    r"(?:cannot|can not|could not|not)(?: \w+)*? (?:be )?(?:entirely |completely |definitively )?"
    r"(?:excluded|ruled out)",
    r"(?:is|are|not|would be|seems?|felt)(?: \w+)? (?:possible|questioned|suspected|questionable|less likely"
    r"|unlikely)",
    r"not excluded",
    r"(?:should|could|may|might|must)(?: also)? be considered",
    r"if any",
    r"(?:is|are) (?:a )?(?:consideration|possibilit(?:y|ies))",
    r"(?:in|under) the differential",
)

EITHER = r"(?:(?! (?:may|might|could|represent\w*|reflect\w*|likely|due|secondary))[^,;]){0,40}\b(?:versus|vs)\b"
"""Follows the first of two findings of which one is meant."""

NOT_THIS_FILM: tuple[str, ...] = (
    r"(?:evaluate|evaluation|assess|assessment|look|looking|rule out|r/o|exclude|query|check|screen|screening"
    r"|follow-?up|monitor) (?:for|of)?",
    r"rule out",
    r"r/o",
    r"history of",
    r"h/o",
    r"known history",
    r"treat(?:ed|ment) (?:for|of)",
    r"if there (?:is|are|were)",
    r"clinical (?:concern|suspicion|signs|symptoms|history)(?: (?:for|of))?",
    r"if (?:clinical|clinically|concern|suspected|symptoms)",
    r"risk of",
    r"(?:to|would) better (?:evaluate|characterize|assess)",
    r"no comparison",
)
"""What follows is not about this film."""

WAS: tuple[str, ...] = (
    r"(?:previously|formerly)",
    r"(?:previous|prior|earlier) (?:seen|noted|described|identified|visualized|reported|demonstrated)",
)
"""Marks what an earlier film showed; it stays so unless the sentence says that it has gone."""

SCOPE_ENDS: tuple[str, ...] = (
    r"but",
    r"however",
    r"although",
    r"though",
    r"except(?: for)?",
    r"other than",
    r"aside from",
    r"apart from",
    r"besides",
    r"which",
    r"while",
    r"whereas",
    r"(?<!consistent )(?<!compatible )(?<!keeping )with(?! no)",
    r"(?:and |(?<=, ))(?:there (?:is|are)|the|a|an|is|are|has|have|stable|unchanged|persistent|mild|moderate|again"
    r"|minimal|small)",
    r"there (?:is|are)(?! no)",
    r"(?:is|are)(?: \w+ly)? (?:seen|present|noted|identified|visualized|demonstrated|evident|appreciated),? and",
    r"because",
    r"since",
    r"secondary to",
    r"due to",
    r"appears?",
    r"remains?",
    r"(?<!to )suggest\w*",
    r"may|might|could",
)
"""Where the reach of a word that stands before a finding ends."""
