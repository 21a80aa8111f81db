"""The closed vocabulary of change: one table, no logic.

Names, aliases, levels, types and locations are those of Medical-Diff-VQA (Hu et al., KDD 2023); the fourteen
CheXpert labels and the anatomy of Chest ImaGenome are mapped onto them where the meaning is the same.
"""

from types import MappingProxyType

FINDINGS: tuple[str, ...] = (
    "pleural effusion",
    "atelectasis",
    "cardiomegaly",
    "enlargement of the cardiac silhouette",
    "edema",
    "hernia",
    "vascular congestion",
    "hilar congestion",
    "pneumothorax",
    "heart failure",
    "lung opacity",
    "pneumonia",
    "tortuosity of the descending aorta",
    "scoliosis",
    "gastric distention",
    "hypoxemia",
    "hypertensive heart disease",
    "hematoma",
    "tortuosity of the thoracic aorta",
    "contusion",
    "emphysema",
    "granuloma",
    "calcification",
    "pleural thickening",
    "thymoma",
    "blunting of the costophrenic angle",
    "consolidation",
    "fracture",
    "pneumomediastinum",
    "air collection",
)
"""The 30 findings in library order, the order in which missing findings are listed."""

ALIASES = MappingProxyType(
    {
        "pleural effusion": ("pleural effusions", "effusion", "effusions", "pleural fluid"),
        "atelectasis": ("volume loss", "collapse", "atelectases", "atelectatic change", "atelectatic changes"),
        "cardiomegaly": ("enlarged heart", "cardiac enlargement"),
        "enlargement of the cardiac silhouette": ("enlarged cardiac silhouette",),
        "edema": ("pulmonary edema", "oedema", "pulmonary oedema"),
        "hernia": ("hiatal hernia", "hiatus hernia"),
        "vascular congestion": ("pulmonary vascular congestion",),
        "hilar congestion": (),
        "pneumothorax": ("pneumothoraces",),
        "heart failure": ("congestive heart failure", "cardiac decompensation", "chf"),
        "lung opacity": (
            "lung opacities",
            "lung opacification",
            "airspace opacity",
            "airspace opacities",
            "opacification",
            "opacity",
            "opacities",
        ),
        "pneumonia": ("infection",),
        "tortuosity of the descending aorta": ("tortuous descending aorta",),
        "scoliosis": ("thoracolumbar scoliosis",),
        "gastric distention": ("gastric distension",),
        "hypoxemia": (),
        "hypertensive heart disease": ("htn",),
        "hematoma": (),
        "tortuosity of the thoracic aorta": ("tortuous thoracic aorta",),
        "contusion": ("pulmonary contusion",),
        "emphysema": (),
        "granuloma": ("granulomatous disease", "granulomas"),
        "calcification": ("calcifications",),
        "pleural thickening": (),
        "thymoma": (),
        "blunting of the costophrenic angle": (
            "blunting of the costophrenic angles",
            "blunting of the right costophrenic angle",
            "blunting of the left costophrenic angle",
            "costophrenic angle blunting",
        ),
        "consolidation": ("consolidations",),
        "fracture": ("fractures",),
        "pneumomediastinum": (),
        "air collection": (),
    }
)
"""Other spellings of each finding."""

RANKED_LEVELS = MappingProxyType(
    {
        "subtle": 1.0,
        "minimal": 1.0,
        "minimally": 1.0,
        "minor": 1.5,
        "mild": 2.0,
        "mildly": 2.0,
        "small": 2.0,
        "mild to moderate": 2.5,
        "moderate": 3.0,
        "moderately": 3.0,
        "moderate to large": 3.5,
        "moderate to severe": 3.5,
        "severe": 4.0,
        "massive": 5.0,
    }
)
"""Levels that have a place on the scale of severity; equal ranks mean the same grade in other words."""

UNRANKED_LEVELS: tuple[str, ...] = ("acute", "increasing", "decreasing")
"""Levels of the library that say nothing of size; they stay out of direction scores."""

LEVELS: tuple[str, ...] = (*RANKED_LEVELS, *UNRANKED_LEVELS)

TYPES: tuple[str, ...] = (
    "interstitial",
    "layering",
    "dense",
    "parenchymal",
    "compressive",
    "obstructive",
    "linear",
    "plate-like",
    "patchy",
    "ground-glass",
    "calcified",
    "scattered",
    "focal",
    "multifocal",
    "multi-focal",
)

PRE_LOCATIONS: tuple[str, ...] = (
    "mid to lower",
    "left",
    "right",
    "retrocardiac",
    "pericardial",
    "bibasilar",
    "bilateral",
    "basilar",
    "apicolateral",
    "basal",
    "left-sided",
    "lobe",
    "lung",
    "area",
    "base",
    "right-sided",
    "apical",
    "pleural",
    "upper",
    "lower",
    "middle",
    "mid",
    "rib",
)

CHEXPERT: tuple[str, ...] = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
"""The fourteen labels in MIMIC-CXR-JPG's (alphabetical) order."""

CHEXPERT_OF_FINDING = MappingProxyType(
    {
        "atelectasis": "Atelectasis",
        "cardiomegaly": "Cardiomegaly",
        "consolidation": "Consolidation",
        "edema": "Edema",
        "enlargement of the cardiac silhouette": "Cardiomegaly",
        "fracture": "Fracture",
        "granuloma": "Lung Lesion",
        "lung opacity": "Lung Opacity",
        "pleural effusion": "Pleural Effusion",
        "pleural thickening": "Pleural Other",
        "pneumonia": "Pneumonia",
        "pneumothorax": "Pneumothorax",
    }
)
"""Finding -> CheXpert label of the same meaning."""

