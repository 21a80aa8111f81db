"""From the patient to the film: the geometry of one exposure."""

from dataclasses import dataclass

import numpy as np

from intervalchange.simulation.scene import Acquisition

DETECTOR_CM = 14.0
"""From the middle of the chest to the detector."""


@dataclass(frozen=True)
class Camera:
    """Point source, flat detector, patient turned and shifted between them.

    Film coordinates run from -0.5 to 0.5 of the field, right and down.
    """

    turn: np.ndarray
    """(3, 3) rotation, patient to room."""
    shift: np.ndarray
    """(3,) shift of the patient in the room, cm."""
    source_z: float
    detector_z: float
    field: float
    """Edge of the film in cm."""

    @classmethod
    def of(cls, acquisition: Acquisition) -> "Camera":
        """The detector is in front of the patient for PA and behind for AP; the film shows both from the front."""
        yaw, roll, tilt = np.deg2rad([acquisition.yaw_deg, acquisition.roll_deg, acquisition.tilt_deg])
        about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        # Lordotic tilt moves what is in front (clavicles) up on the film.
        about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
        about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        front = 1.0 if acquisition.view == "PA" else -1.0
        return cls(
            turn=about_z @ about_x @ about_y,
            shift=np.array([acquisition.shift_cm[0], acquisition.shift_cm[1], 0.0]),
            source_z=front * (DETECTOR_CM - acquisition.source_distance_cm),
            detector_z=front * DETECTOR_CM,
            field=acquisition.field_cm,
        )

    @property
    def distance(self) -> float:
        """Signed distance from source to detector, cm."""
        return self.detector_z - self.source_z

    def project(self, points: np.ndarray) -> np.ndarray:
        """Film coordinates (n, 2) of patient points (n, 3)."""
        room = np.asarray(points, float) @ self.turn.T + self.shift
        scale = self.distance / (room[:, 2] - self.source_z)
        film: np.ndarray = room[:, :2] * scale[:, None] / self.field
        return film

    def to_patient(self, room: np.ndarray) -> np.ndarray:
        """Room points (n, 3) in the patient frame."""
        points: np.ndarray = (np.asarray(room, float) - self.shift) @ self.turn
        return points

    def rays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Source, upper left corner, right edge and down edge of the film, in the patient frame (each (3,))."""
        half = self.field / 2
        z = self.detector_z
        room = np.array([[0, 0, self.source_z], [-half, -half, z], [half, -half, z], [-half, half, z]])
        source, corner, right, down = self.to_patient(room)
        return source, corner, right - corner, down - corner
