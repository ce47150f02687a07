"""Tasks: records of stories and questions, told to do something with them, as pairs of an instruction and its answer.

    source ──records──▶ categories ──items──▶ templates, formats ──▶ pairs, mixed

A task is a data set times a category, as in Flan (arXiv:2210.11416): `world/summary`.
"""
