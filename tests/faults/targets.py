"""What is fuzzed: for each kind of input from strangers, how one is made, and what must hold of it.

`make(world, draw)` gives an input; `check(world, input)` returns if it is taken, raises UserError if it is refused, and
fails by anything else.
"""

from faults import hostile_data, hostile_models, hostile_rows, hostile_settings, hostile_text
from faults.world import Target

TARGETS = {
    "records": Target(hostile_text.make_record, hostile_text.check_record, 1000),
    "tables": Target(hostile_text.make_table, hostile_text.check_table, 400),
    "tokenizer": Target(hostile_text.make_written, hostile_text.check_written, 1000),
    "corpora": Target(hostile_data.make_texts, hostile_data.check_texts, 40),
    "rows": Target(hostile_rows.make_rows, hostile_rows.check_rows, 200),
    "manifests": Target(hostile_data.make_manifest, hostile_data.check_data, 150),
    "shards": Target(hostile_data.make_shards, hostile_data.check_data, 100),
    "settings": Target(hostile_settings.make_command, hostile_settings.check_command, 60),
    "studies": Target(hostile_settings.make_study, hostile_settings.check_study, 200),
    "models": Target(hostile_models.make_model, hostile_models.check_model, 30),
}
