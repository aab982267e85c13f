"""The people of the demo course: made up, and varied on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lms import Lms

# Names that break naive code are in here on purpose: accents, other scripts, right to left, an apostrophe,
# one family name only, and one that is too long for a table cell.
STUDENTS = [
    ("Amina", "Okafor"),
    ("Liam", "Brennan"),
    ("Zoë", "Krüger"),
    ("Mateo", "Fernández Ruiz"),
    ("Priya", "Raman"),
    ("Siobhán", "O'Dálaigh"),
    ("Jonas", "Lindqvist"),
    ("Nguyễn Thị", "Minh Châu"),
    ("Oluwaseun", "Adeyemi"),
    ("雨桐", "陈"),
    ("Łukasz", "Wiśniewski"),
    ("Fatima", "El Amrani"),
    ("Hana", "Novotná"),
    ("Dylan", "Price"),
    ("ليلى", "الحسيني"),
    ("Noah", "Bergström"),
    ("Kaimana", "Kealoha"),
    ("Chloé", "Lefèvre"),
    ("Tariq", "Hussain"),
    ("Íris", "Jónsdóttir"),
    ("Sofia", "Papadopoulou"),
    ("Arjun", "Mehta"),
    ("Grace", "Nakamura"),
    ("Ивана", "Петровић"),
    ("Thomas", "van der Meulen"),
    ("Ayşe", "Yıldız"),
    ("Benjamin", "Osei-Tutu"),
    ("Wren", "Ashdown"),
    ("Maximiliana Alexandrina Theodora", "von Hohenfels-Wittgenburg zu Altenkirchen-Sonnenthal"),
    ("Ji-woo", "Park"),
]
SECTIONS = [(501, "Monday seminar"), (502, "Thursday seminar")]
INSTRUCTORS = [("Helen", "Marsh"), ("Daniel", "Achterberg")]
ASSISTANT = ("Rosa", "Delgado")
ADMINISTRATOR = ("Ingrid", "Solberg")


def fill(lms: Lms) -> None:
    """Put the demo's two courses and their people into an empty LMS."""
    course = lms.add_course("EMP101", "Employability Skills")
    second = lms.add_course("EMP102", "Working with Others")
    for number, (given, family) in enumerate(INSTRUCTORS, 1):
        teacher = lms.add_user(course, "instructor", given_name=given, family_name=family, username=f"teacher{number}")
        lms.enrol(second, teacher, "instructor")
    lms.add_user(course, "ta", given_name=ASSISTANT[0], family_name=ASSISTANT[1], username="assistant1")
    for number, (given, family) in enumerate(STUDENTS, 1):
        student = lms.add_user(course, "student", given_name=given, family_name=family, username=f"student{number}")
        course.enrolments[student.id].sections = [SECTIONS[number % 2]]
    lms.mood.add_test_student(course)
    lms.mood.fill(course)
    lms.add_user(None, "admin", given_name=ADMINISTRATOR[0], family_name=ADMINISTRATOR[1], username="admin1")
