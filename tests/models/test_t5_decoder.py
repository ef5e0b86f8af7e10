"""Ankh's decoder on tiny checkpoints: likelihoods one position at a time, spans that are written anew."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

import tiny
from plmbook.core.errors import InputError
from plmbook.core.residues import AMINO_ACIDS
from plmbook.engine import encode, scan
from plmbook.models import cards, load
from plmbook.models import t5_decoder as decoder

SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQ"
SPANS = [(2, 4), (10, 10), (21, 22)]


@pytest.fixture(autouse=True)
def tiny_cards(monkeypatch):
    for kind in tiny.T5:
        monkeypatch.setitem(cards.CARDS, f"{kind}_tiny", tiny.t5_card(kind))


def untie(state):
    """All of Ankh has a head of its own; the sentinels come after the letters in it."""
    torch.manual_seed(1)
    state["lm_head.weight"] = torch.randn_like(state["lm_head.weight"])


def write_untied(folder, kind):
    return tiny.write_t5(
        folder, kind, change=untie, change_config=lambda facts: facts.update(tie_word_embeddings=False)
    )


@pytest.fixture(scope="module", params=["ankh", "ankh3"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return write_untied(tmp_path_factory.mktemp(kind), kind)


@pytest.fixture
def model(kind, folder):
    return load(f"{kind}_tiny", path=folder, device="cpu", dtype="float32", decoder=True)


def hidden(sequence, position):
    return f"{sequence[:position]}_{sequence[position + 1 :]}"


def likelihoods(model, sequence, **options):
    """ln p of each residue (L,), where a sentinel stands in its place."""
    rows = [np.array([n]) for n in range(len(sequence))]
    copies = [hidden(sequence, n) for n in range(len(sequence))]
    tables = encode.log_probabilities(model, copies, rows=rows, **options)
    return np.array([table[0, AMINO_ACIDS.index(each)] for table, each in zip(tables, sequence, strict=True)])


def token_numbers(kind):
    """Ids of the letters and of the first sentinel, by what `tiny` wrote: not by our own reading."""
    first = {"ankh": 3, "ankh3": 5}[kind]  # after <pad>, </s>, <unk>, and for Ankh3 [NLU] and [S2S]
    return {letter: first + n for n, letter in enumerate(tiny.T5_LETTERS)}, {"ankh": 33, "ankh3": 39}[kind]


# likelihoods ----------------------------------------------------------------------------------------------------------


def test_likelihood_agrees_with_transformers_one_position_at_a_time(kind, folder, model):
    network = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    number, sentinel = token_numbers(kind)
    prefix = [3] if kind == "ankh3" else []  # [NLU]
    expected = []
    for position, letter in enumerate(SEQUENCE):
        tokens = [number[each] for each in SEQUENCE]
        tokens[position] = sentinel
        with torch.no_grad():
            logits = network.eval()(
                torch.tensor([[*prefix, *tokens, 1]]), decoder_input_ids=torch.tensor([[0, sentinel]])
            ).logits[0, -1]
        kept = [n for n in range(40) if not (n < min(number.values()) or sentinel - 5 <= n <= sentinel)]
        probabilities = {n: math.exp(logits[n]) for n in kept}
        expected.append(math.log(probabilities[number[letter]] / sum(probabilities.values())))
    found = likelihoods(model, SEQUENCE)
    assert found.shape == (len(SEQUENCE),) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found.std() > 0.1  # the random weights do speak
    assert scan.pseudo_log_likelihood(model, SEQUENCE)[0] == pytest.approx(sum(expected), rel=1e-4)


def test_likelihood_does_not_depend_on_the_batch(model):
    together = likelihoods(model, SEQUENCE)
    for budget in (1, 3 * len(SEQUENCE)):
        np.testing.assert_allclose(likelihoods(model, SEQUENCE, token_budget=budget), together, atol=1e-5)
    of_two = model.run(["MK_AY", "_K", "M_TAY"])  # of several lengths, in any order
    for output, text in zip(of_two, ("MK_AY", "_K", "M_TAY"), strict=True):
        assert output.log_probabilities.shape == (1, 20)
        np.testing.assert_allclose(output.log_probabilities, model.run([text])[0].log_probabilities, atol=1e-5)


def test_what_a_sentinel_hides_does_not_count(model):
    """Whatever the residue was, the answer is one distribution: over the letters, and nothing over other tokens."""
    letters = tiny.T5_LETTERS
    shares = [np.exp(likelihoods(model, f"MK{letter}AY")[2]) for letter in AMINO_ACIDS]
    unused = 40 - len(letters) - len(model.excluded)  # rows of the embedding that are no token
    assert unused == (6 if model.card.name == "ankh_tiny" else 4)
    row = model.tokenize("MK_AY")
    assert row[len(model.tokens.before) + 2] == model.sentinels[0]
    with torch.no_grad():
        answers = decoder._answers(model, row[None])[0].exp().numpy()
    assert answers.sum() == pytest.approx(1, abs=1e-5)
    assert (answers[model.excluded] == 0).all()
    np.testing.assert_allclose(sum(shares), answers[model.residues].sum(), 1e-5)


def test_a_prefix_changes_the_answer(tmp_path):
    folder = write_untied(tmp_path, "ankh3")
    read, complete = (
        load("ankh3_tiny", path=folder, device="cpu", decoder=True, prefix=prefix) for prefix in ("[NLU]", "[S2S]")
    )
    assert (read.name, complete.name) == ("ankh3_tiny", "ankh3_tiny_S2S")
    found = [likelihoods(model, SEQUENCE) for model in (read, complete)]
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_letter_without_a_token_is_read_as_x(model):
    found = [each.log_probabilities for each in model.run(["M_JA", "M_XA"])]
    np.testing.assert_array_equal(*found)


def test_bfloat16_is_near(kind, folder, model):
    coarse = load(f"{kind}_tiny", path=folder, device="cpu", dtype="bfloat16", decoder=True)
    found, expected = (likelihoods(each, SEQUENCE) for each in (coarse, model))
    assert 0 < np.abs(found - expected).mean() < 0.1


@pytest.mark.parametrize(("sequence", "message"), [("", "empty"), ("MKtA", "lower-case 't' at position 3")])
def test_what_is_no_residue_is_refused(model, sequence, message):
    for ask in (lambda: model.run([f"{sequence}_"] if sequence else [""]), lambda: model.tokenize(sequence)):
        with pytest.raises(InputError, match=message if sequence else "one masked residue at a time|empty"):
            ask()
    with pytest.raises(InputError, match=message):
        decoder.generate_spans(model, sequence, [(1, 1)])


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["MKTAY"], {}),
        (["M_T_Y"], {}),
        (["M_TAY", "MKTAY"], {}),
        (["M_TAY"], {"rows": [np.array([0])]}),
        (["M_TAY"], {"rows": [np.array([1, 2])]}),
    ],
)
def test_a_decoder_answers_for_one_masked_residue(model, texts, options):
    with pytest.raises(InputError, match="one masked residue at a time.*expected the strategy pseudo-likelihood"):
        model.run(texts, **options)


def test_what_is_the_encoders_is_refused(model):
    for options in ({"layers": [-1]}, {"logits": False}):
        with pytest.raises(InputError, match="embeddings are those of the encoder alone"):
            model.run(["M_TAY"], **options)
    with pytest.raises(InputError, match=f"model '{model.name}': has no attention maps"):
        model.attentions("MKTAY")
    assert not model.can("attentions") and model.can("generation")


# spans ----------------------------------------------------------------------------------------------------------------


def check(filled, spans, sequence=SEQUENCE):
    """Outside the spans nothing has changed; the fills are of the 20 amino acids."""
    assert filled.log_likelihood < 0
    rebuilt, done = "", 0
    for (start, end), fill in sorted(zip(spans, filled.fills, strict=True)):
        rebuilt += sequence[done : start - 1] + fill
        done = end
    assert filled.sequence == rebuilt + sequence[done:]
    assert set("".join(filled.fills)) <= set("ACDEFGHIKLMNPQRSTVWY")


def test_spans_are_written_anew(model):
    (filled,) = decoder.generate_spans(model, SEQUENCE, SPANS)
    check(filled, SPANS)
    assert [len(fill) for fill in filled.fills] == [3, 1, 2] and len(filled.sequence) == len(SEQUENCE)
    assert decoder.generate_spans(model, SEQUENCE, SPANS) == [filled]
    (turned,) = decoder.generate_spans(model, SEQUENCE, SPANS[::-1])
    assert turned == dataclasses.replace(filled, fills=filled.fills[::-1])


def test_greedy_takes_the_likeliest_residue_at_each_step(kind, model):
    """Step by step, without the cache of transformers' search; a sentinel for each residue."""
    number, sentinel = token_numbers(kind)
    letter_of = {number[letter]: letter for letter in "ACDEFGHIKLMNPQRSTVWY"}
    tokens = [number[letter] for letter in SEQUENCE]
    for n, position in enumerate((1, 2, 3, 9, 20, 21)):
        tokens[position] = sentinel - n
    row = torch.tensor([[*([3] if kind == "ankh3" else []), *tokens, 1]])
    written, expected, total = [0], "", 0.0
    of_residues = [*number.values(), *range(max(number.values()) + 1, sentinel - 5), *range(sentinel + 1, 40)]
    for n in range(6):
        written.append(sentinel - n)
        with torch.no_grad():
            logits = model.network(row, decoder_input_ids=torch.tensor([written]), use_cache=False).logits[0, -1]
        written.append(max(letter_of, key=lambda each: logits[each]))
        expected += letter_of[written[-1]]
        total += float(logits[written[-1]] - logits[of_residues].logsumexp(dim=0))
    (filled,) = decoder.generate_spans(model, SEQUENCE, SPANS)
    assert "".join(filled.fills) == expected
    assert filled.log_likelihood == pytest.approx(total, abs=1e-4)


