"""The alphabet of residues, the check of a sequence, and the `Mutation` that every module uses.

Positions are 1-based outside array indexing; arrays with a last axis of 20 are in the order of `AMINO_ACIDS`.
"""

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass

from plmbook.core.errors import InputError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"  # the order of the last axis of every (..., 20) array
UNKNOWN = "XBZUOJ"  # letters that a sequence may hold and that are none of the 20: unknown, ambiguous or rare
MASK = "_"  # stands for a masked residue in a sequence that we hand to a model; never in a user's sequence

THREE_LETTER = {
    "A": "Ala", "C": "Cys", "D": "Asp", "E": "Glu", "F": "Phe",
    "G": "Gly", "H": "His", "I": "Ile", "K": "Lys", "L": "Leu",
    "M": "Met", "N": "Asn", "P": "Pro", "Q": "Gln", "R": "Arg",
    "S": "Ser", "T": "Thr", "V": "Val", "W": "Trp", "Y": "Tyr",
}  # fmt: skip

_ONE_LETTER = {written: one for one, three in THREE_LETTER.items() for written in (one, three)}
_STOPS = ("*", "Ter", "X", "Stop")
_FORMS = "written like R175H, Arg175His or p.Arg175His"
_LONGEST_EXCERPT = 60  # characters of a user's text that a message repeats

_OTHER_CHANGES = {  # the first that is found holds: `Arg97ProfsTer23` is a frameshift, not a stop
    r"^[cgmnr]\.|>": "a nucleotide change, not a change of the protein",
    ":": "a reference sequence before the change; give the protein in the column `id` and the change alone",
    "(?i:fs)": "a frameshift",
    "(?i:del|ins|dup|ext|_)": "an insertion, deletion, duplication or extension",
}

# The whole grammar: optional "p.", optional parentheses, a residue, a number, and the rest: what kind of change it is.
_CHANGE = re.compile(
    r"(?P<prefix>p\.)?(?P<open>\()?"
    r"(?P<ref>[A-Za-z]{3}|[A-Za-z*])(?P<position>[0-9]{1,9})(?P<alt>.*?)"
    r"(?(open)\))",
    re.DOTALL,
)


class MutationError(InputError):
    """A text that is not a missense mutation, or a mutation that does not fit its sequence."""


@dataclass(frozen=True, order=True)
class Mutation:
    """One amino-acid substitution; sorts by position, which counts from 1. Anything that is none is a MutationError.

    `Mutation.parse(str(m)) == m` ("R175H") and `Mutation.parse(m.hgvs) == m` ("p.Arg175His").
    """

    position: int  # 1-based
    ref: str  # wild-type residue, one letter of `AMINO_ACIDS`
    alt: str  # residue that replaces it, another such letter

    def __post_init__(self) -> None:
        # Tables hand over numpy integers: keep a plain int, so that equality, hashing and JSON behave.
        object.__setattr__(self, "position", operator.index(self.position))
        text = f"{self.ref}{self.position}{self.alt}"
        if self.position < 1:
            raise MutationError(
                f"{text}: position {self.position} does not exist; positions start at 1 (is the source 0-based?)"
            )
        for letter in (self.ref, self.alt):
            if letter not in tuple(AMINO_ACIDS):
                raise MutationError(f"{text}: {letter!r} is not one of the 20 amino acids {AMINO_ACIDS}")
        if self.ref == self.alt:
            raise MutationError(f"{text}: synonymous (both residues are {self.ref}); only missense changes are scored")

    @classmethod
    def parse(cls, text: str) -> "Mutation":
        """Read one missense mutation, in the forms of HGVS's recommendations for proteins (hgvs-nomenclature.org).

        Parameters
        ----------
        text : str
            `R175H`, `Arg175His`, `p.R175H`, `p.Arg175His` or `p.(Arg175His)`; surrounding blanks do not matter.

        Returns
        -------
        Mutation

        Raises
        ------
        MutationError
            For anything else, with the reason: stop, frameshift, synonymous, a nucleotide change, position 0, ...
        """
        if not isinstance(text, str) or not text.strip():
            raise MutationError(f"expected a mutation {_FORMS}, found {_excerpt(repr(text))} (an empty cell?)")
        text = text.strip()
        match = _CHANGE.fullmatch(text)
        ref, alt = (_ONE_LETTER.get(match[side], "") for side in ("ref", "alt")) if match else ("", "")
        if match is None or not (ref and alt) or ref == alt or len(match["ref"]) != len(match["alt"]):
            raise MutationError(
                f"{_excerpt(text)}: {_why_refused(text, match)}; only missense changes are scored, {_FORMS}"
            )
        return cls(int(match["position"]), ref, alt)

    def __str__(self) -> str:
        return f"{self.ref}{self.position}{self.alt}"

    @property
    def hgvs(self) -> str:
        """The HGVS protein form, such as `p.Arg175His`."""
        return f"p.{THREE_LETTER[self.ref]}{self.position}{THREE_LETTER[self.alt]}"

    def check(self, sequence: str) -> None:
        """Refuse a sequence that is too short or has another residue there; the message names the likely cause."""
        if self.position > len(sequence):
            raise MutationError(
                f"{self}: position {self.position} is past the end of the sequence, "
                f"which has {len(sequence)} residues; the numbering perhaps belongs to a longer isoform or precursor"
            )
        found = sequence[self.position - 1]
        if found != self.ref:
            raise MutationError(
                f"{self}: expected the wild type {self.ref} at position {self.position}, found {found}; "
                f"{self._likely_cause(sequence)}"
            )

    def apply(self, sequence: str) -> str:
        """The mutant sequence: as `sequence`, which `check` must accept, but for one residue."""
        self.check(sequence)
        return sequence[: self.position - 1] + self.alt + sequence[self.position :]

    def _likely_cause(self, sequence: str) -> str:
        """Say what a wrong wild type most often means."""
        beside = [str(p) for p in (self.position - 1, self.position + 1) if sequence[p - 1 : p] == self.ref]
        if beside:
            where = f"{self.ref} is at position {' and '.join(beside)}"
            return f"{where}: the numbering is perhaps off by one, or belongs to another isoform"
        if sequence[self.position - 1] == self.alt:
            where = f"{self.alt} is what the mutation leads to"
            return f"{where}: the sequence is perhaps the mutant, or the letters are swapped"
        return "the numbering perhaps belongs to another isoform"


