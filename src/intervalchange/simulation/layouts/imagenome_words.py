"""The words of Chest ImaGenome 1.0.0: its regions, its labels, and which of them the simulated findings have."""

from __future__ import annotations

from collections.abc import Mapping

BOX_REGIONS = {
    "right lung": "Right lung",
    "right upper lung zone": "Right upper lung zone",
    "right mid lung zone": "Right mid lung zone",
    "right lower lung zone": "Right lower lung zone",
    "right hilar structures": "Hilar Area of the Right Lung",
    "right apical zone": "Apical zone of right lung",
    "right costophrenic angle": "right costophrenic sulcus;;Right costodiaphragmatic recess",
    "right cardiophrenic angle": "right cardiophrenic sulcus",
    "right hemidiaphragm": "Right hemidiaphragm",
    "left lung": "Left lung",
    "left upper lung zone": "Left upper lung zone",
    "left mid lung zone": "Left mid lung zone",
    "left lower lung zone": "Left lower lung zone",
    "left hilar structures": "Hilar Area of the Left Lung",
    "left apical zone": "Apical zone of left lung",
    "left costophrenic angle": "left costophrenic sulcus;;Left costodiaphragmatic recess",
    "left hemidiaphragm": "Left hemidiaphragm",
    "trachea": "Trachea&&Main Bronchus",
    "spine": "Vertebral column",
    "right clavicle": "Right clavicle",
    "left clavicle": "Left clavicle",
    "aortic arch": "Aortic arch structure",
    "mediastinum": "Mediastinum",
    "upper mediastinum": "Superior mediastinum",
    "svc": "Superior vena cava structure",
    "cardiac silhouette": "Cardiac shadow viewed radiologically;;Heart",
    "left cardiac silhouette": "Structure of left margin of heart",
    "right cardiac silhouette": "Right border of heart viewed radiologically",
    "cavoatrial junction": "cavoatrial",
    "right atrium": "Right atrial structure",
    "descending aorta": "Descending aorta",
    "carina": "Structure of carina",
    "left upper abdomen": "Structure of left upper quadrant of abdomen",
    "right upper abdomen": "Structure of right upper quadrant of abdomen",
    "abdomen": "Abdominal cavity",
    "left cardiophrenic angle": "left cardiophrenic sulcus",
}
"""Region that has a box -> its UMLS text, in the order of the files."""
WITHOUT_TEXT = (
    *("right cardiophrenic angle", "left cardiophrenic angle", "left cardiac silhouette", "right cardiac silhouette"),
    *("descending aorta", "left upper abdomen", "right upper abdomen"),
)
"""Regions with a box of which no report speaks; the other 29 have both."""
TEXT_REGIONS = ("neck", *(f"{s} {p}" for p in ("chest wall", "shoulder", "arm", "breast") for s in ("left", "right")))
"""Regions of reports that have no box (`unknown` is another)."""

LABEL_AND_REGIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pleural effusion": ("anatomicalfinding|{}|pleural effusion", ("{side} costophrenic angle", "{side} lung")),
    "atelectasis": ("anatomicalfinding|{}|atelectasis", ("{side} lower lung zone", "{side} lung")),
    "cardiomegaly": ("anatomicalfinding|{}|enlarged cardiac silhouette", ("cardiac silhouette",)),
    "edema": ("anatomicalfinding|{}|pulmonary edema/hazy opacity", ("{side} lung",)),
    "hernia": ("anatomicalfinding|{}|hernia", ("mediastinum",)),
    "pneumothorax": ("anatomicalfinding|{}|pneumothorax", ("{side} apical zone", "{side} lung")),
    "lung opacity": ("anatomicalfinding|{}|lung opacity", ("{side} {zone} lung zone", "{side} lung")),
    "scoliosis": ("anatomicalfinding|{}|scoliosis", ("spine",)),
    "tortuosity of the thoracic aorta": ("anatomicalfinding|{}|tortuous aorta", ("aortic arch",)),
    "emphysema": ("disease|{}|copd/emphysema", ("{side} lung",)),
    "granuloma": ("disease|{}|granulomatous disease", ("{side} {zone} lung zone", "{side} lung")),
    "consolidation": ("anatomicalfinding|{}|consolidation", ("{side} {zone} lung zone", "{side} lung")),
    "fracture": ("anatomicalfinding|{}|rib fracture", ("{side} chest wall",)),
}
"""Finding -> its label and its regions. Gastric distention has no label in Chest ImaGenome."""
LABELS = {
    "anatomicalfinding": "lung opacity,airspace opacity,consolidation,infiltration,atelectasis,"
    "linear/patchy atelectasis,lobar/segmental collapse,pulmonary edema/hazy opacity,vascular congestion,"
    "vascular redistribution,increased reticular markings/ild pattern,pleural effusion,costophrenic angle blunting,"
    "pleural/parenchymal scarring,bronchiectasis,enlarged cardiac silhouette,mediastinal displacement,"
    "mediastinal widening,enlarged hilum,tortuous aorta,vascular calcification,pneumomediastinum,pneumothorax,"
    "hydropneumothorax,lung lesion,mass/nodule (not otherwise specified),multiple masses/nodules,calcified nodule,"
    "superior mediastinal mass/enlargement,rib fracture,clavicle fracture,spinal fracture,hyperaeration,cyst/bullae,"
    "elevated hemidiaphragm,diaphragmatic eventration (benign),sub-diaphragmatic air,subcutaneous air,hernia,"
    "scoliosis,spinal degenerative changes,shoulder osteoarthritis,bone lesion",
    "disease": "pneumonia,fluid overload/heart failure,copd/emphysema,granulomatous disease,interstitial lung disease,"
    "goiter,lung cancer,aspiration,alveolar hemorrhage,pericardial effusion",
    "technicalassessment": "low lung volumes,rotated,artifact,breast/nipple shadows,skin fold",
    "tubesandlines": "chest tube,mediastinal drain,pigtail catheter,endotracheal tube,tracheostomy tube,picc,ij line,"
    "chest port,subclavian line,swan-ganz catheter,intra-aortic balloon pump,enteric tube",
    "device": "sternotomy wires,cabg grafts,aortic graft/repair,prosthetic valve,cardiac pacer and wires",
    "nlp": "abnormal,normal",
    "texture": "opacity,alveolar,interstitial,calcified,lucency",
    "severity": "mild,moderate,severe,hedge",
    "temporal": "acute,chronic",
}
"""Category -> its labels, joined by commas."""