def test_likelihood_is_the_models_own_whatever_the_temperature(model):
    """Hot or cold, what was written has the log-likelihood of a pass over it."""
    for filled in decoder.generate_spans(model, SEQUENCE, SPANS, n=4, seed=2, temperature=3.0):
        holes = [1, 2, 3, 9, 20, 21]
        row = torch.from_numpy(decoder._masked(model, SEQUENCE, [(n, n + 1) for n in holes]))[None]
        letters = [int(model.tokens.of_letter[ord(filled.sequence[n])]) for n in holes]
        written = [model.start]
        for sentinel, letter in zip(model.sentinels, letters, strict=True):
            written += [sentinel, letter]
        with torch.no_grad():
            logits = model.network(row, decoder_input_ids=torch.tensor([written]), use_cache=False).logits[0]
        logits[:, model.excluded] = -torch.inf
        terms = logits.log_softmax(dim=-1)[torch.arange(1, 13, 2), torch.tensor(letters)]
        assert filled.log_likelihood == pytest.approx(float(terms.sum()), abs=1e-4)


def test_a_sentinel_may_stand_for_a_span(model):
    options = {"sentinel": "span", "n": 32, "seed": 3, "temperature": 5.0}  # hot: every token is about as likely
    found = decoder.generate_spans(model, SEQUENCE, SPANS, longest=4, **options)
    for filled in found:
        check(filled, SPANS)
        assert all(1 <= len(fill) <= 4 for fill in filled.fills)
    assert len({len(filled.sequence) for filled in found}) > 1  # the model says how long
    for filled in decoder.generate_spans(model, SEQUENCE, SPANS, **options):
        check(filled, SPANS)
        assert all(len(fill) <= 6 for fill in filled.fills)