def parse_mutations(text: str) -> tuple[Mutation, ...]:
    """Read one or more substitutions of one protein, joined by `:`.

    Parameters
    ----------
    text : str
        Such as `R175H` or `R175H:N239Y`, each part in any form that `Mutation.parse` reads.

    Returns
    -------
    tuple of Mutation
        Sorted by position; two of the same position are a MutationError.
    """
    parts = text.split(":") if isinstance(text, str) else [text]
    mutations = tuple(sorted(Mutation.parse(part) for part in parts))
    for first, second in zip(mutations, mutations[1:], strict=False):
        if first.position == second.position:
            raise MutationError(
                f"{_excerpt(text)}: position {first.position} is changed twice; a variant changes each position once"
            )
    return mutations


def join_mutations(mutations: Iterable[Mutation]) -> str:
    """Write substitutions in the form that `parse_mutations` reads, sorted by position."""
    return ":".join(str(mutation) for mutation in sorted(mutations))


def apply_mutations(sequence: str, mutations: Iterable[Mutation]) -> str:
    """Return the sequence with all the substitutions.

    Parameters
    ----------
    sequence : str
    mutations : iterable of Mutation
        Of distinct positions, each checked against the wild type (MutationError).

    Returns
    -------
    str
        As long as `sequence`.
    """
    mutations = tuple(mutations)
    for mutation in mutations:
        mutation.check(sequence)
    for mutation in mutations:  # a second change of a position no longer finds its wild type, and is refused by `apply`
        sequence = mutation.apply(sequence)
    return sequence


_NOT_A_RESIDUE = re.compile(f"[^{AMINO_ACIDS}{UNKNOWN}]")


def first_fault(sequence: str) -> tuple[int, str] | None:
    """The first character that is no residue: its 0-based offset, and the reason with a `{place}` to fill in."""
    if (match := _NOT_A_RESIDUE.search(sequence)) is None:
        return None
    found = match.group()
    if found == "*":
        why = "'*' at {place} is a stop, not a residue; cut the sequence before it"
    elif found in "-.":
        why = f"'{found}' at {{place}} is an alignment gap, not a residue; remove the gaps"
    elif found.islower() and found.upper() in AMINO_ACIDS + UNKNOWN:
        why = f"lower-case '{found}' at {{place}}; residues are upper case (soft-masked? make the sequence upper case)"
    else:
        shown = repr(found).replace("{", "{{").replace("}", "}}")
        expected = f"the 20 letters {AMINO_ACIDS}, or {', '.join(UNKNOWN)} for unknown ones"
        why = f"{shown} at {{place}} is not a residue; expected {expected}"
    return match.start(), why


def _excerpt(text: str) -> str:
    return text if len(text) <= _LONGEST_EXCERPT else text[:_LONGEST_EXCERPT] + "..."


def _why_refused(text: str, match: re.Match | None) -> str:
    """Say why a text is not a missense change."""
    for pattern, why in _OTHER_CHANGES.items():
        if re.search(pattern, text):
            return why
    if match is None:
        return "not a mutation (a residue, a position, a residue)"
    ref, alt = match["ref"], match["alt"]
    if ref in _STOPS:
        return "a change of a stop codon (stop loss), or of an unknown residue X"
    if alt in _STOPS:
        return "a stop codon (nonsense change)"
    if alt == "=" or (alt in _ONE_LETTER and _ONE_LETTER[alt] == _ONE_LETTER.get(ref)):
        return "synonymous (no residue changes)"
    if not alt:
        return "the new residue is missing"
    if alt in ("?", "0"):
        return "an unknown consequence"
    wrong = [letters for letters in (ref, alt) if letters not in _ONE_LETTER]
    if not wrong:
        return "one-letter and three-letter codes are mixed"
    named = " and ".join(repr(letters) for letters in wrong)
    if all({letters.upper(), letters.capitalize()} & _ONE_LETTER.keys() for letters in wrong):
        return f"{named}: letter case matters, one-letter codes are upper case, three-letter codes are like Arg"
    return f"{named}: not among the 20 amino acids"
