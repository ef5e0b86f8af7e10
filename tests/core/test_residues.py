"""The alphabet, the mutation and its refusals."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plmbook.core.residues import (
    AMINO_ACIDS,
    MASK,
    THREE_LETTER,
    UNKNOWN,
    Mutation,
    MutationError,
    apply_mutations,
    first_fault,
    join_mutations,
    parse_mutations,
)

residues = st.sampled_from(AMINO_ACIDS)
mutations = st.builds(
    Mutation, st.integers(1, 40_000), st.sampled_from("ACDEFGHIKL"), st.sampled_from("MNPQRSTVWY")
) | st.builds(Mutation, st.integers(1, 40_000), st.sampled_from("MNPQRSTVWY"), st.sampled_from("ACDEFGHIKL"))


@st.composite
def sequence_and_mutation(draw):
    sequence = draw(st.text(AMINO_ACIDS, min_size=1, max_size=60))
    position = draw(st.integers(1, len(sequence)))
    ref = sequence[position - 1]
    return sequence, Mutation(position, ref, draw(residues.filter(lambda letter: letter != ref)))


def test_the_alphabet_is_the_20_in_alphabetical_order():
    assert len(AMINO_ACIDS) == 20
    assert list(AMINO_ACIDS) == sorted(set(AMINO_ACIDS))
    assert "".join(THREE_LETTER) == AMINO_ACIDS
    assert len(set(THREE_LETTER.values())) == 20
    assert not set(UNKNOWN + MASK) & set(AMINO_ACIDS)


@pytest.mark.parametrize(
    "text", ["R175H", "Arg175His", "p.R175H", "p.Arg175His", "p.(Arg175His)", " R175H ", "p.(R175H)", "R0175H"]
)
def test_every_form_gives_the_same_mutation(text):
    assert Mutation.parse(text) == Mutation(175, "R", "H")


@given(mutations)
def test_round_trip_of_every_form(mutation):
    three = mutation.hgvs
    for text in (str(mutation), three, three[2:], f"p.({three[2:]})", f"p.{mutation}"):
        assert Mutation.parse(text) == mutation


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("R175*", "stop codon"),
        ("Arg175Ter", "stop codon"),
        ("p.Arg175*", "stop codon"),
        ("R175X", "stop codon"),
        ("p.Ter394Glu", "stop loss"),
        ("*394E", "stop loss"),
        ("p.Arg97ProfsTer23", "frameshift"),
        ("R97fs", "frameshift"),
        ("p.Lys23del", "insertion, deletion"),
        ("p.Lys23_Val25del", "insertion, deletion"),
        ("p.Lys2_Gly3insGlnSer", "insertion, deletion"),
        ("p.Ala3_Ser5dup", "insertion, deletion"),
        ("p.Cys28delinsTrpVal", "insertion, deletion"),
        ("p.Met1ext-5", "extension"),
        ("p.Arg175=", "synonymous"),
        ("p.(Arg175=)", "synonymous"),
        ("R175R", "synonymous"),
        ("Arg175Arg", "synonymous"),
        ("c.524G>A", "nucleotide"),
        ("g.7675088C>T", "nucleotide"),
        ("NP_000537.3:p.Arg175His", "reference sequence"),
        ("R0H", "positions start at 1"),
        ("R-3H", "not a mutation"),
        ("r175h", "letter case"),
        ("ARG175HIS", "letter case"),
        ("B175H", "'B': not among the 20"),
        ("R175Sec", "'Sec': not among the 20"),
        ("Arg175H", "mixed"),
        ("R175", "the new residue is missing"),
        ("p.Met1?", "unknown consequence"),
        ("p.(Arg175His", "not a mutation"),
        ("R175H)", "'H)': not among the 20"),
        ("175", "not a mutation"),
        ("hello", "not a mutation"),
        ("R\u0661H", "not a mutation"),  # an Arabic digit
        ("", "an empty cell"),
        ("  ", "an empty cell"),
        (float("nan"), "an empty cell"),
        (None, "an empty cell"),
    ],
)
def test_anything_but_missense_is_refused_with_the_reason(text, reason):
    with pytest.raises(MutationError) as error:
        Mutation.parse(text)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_short_line(text):
    try:
        mutation = Mutation.parse(text)
    except MutationError as error:
        assert len(str(error)) < 400
    else:
        assert Mutation.parse(str(mutation)) == mutation


def test_long_nonsense_is_cut():
    with pytest.raises(MutationError) as error:
        Mutation.parse("A" * 5000)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("position", "ref", "alt"),
    [(0, "R", "H"), (-1, "R", "H"), (1, "R", "R"), (1, "X", "H"), (1, "RK", "H"), (1, "R", "")],
)
def test_a_mutation_cannot_be_built_wrong(position, ref, alt):
    with pytest.raises(MutationError):
        Mutation(position, ref, alt)


def test_a_mutation_is_a_frozen_value_with_a_plain_integer():
    mutation = Mutation(np.int64(175), "R", "H")
    assert type(mutation.position) is int
    assert hash(mutation) == hash(Mutation.parse("R175H"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        mutation.position = 2
    with pytest.raises(TypeError):
        Mutation(175.0, "R", "H")


def test_mutations_sort_by_position():
    # As texts, R1000H would come before R175H.
    assert sorted([Mutation.parse("R1000H"), Mutation.parse("T175A")]) == [
        Mutation(175, "T", "A"),
        Mutation(1000, "R", "H"),
    ]


@given(sequence_and_mutation())
def test_apply_changes_one_residue_and_the_way_back_restores_it(pair):
    sequence, mutation = pair
    mutant = mutation.apply(sequence)
    assert len(mutant) == len(sequence)
    assert [i + 1 for i in range(len(sequence)) if mutant[i] != sequence[i]] == [mutation.position]
    assert Mutation(mutation.position, mutation.alt, mutation.ref).apply(mutant) == sequence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("R2H", ["wild type R at position 2, found K", "R is at position 3", "off by one"]),
        ("M2H", ["wild type M at position 2, found K", "M is at position 1", "off by one"]),
        ("W2K", ["wild type W at position 2, found K", "K is what the mutation leads to"]),
        ("W2A", ["wild type W at position 2, found K", "another isoform"]),
        ("R5H", ["position 5 is past the end", "4 residues"]),
    ],
)
def test_a_mutation_that_does_not_fit_says_why(text, said):
    with pytest.raises(MutationError) as error:
        Mutation.parse(text).check("MKRL")
    for words in [text, *said]:
        assert words in str(error.value)


def test_a_far_wild_type_is_not_called_off_by_one():
    with pytest.raises(MutationError) as error:
        Mutation(1, "L", "A").check("MKRL")
    assert "off by one" not in str(error.value)


def test_several_mutations():
    parsed = parse_mutations("p.Asn239Tyr:R175H")
    assert parsed == (Mutation(175, "R", "H"), Mutation(239, "N", "Y"))
    assert join_mutations(reversed(parsed)) == "R175H:N239Y"
    assert apply_mutations("MKRL", parse_mutations("L4V:K2A")) == "MARV"
    assert apply_mutations("MKRL", ()) == "MKRL"


@pytest.mark.parametrize("text", ["R175H:R175C", "R175H:", ":", "R175H:H175R", "", None])
def test_several_mutations_refused(text):
    with pytest.raises(MutationError):
        parse_mutations(text)


def test_a_chain_through_one_position_is_refused():
    with pytest.raises(MutationError):
        apply_mutations("MKRL", [Mutation(2, "K", "A"), Mutation(2, "A", "V")])
    with pytest.raises(MutationError):
        apply_mutations("MKRL", [Mutation(2, "K", "A"), Mutation(2, "K", "V")])


def test_sequences_that_models_read():
    assert first_fault(AMINO_ACIDS + UNKNOWN) is None


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("MKrl", "lower-case 'r' at position 3"),
        ("MK*", "'*' at position 3 is a stop"),
        ("M-K", "'-' at position 2 is an alignment gap"),
        ("M1K", "'1' at position 2 is not a residue"),
        ("M K", "' ' at position 2 is not a residue"),
        ("M{K}", "'{' at position 2 is not a residue"),
        (f"M{MASK}K", "'_' at position 2 is not a residue"),
        ("M\u0391K", "at position 2 is not a residue"),  # a Greek capital alpha
    ],
)
def test_sequences_refused(sequence, said):
    offset, why = first_fault(sequence)
    assert said in why.format(place=f"position {offset + 1}")
