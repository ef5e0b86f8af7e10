"""Heads: the same as transformers' layers, blind to padding, with the published numbers of parameters."""

import numpy as np
import pytest
import torch

from plmbook.core.errors import InputError
from plmbook.tasks import heads

ANKH = {"input_dim": 768, "nhead": 4, "hidden_dim": 384, "num_hidden_layers": 1, "num_layers": 1, "kernel_size": 7}
TINY = {"input_dim": 8, "nhead": 4, "hidden_dim": 6, "kernel_size": 3, "dropout": 0.0}


def random_embeddings(lengths, d=8, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, d)).astype(np.float32) for length in lengths]


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make().eval()


EVERY = {
    "binary": lambda: heads.ConvBertForBinaryClassification(**TINY),
    "class": lambda: heads.ConvBertForMultiClassClassification(3, **TINY, pooling="avg"),
    "residue": lambda: heads.ConvBertForMultiClassClassification(3, **TINY),
    "labels": lambda: heads.ConvBertForMultiLabelClassification(4, **TINY, pooling="max"),
    "residue labels": lambda: heads.ConvBertForMultiLabelClassification(4, **TINY, num_layers=2),
    "number": lambda: heads.ConvBertForRegression(**TINY),
    "contacts": lambda: heads.ConvBertForContactPrediction(**TINY),
    "linear": lambda: heads.Probe("classes", 8, 3),
    "mlp by residue": lambda: heads.Probe("classes", 8, 3, hidden_dim=5, by_residue=True),
    "linear contacts": lambda: heads.Probe("contacts", 8, 2),
}


# --- the published definition ------------------------------------------------------------------------------------


def transformers_layers(head):
    """transformers' own layers with the weights of a head."""
    from transformers import ConvBertConfig
    from transformers.models.convbert.modeling_convbert import ConvBertLayer

    config = ConvBertConfig(
        hidden_size=8, num_attention_heads=4, intermediate_size=6, conv_kernel_size=3, hidden_dropout_prob=0.0
    )
    layers = [ConvBertLayer(config).eval() for _ in head.encoder.layers]
    for theirs, ours in zip(layers, head.encoder.layers, strict=True):
        theirs.load_state_dict(ours.state_dict())  # strict: the names are the same
    return layers


@pytest.mark.parametrize("layers", [1, 2])
def test_the_layers_are_those_of_transformers(layers):
    head = seeded(lambda: heads.ConvBertForMultiClassClassification(3, **TINY, num_layers=layers))
    x = torch.from_numpy(np.stack(random_embeddings([9, 9])))
    expected = x
    for layer in transformers_layers(head):
        expected = layer(expected)
    with torch.no_grad():
        torch.testing.assert_close(head(x).logits, head.decoder(expected))
        torch.testing.assert_close(head(x, mask=torch.ones(2, 9, dtype=torch.bool)).logits, head.decoder(expected))


