"""Free answers about change -> what they claim. `read_answer` is the door."""

from intervalchange.answers.reading import read_answer
from intervalchange.answers.records import COURSES, Answer, Course

__all__ = ["COURSES", "Answer", "Course", "read_answer"]
