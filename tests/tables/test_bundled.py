"""What is known of the bundled tables beside their rows."""

import pytest

from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.tables import bundled
from project import write_relatives
from tiny import write_bundled


def test_residue_frequencies_come_with_the_bundled_model(folders):
    write_bundled(folders / "data", residue_frequencies=[0.05] * 20)
    assert bundled.residue_frequencies() == [0.05] * len(AMINO_ACIDS)
    write_bundled(folders / "data")
    with pytest.raises(InputError, match="residue_frequencies"):
        bundled.residue_frequencies()


def test_relatives_are_of_one_table(project):
    write_relatives(project / "data", ("heldout", "p"), ("kept_structures", "k1"), ("genes", "AAA1"))
    assert bundled.read_in_training("heldout") == {"p"}
    assert bundled.read_in_training("kept_structures") == {"k1"}
    assert bundled.read_in_training("secondary_structure") == set()