def counted_by_hand(d, hidden, kernel, heads_left, layers=1):
    """Numbers of a ConvBERT layer, term by term: half of the heads are left, each (d / heads_left) / 2 wide."""
    inner = heads_left * ((d // heads_left) // 2)
    attention = 3 * (d * inner + inner)  # query, key, value
    attention += d * kernel + d * inner + inner  # separable convolution of the keys: by depth, by point, bias
    attention += inner * heads_left * kernel + heads_left * kernel  # the kernels
    attention += d * inner + inner  # what is convolved
    attention += d * d + d + 2 * d  # output and its norm
    feed_forward = d * hidden + hidden + hidden * d + d + 2 * d
    return layers * (attention + feed_forward)


@pytest.mark.parametrize(
    "make, decoder",
    [
        (lambda: heads.ConvBertForBinaryClassification(**ANKH, dropout=0.2, pooling="max"), 769),
        (lambda: heads.ConvBertForMultiClassClassification(num_tokens=2, **ANKH, dropout=0.2), 2 * 769),
        (lambda: heads.ConvBertForRegression(**ANKH, dropout=0, pooling="max", training_labels_mean=0.38145), 769),
    ],
)
def test_parameters_of_the_three_published_examples(make, decoder):
    encoder = counted_by_hand(768, 384, 7, heads_left=2)
    assert encoder == 2_671_886
    assert sum(each.numel() for each in make().parameters()) == encoder + decoder


def test_the_mean_of_the_training_labels_is_the_bias():
    head = heads.ConvBertForRegression(**ANKH, pooling="max", training_labels_mean=0.38145)
    assert head.decoder.bias.item() == pytest.approx(0.38145)
    assert heads.ConvBertForRegression(**ANKH).decoder.bias.item() == 0


def test_pairs_are_the_product_and_the_difference_symmetrised():
    """The written-out features give the same logits: the difference cancels."""
    pairs = heads.Pairs(8, 2)
    x = torch.from_numpy(np.stack(random_embeddings([5, 5])))
    product, difference = x[:, :, None] * x[:, None], x[:, :, None] - x[:, None]
    written_out = pairs.linear(torch.cat([product, difference], dim=-1))
    written_out = (written_out + written_out.transpose(1, 2)) / 2
    torch.testing.assert_close(pairs(x), written_out)


# --- padding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_a_protein_does_not_see_the_padding(name):
    head = seeded(EVERY[name])
    embeddings = random_embeddings([4, 11, 7])
    together = heads.predict(head, embeddings)
    alone = [heads.predict(head, [each])[0] for each in embeddings]
    for one, other in zip(together, alone, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-5)
    shapes = {"residue": (4, 3), "contacts": (4, 4, 2), "binary": (1,), "class": (3,)}
    if name in shapes:
        assert together[0].shape == shapes[name]


def test_without_the_mask_the_convolution_would_see_it():
    """The test above can fail: padding without a mask changes the answer."""
    head = seeded(EVERY["residue"])
    x = torch.from_numpy(random_embeddings([4])[0])[None]
    padded = torch.cat([x, torch.zeros(1, 3, 8)], dim=1)
    with torch.no_grad():
        assert (head(padded).logits[:, :4] - head(x).logits).abs().max() > 1e-3


@pytest.mark.parametrize(
    "name, labels",
    [
        ("residue", [np.array([0, 1, -100, 2]), np.array([1, 1, 2, 0, 0, 1])]),
        ("contacts", [np.triu(np.ones((4, 4), int)) - 1, np.zeros((6, 6), int)]),
        ("residue labels", [np.eye(4), np.ones((6, 4))]),
    ],
)
def test_padding_and_what_does_not_count_are_not_in_the_loss(name, labels):
    head = seeded(EVERY[name])
    embeddings = random_embeddings([4, 6])
    batch = heads.collate(list(zip(embeddings, labels, strict=True)), head.kind)
    losses, n = [], []
    for x, y in zip(embeddings, labels, strict=True):
        alone = heads.collate([(x, y)], head.kind)
        losses.append(head(*alone).loss.item())
        n.append((y != (-1 if name == "contacts" else -100)).sum())
    expected = np.average(losses, weights=n)
    assert head(*batch).loss.item() == pytest.approx(expected, rel=1e-5)


def test_labels_of_a_protein_as_many_as_its_residues_are_still_those_of_the_protein():
    """Four labels of a protein of four residues: one row a protein, not one a residue."""
    _, labels, _ = heads.collate([(np.zeros((4, 8)), np.ones(4)), (np.zeros((6, 8)), np.zeros(4))], "labels")
    assert labels.shape == (2, 4)


# --- training ----------------------------------------------------------------------------------------------------


def toy(n=60, seed=0):
    """Proteins whose number is the mean of their first column."""
    embeddings = random_embeddings(np.random.default_rng(seed).integers(3, 9, size=n), seed=seed)
    return [(x, np.float32(x[:, 0].mean())) for x in embeddings]


def minus_error(logits, labels):
    return -float(np.mean([(x[0] - y) ** 2 for x, y in zip(logits, labels, strict=True)]))


def fit_toy(seed=0, **options):
    return heads.fit(
        lambda: heads.Probe("number", 8), toy(), toy(20, seed=1), minus_error, seed=seed, rate=0.03, **options
    )


def test_a_linear_probe_learns_a_linear_label():
    fitted = fit_toy(epochs=60, patience=60)
    assert -fitted.log["validation"].max() < 0.05 * np.var([y for _, y in toy(20, seed=1)])


def test_the_best_epoch_is_kept_and_training_stops():
    """The score is made to fall after epoch 2: two more epochs, then the weights of the second."""
    calls = []

    def score(logits, labels):
        calls.append([x.copy() for x in logits])
        return -abs(len(calls) - 2)

    validation = toy(20, seed=1)
    fitted = heads.fit(lambda: heads.Probe("number", 8), toy(), validation, score, epochs=9, patience=2)
    assert (fitted.best_epoch, len(fitted.log)) == (2, 4)
    np.testing.assert_array_equal(heads.predict(fitted.head, [x for x, _ in validation]), calls[1])
    assert not np.array_equal(calls[1], calls[3])


def test_a_seed_gives_the_same_head_and_another_gives_another():
    first, again, other = (fit_toy(seed=seed, epochs=2) for seed in (3, 3, 4))
    for name, weights in first.head.state_dict().items():
        assert torch.equal(weights, again.head.state_dict()[name])
    assert not torch.equal(first.head.decoder.weight, other.head.decoder.weight)


def test_training_leaves_the_global_state_of_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    fit_toy(epochs=1)
    assert torch.equal(torch.rand(1), expected) and torch.get_num_threads() == threads


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: heads.ConvBertForBinaryClassification(**TINY, pooling="mex"), "did you mean 'max'"),
        (lambda: heads.ConvBertForRegression(**TINY, pooling=None), "expected avg or max"),
        (lambda: heads.ConvBertForMultiClassClassification(2, **TINY | {"kernel_size": 4}), "odd number"),
        (lambda: heads.ConvBertForMultiClassClassification(2, **TINY | {"input_dim": 9}), "multiple of 4"),
        (lambda: heads.fit(lambda: heads.Probe("number", 8), [], toy(), minus_error), "0 training"),
    ],
)
def test_faults_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_loss_that_is_no_number_ends_the_training():
    broken = [(np.full((3, 8), np.nan, np.float32), np.float32(1))] * 4
    with pytest.raises(InputError, match="not a number"):
        heads.fit(lambda: heads.Probe("number", 8), broken, toy(4), minus_error, epochs=1)


@pytest.mark.parametrize("name", ["residue", "residue labels", "contacts"])
def test_a_batch_in_which_nothing_counts_has_a_loss_of_zero(name):
    head = seeded(EVERY[name])
    shape = {"residue": (4,), "residue labels": (4, 4), "contacts": (4, 4)}[name]
    labels = np.full(shape, -1 if name == "contacts" else -100)
    batch = heads.collate([(random_embeddings([4])[0], labels)], head.kind)
    assert head(*batch).loss.item() == 0


def test_a_score_that_is_no_number_ends_the_training():
    with pytest.raises(InputError, match="validation score"):
        heads.fit(lambda: heads.Probe("number", 8), toy(), toy(4), lambda logits, labels: float("nan"), epochs=1)