OPACITIES: tuple[str, ...] = ("lung opacity", "consolidation", "edema", "pleural effusion", "atelectasis", "pneumonia")
"""Findings that add density to the lung field; their sum is the opacity score of a film."""

SIMULATED: tuple[str, ...] = (
    "pleural effusion",
    "atelectasis",
    "cardiomegaly",
    "edema",
    "hernia",
    "pneumothorax",
    "lung opacity",
    "scoliosis",
    "gastric distention",
    "tortuosity of the thoracic aorta",
    "emphysema",
    "granuloma",
    "consolidation",
    "fracture",
)
"""The findings that the simulated cohort can show, in library order."""

GRADES: tuple[str, ...] = ("minimal", "mild", "moderate", "severe")
"""One word for each whole rank of `RANKED_LEVELS`, 1 to 4."""

SIZED: frozenset[str] = frozenset({"pleural effusion", "pneumothorax", "hernia"})
"""Findings that are "small" where others are "mild"."""

C2F_REGIONS: tuple[str, ...] = (
    *("right lung", "right upper lung zone", "right mid lung zone", "right lower lung zone"),
    *("right hilar structures", "right apical zone", "right costophrenic angle", "right hemidiaphragm"),
    *("left lung", "left upper lung zone", "left mid lung zone", "left lower lung zone"),
    *("left hilar structures", "left apical zone", "left costophrenic angle", "left hemidiaphragm"),
    *("spine", "aortic arch", "mediastinum", "upper mediastinum"),
    *("cardiac silhouette", "left cardiac silhouette", "right cardiac silhouette", "cavoatrial junction"),
)
"""The 24 regions of C2F by their names in Chest ImaGenome, in the order of its nodes."""

EKAID_REGIONS: tuple[str, ...] = (
    *C2F_REGIONS[:16],
    *("trachea", "right clavicle", "left clavicle", "aortic arch", "upper mediastinum", "svc"),
    *("cardiac silhouette", "cavoatrial junction", "right atrium", "carina"),
)
"""The 26 regions of EKAID, in the order of its gold annotations."""

C2F_LABELS: tuple[str, ...] = (
    *("lung opacity", "pleural effusion", "atelectasis", "lobar/segmental collapse", "enlarged cardiac silhouette"),
    *("airspace opacity", "consolidation", "tortuous aorta", "calcified nodule", "lung lesion"),
    *("mass/nodule (not otherwise specified)", "pulmonary edema/hazy opacity", "costophrenic angle blunting"),
    *("vascular congestion", "vascular calcification", "linear/patchy atelectasis", "elevated hemidiaphragm"),
    *("pleural/parenchymal scarring", "hydropneumothorax", "pneumothorax", "enlarged hilum"),
    *("multiple masses/nodules", "hyperaeration", "mediastinal widening", "vascular redistribution"),
    *("mediastinal displacement", "spinal degenerative changes", "superior mediastinal mass/enlargement", "scoliosis"),
    *("sub-diaphragmatic air", "hernia", "spinal fracture", "bone lesion"),
    *("increased reticular markings/ild pattern", "infiltration", "pneumomediastinum", "bronchiectasis", "cyst/bullae"),
)
"""The 38 labels of C2F by their names in Chest ImaGenome, in the order of its nodes, after the regions."""

C2F_TEXTS = MappingProxyType(
    {
        **{
            f"{side} {part} lung zone": f"{side} {part} lung" for side in ("right", "left") for part in ("upper", "mid")
        },
        **{f"{side} lower lung zone": f"{side} lower lung" for side in ("right", "left")},
        **{f"{side} hilar structures": f"{side} hilar" for side in ("right", "left")},
        **{f"{side} apical zone": f"{side} apical" for side in ("right", "left")},
        "aortic arch": "aorta",
        "lobar/segmental collapse": "pneumonia",
        "enlarged cardiac silhouette": "enlargement of the cardiac silhouette",
        "airspace opacity": "lung opacity",
        "tortuous aorta": "tortuosity of the thoracic aorta",
        "calcified nodule": "calcification",
        "lung lesion": "lung opacity",
        "mass/nodule (not otherwise specified)": "granuloma",
        "pulmonary edema/hazy opacity": "edema",
        "costophrenic angle blunting": "blunting of the costophrenic angle",
        "linear/patchy atelectasis": "linear atelectasis",
        "elevated hemidiaphragm": "pneumomediastinum",
        "pleural/parenchymal scarring": "contusion",
        "hydropneumothorax": "pneumothorax",
        "enlarged hilum": "hilar congestion",
        "multiple masses/nodules": "granuloma",
        "hyperaeration": "emphysema",
        "mediastinal widening": "cardiomegaly",
        "vascular redistribution": "vascular congestion",
        "mediastinal displacement": "pleural thickening",
        "spinal degenerative changes": "scoliosis",
        "superior mediastinal mass/enlargement": "cardiomegaly",
        "sub-diaphragmatic air": "air collection",
        "spinal fracture": "fracture",
        "bone lesion": "fracture",
        "increased reticular markings/ild pattern": "pneumonia",
        "infiltration": "edema",
        "bronchiectasis": "hypoxemia",
        "cyst/bullae": "pneumothorax",
    }
)
"""Region or label -> its text in C2F's graph where that is another: words of the questions, several of them wrong."""
