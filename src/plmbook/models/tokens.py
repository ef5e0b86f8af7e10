"""From residues to token ids: every character is looked up, none is guessed."""

from dataclasses import dataclass

import numpy as np

from plmbook.core.errors import InputError
from plmbook.core.residues import MASK, first_fault


@dataclass(frozen=True)
class Tokens:
    """Token ids of a model."""

    of_letter: np.ndarray  # int64 (128,), by ASCII code; -1 where a character has no token
    before: np.ndarray  # int64 (b,): what stands before the residues
    after: np.ndarray  # int64 (a,)

    def read(self, sequence: str) -> np.ndarray:
        """Token ids, int64 (b + L + a,); InputError names the first character that has none."""
        if not sequence:
            raise InputError("an empty sequence; expected at least one residue")
        residues = self.of_letter[np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)]
        if residues.min() < 0:
            masked = self.of_letter[ord(MASK)] >= 0
            offset, why = first_fault(sequence.replace(MASK, "X") if masked else sequence) or (0, "{place}: no residue")
            raise InputError(why.format(place=f"position {offset + 1}"))
        return np.concatenate([self.before, residues, self.after])