def test_what_the_encoder_reads(kind, model):
    """MKTAYI without KT and Y: M <extra_id_0> A <extra_id_1> I </s>."""
    number, first = token_numbers(kind)
    expected = [*([3] if kind == "ankh3" else []), number["M"], first, number["A"], first - 1, number["I"], 1]
    assert decoder._masked(model, "MKTAYI", [(1, 3), (4, 5)]).tolist() == expected


def test_a_seed_draws_the_same_again(model):
    first, again, other = (decoder.generate_spans(model, SEQUENCE, SPANS, n=3, seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    assert len(first) == 3
    for filled in first:
        check(filled, SPANS)
    cold = decoder.generate_spans(model, SEQUENCE, SPANS, seed=1, temperature=1e-4)
    assert cold == decoder.generate_spans(model, SEQUENCE, SPANS)


def test_drawing_leaves_the_random_numbers_of_others_alone(model):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    decoder.generate_spans(model, SEQUENCE, SPANS, seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_letters_outside_the_spans_stay_even_where_the_model_reads_x(model):
    (filled,) = decoder.generate_spans(model, "JUMKBJ", [(3, 4)])
    check(filled, [(3, 4)], "JUMKBJ")
    (whole,) = decoder.generate_spans(model, "MKTAYI", [(1, 2), (3, 6)])  # all of it; neighbours are no overlap
    assert len(whole.sequence) == 6


@pytest.mark.parametrize(
    ("spans", "options", "message"),
    [
        ([], {}, "no span to write"),
        ([(0, 2)], {}, "span 0 to 2: expected positions from 1 to 22"),
        ([(20, 23)], {}, "span 20 to 23: expected positions from 1 to 22"),
        ([(5, 4)], {}, "span 5 to 4: .* the start not after the end"),
        ([(5, 7), (2, 5)], {}, "span 2 to 5 overlaps 5 to 7"),
        ([(1, 7)], {}, "7 sentinels are needed, one for each residue, but the vocabulary of .* has 6"),
        ([(1, 2)], {"sentinel": "letter"}, "sentinel 'letter': expected 'residue' or 'span'"),
        ([(1, 2)], {"longest": 3}, "longest 3: expected 1 or more, and sentinel='span'"),
        ([(1, 2)], {"sentinel": "span", "longest": 0}, "longest 0: expected 1 or more"),
        ([(1, 2)], {"n": 2}, "n 2: expected 1, or more and a seed"),
        ([(1, 2)], {"n": 0, "seed": 1}, "n 0: expected 1"),
        ([(1, 2)], {"temperature": 0.0, "seed": 1}, r"temperature 0\.0: expected more than 0"),
    ],
)
def test_spans_and_options_that_do_not_fit_are_refused(model, spans, options, message):
    with pytest.raises(InputError, match=message):
        decoder.generate_spans(model, SEQUENCE, spans, **options)


def test_fills_are_read_back(kind, model):
    number, first = token_numbers(kind)
    openings = (first, first - 1)
    # <pad> <extra_id_0> M K <extra_id_1> T </s> </s>
    tokens = [0, first, number["M"], number["K"], first - 1, number["T"], 1, 1]
    assert decoder._read_fills(model, tokens, openings) == ("MK", "T")
    assert decoder._read_fills(model, tokens[1:], openings) == ("MK", "T")
    assert decoder._read_fills(model, [0, first, first - 1, 1], openings) == ("", "")
    for faulty, message in (
        ([0, number["M"], first], f"token {number['M']} at place 1 "),  # a residue that nothing opened
        ([0, first - 1], f"token {first - 1} at place 1 "),  # not its turn
        ([0, first, first], f"token {first} at place 2 "),
        ([0, first, 2], "token 2 at place 2 "),  # <unk>
        ([0, first, number["X"]], f"token {number['X']} at place 2 "),
        ([0, first, number["M"], 1], "1 fills in the decoder's output, expected 2"),
    ):
        with pytest.raises(InputError, match=message):
            decoder._read_fills(model, faulty, openings)


# going on -------------------------------------------------------------------------------------------------------------


def test_ankh3_goes_on_with_a_protein(tmp_path):
    folder = write_untied(tmp_path, "ankh3")
    model = load("ankh3_tiny", path=folder, device="cpu", prefix="[S2S]", decoder=True)
    number, _ = token_numbers("ankh3")
    letter_of = {number[letter]: letter for letter in "ACDEFGHIKLMNPQRSTVWY"}
    row, written = torch.tensor([[4, *(number[letter] for letter in "MKTAY"), 1]]), [0]
    for _ in range(6):
        with torch.no_grad():
            logits = model.network(row, decoder_input_ids=torch.tensor([written]), use_cache=False).logits[0, -1]
        written.append(max(letter_of, key=lambda each: logits[each]))
    expected = "".join(letter_of[each] for each in written[1:])
    (written,) = decoder.complete(model, "MKTAY", 6)
    assert (written.sequence, written.fills) == ("MKTAY" + expected, (expected,)) and written.log_likelihood < 0
    drawn = decoder.complete(model, "MKTAY", 6, n=4, seed=1)
    assert len({filled.sequence for filled in drawn}) > 1 and {len(filled.sequence) for filled in drawn} == {11}
    with pytest.raises(InputError, match="n_residues 0: expected 1 or more"):
        decoder.complete(model, "MKTAY", 0)


def test_only_ankh3_goes_on_and_only_if_told(model):
    with pytest.raises(
        InputError, match=r"prefix '(\[NLU\])?'; expected a model of Ankh3, loaded with prefix='\[S2S\]'"
    ):
        decoder.complete(model, "MKTAY", 3)


# loading --------------------------------------------------------------------------------------------------------------


def test_facts_of_a_loaded_model(kind, folder, model):
    encoder = load(f"{kind}_tiny", path=folder)
    assert (model.name, model.card, model.path) == (encoder.name, encoder.card, encoder.path)
    assert model.weights_hash == encoder.weights_hash
    assert len(model.sentinels) == 6 and model.sentinels[0] == token_numbers(kind)[1]
    assert not model.network.training and not any(each.requires_grad for each in model.network.parameters())


def test_the_encoder_is_the_one_that_embeds(kind, folder, model):
    tokens = torch.from_numpy(model.tokens.read(SEQUENCE))[None]
    with torch.no_grad():
        states = model.network.encoder(tokens).last_hidden_state[0, len(model.card.prefix) > 0 : -1]
    output = load(f"{kind}_tiny", path=folder, device="cpu", dtype="float32").run([SEQUENCE], layers=[-1], logits=False)
    np.testing.assert_allclose(states, output[0].hidden[-1], atol=1e-5)


def test_a_tied_head_is_the_embedding(tmp_path):
    def drop(state):
        del state["lm_head.weight"], state["decoder.embed_tokens.weight"]

    whole = tiny.write_t5(tmp_path / "whole", "ankh")
    models = [
        load("ankh_tiny", path=each, device="cpu", decoder=True)
        for each in (whole, tiny.write_t5(tmp_path / "dropped", "ankh", change=drop))
    ]
    found = [likelihoods(each, SEQUENCE) for each in models]
    np.testing.assert_array_equal(*found)
    network = T5ForConditionalGeneration.from_pretrained(whole, dtype=torch.float32).eval()
    row = torch.from_numpy(models[0].tokens.read(SEQUENCE))[None]
    with torch.no_grad():
        expected, ours = (
            each(row, decoder_input_ids=torch.tensor([[0, 33]])).logits for each in (network, models[0].network)
        )
    np.testing.assert_allclose(ours, expected, atol=1e-5)


FEED = "decoder.block.1.layer.2.DenseReluDense.wo.weight"


def _poison(state):
    state[FEED][0, 3] = math.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(FEED), f"missing: {FEED}"),
        (lambda state: state.pop("lm_head.weight"), r"missing: lm_head\.weight"),
        (lambda state: state.update({"decoder.block.7.x": torch.zeros(2)}), r"unexpected: decoder\.block\.7\.x"),
        (lambda state: state.update({FEED: torch.zeros(5)}), r"wo\.weight is \(5,\), expected \(16, 24\)"),
        (_poison, r"wo\.weight holds numbers that are not finite"),
        (
            lambda state: state["decoder.embed_tokens.weight"].add_(1),
            r"shared\.weight is not decoder\.embed_tokens\.weight, to which T5 ties it",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, kind, change, message):
    folder = tiny.write_t5(
        tmp_path, kind, change=change, change_config=lambda facts: facts.update(tie_word_embeddings=False)
    )
    with pytest.raises(InputError, match=message):
        load(f"{kind}_tiny", path=folder, decoder=True)


def test_what_old_files_leave_over_is_left_alone(tmp_path, model, kind):
    def leave(state):
        untie(state)
        state["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = torch.ones(8, 4)

    folder = tiny.write_t5(
        tmp_path, kind, change=leave, change_config=lambda facts: facts.update(tie_word_embeddings=False)
    )
    other = load(f"{kind}_tiny", path=folder, device="cpu", dtype="float32", decoder=True)
    np.testing.assert_array_equal(*(likelihoods(each, "MKTAY") for each in (model, other)))


def test_models_without_a_decoder_are_refused(tmp_path):
    with pytest.raises(
        InputError, match="'prott5_xl_u50': .*-enc holds an encoder and no decoder; expected a model of"
    ):
        load("prott5_xl_u50", decoder=True)
    with pytest.raises(InputError, match="family 'esm2' has no decoder"):
        load("esm2_8M", decoder=True)
    folder = tiny.write_t5(tmp_path, "prott5")
    with pytest.raises(InputError, match="vocabulary lacks <extra_id_0>; expected that of a whole T5"):
        load("prott5_tiny", path=folder, decoder=True)
