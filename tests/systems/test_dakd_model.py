"""DAKD's attention, networks and losses, against hand values and an independent implementation."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vadistill.distill import FrozenTeacher
from vadistill.errors import ConfigError
from vadistill.systems import dakd
from vadistill.systems.dakd import losses
from vadistill.systems.dakd.attention import (
    TERMS,
    Index,
    TemporalAggregation,
    Term,
    attention_logits,
    relative_index,
    term_count,
)
from vadistill.systems.dakd.data import balanced_batches
from vadistill.systems.dakd.model import Baseline, Network, Projector, student_network
from vadistill.systems.dakd.standard import Standard
from vadistill.systems.dakd.temporal import RIVALS, WithSkip, temporal_module
from vadistill.torchvision_cpu import import_torchvision


def test_relative_index_is_clamped_to_the_table() -> None:
    gamma = relative_index(6, 2)
    assert gamma[0].tolist() == [2, 1, 0, 0, 0, 0]
    assert gamma[5].tolist() == [3, 3, 3, 3, 3, 2]
    assert relative_index(32, 25).min() == 0 and relative_index(32, 25).max() == 49


def one_entry(
    queries: Tensor, keys: Tensor, query_r: Tensor, key_r: Tensor, place: tuple[int, ...], k: int
) -> dict[Term, float]:
    """Each term of A~ at (head, b, t, i, j), written out as Eq. 4's sums."""
    head, b, t, i, j = place

    def gamma(a: int, c: int) -> int:
        return min(max(a - c + k, 0), 2 * k - 1)

    others = [h for h in range(keys.shape[2]) if h != t]
    return {
        "self": float(queries[head, b, t, i] @ keys[head, b, t, j]),
        "cross": sum(float(queries[head, b, t, i] @ keys[head, b, h, j]) for h in others),
        "content-to-position": float(queries[head, b, t, i] @ key_r[head, gamma(i, j)]),
        "position-to-content": float(keys[head, b, t, j] @ query_r[head, gamma(j, i)]),
    }


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("terms", [TERMS, *((term,) for term in TERMS)])
def test_every_term_of_the_attention_by_hand(terms: tuple[Term, ...]) -> None:
    b, t, heads, n, c, k = 2, 3, 2, 7, 4, 3
    queries, keys = drawn(heads, b, t, n, c), drawn(heads, b, t, n, c, seed=1)
    query_r, key_r = drawn(heads, 2 * k, c, seed=2), drawn(heads, 2 * k, c, seed=3)
    logits = attention_logits(queries, keys, query_r, key_r, terms=terms)
    for place in [(0, 0, 0, 0, 6), (1, 1, 2, 6, 0), (1, 0, 1, 3, 3), (0, 1, 0, 5, 4)]:
        each = one_entry(queries, keys, query_r, key_r, place, k)
        assert float(logits[place]) == pytest.approx(sum(each[term] for term in terms), abs=1e-5)


def test_the_scale_counts_the_products() -> None:
    assert term_count(TERMS, 3) == 5  # T + 2
    assert term_count(TERMS, 1) == 3
    assert term_count(("cross",), 4) == 3


@pytest.mark.parametrize("index", ["paper", "deberta"])
@pytest.mark.parametrize("length", [5, 8])
def test_one_sequence_is_debertas_disentangled_attention(index: Index, length: int) -> None:
    """Against the transformers library, in both conventions of the position-to-content index.

    It is given rows of unit variance, which its own layers give each other.  Its own convention is
    gamma(i, j).  With the table of relative positions turned round,
    row m holding row 2k - m, its code gives the papers' gamma(j, i), exactly while n <= k.
    """
    import_torchvision()
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    from transformers import DebertaV2Config

    width, heads, k = 32, 4, 8
    settings: dict[str, Any] = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "relative_attention": True,
        "max_relative_positions": k,
        "position_buckets": -1,
        "pos_att_type": ["c2p", "p2c"],
        "share_att_key": False,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    config = DebertaV2Config(**settings)
    theirs = deberta.DisentangledSelfAttention(config).eval()
    ours = TemporalAggregation(1, width, width, heads=heads, reach=k, index=index).eval()
    table = F.layer_norm(ours.positions.detach(), (width,))
    with torch.no_grad():
        query, key, value = (each[0].T for each in (ours.query, ours.key, ours.value))
        query_r, key_r = ours.relative.weight.chunk(2)
        for layer, weight in (
            (theirs.query_proj, query),
            (theirs.key_proj, key),
            (theirs.value_proj, value),
            (theirs.pos_query_proj, query_r),
            (theirs.pos_key_proj, key_r),
        ):
            layer.weight.copy_(weight)
            layer.bias.zero_()
        if index == "paper":
            turned = table[(2 * k - torch.arange(2 * k)).clamp(0, 2 * k - 1)]
            theirs.pos_query_proj.register_forward_pre_hook(lambda _, given: (turned[None],))
        x = drawn(2, length, width, seed=4)
        mask = torch.ones(2, 1, length, length)
        said = theirs(F.layer_norm(x, (width,)), mask, rel_embeddings=table)[0]
        np.testing.assert_allclose(ours(x[:, None]).numpy(), said.numpy(), atol=1e-5)


def largest_weights(module: torch.nn.Module, features: list[Tensor]) -> float:
    """The mean largest weight of a row of a network's attention, as a multiple of 1 / n."""
    assert isinstance(module, Network) and isinstance(module.temporal, WithSkip)
    attention = module.temporal.attention
    assert isinstance(attention, TemporalAggregation)
    each = [project(x) for project, x in zip(module.projections, features, strict=True)]
    with torch.no_grad():
        weights, _ = attention.attend(torch.stack(each).transpose(0, 1))
    return float(weights.amax(-1).float().mean()) * weights.shape[-1]


def events(seed: int, *, abnormal: bool) -> list[Tensor]:
    """Three videos in two backbones: noise, and in segments 8 to 11 of abnormal ones an event."""
    views = [drawn(3, 32, width, seed=seed + width) for width in (12, 6)]
    for view in views if abnormal else ():
        view[:, 8:12, :3] += 3
    return views


@pytest.fixture(scope="module")
def taught() -> Network:
    """A small teacher that has learnt to find the events."""
    torch.manual_seed(0)
    network = Network([12, 6])
    optimiser = torch.optim.Adagrad(network.parameters(), lr=1e-3, weight_decay=1e-3)
    for step in range(6):
        abnormal, normal = (events(100 * step + 7 * a, abnormal=bool(a)) for a in (1, 0))
        parts = losses.ranking_loss(network(abnormal).scores, network(normal).scores)
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
    return network.eval()


@pytest.mark.parametrize("bf16", [False, True])
def test_attention_attends_before_and_after_training(taught: Network, bf16: bool) -> None:
    torch.manual_seed(0)
    for network in (Network([12, 6]), taught):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            assert largest_weights(network, events(5, abnormal=True)) > 2


@pytest.mark.parametrize("term", TERMS)
def test_each_term_of_the_attention_counts_in_a_trained_network(
    taught: Network, term: Term
) -> None:
    less = copy.deepcopy(taught)
    attention = less.temporal.get_submodule("attention")
    assert isinstance(attention, TemporalAggregation)
    attention.terms = tuple(each for each in TERMS if each != term)
    with torch.no_grad():
        ours, theirs = (n(events(5, abnormal=True)).features for n in (taught, less))
    assert float((ours - theirs).std() / ours.std()) > 0.02


def test_the_aggregate_is_the_mean_over_backbones_and_order_matters_not() -> None:
    module = TemporalAggregation(3, 16, 32, heads=4, reach=5).eval()
    x = drawn(2, 3, 9, 16)
    assert module(x).shape == (2, 9, 32)
    turned = TemporalAggregation(3, 16, 32, heads=4, reach=5).eval()
    turned.load_state_dict(module.state_dict())
    for name in ("query", "key", "value"):
        setattr(turned, name, torch.nn.Parameter(getattr(module, name)[[2, 0, 1]]))
    torch.testing.assert_close(turned(x[:, [2, 0, 1]]), module(x))
    # Three times the same backbone, each for itself, is that backbone alone.
    one = TemporalAggregation(1, 16, 32, heads=4, reach=5, terms=("self",)).eval()
    same = TemporalAggregation(3, 16, 32, heads=4, reach=5, terms=("self",)).eval()
    repeated = {
        name: value.repeat(3, 1, 1) if name in ("query", "key", "value") else value
        for name, value in one.state_dict().items()
    }
    same.load_state_dict(repeated)
    torch.testing.assert_close(same(x[:, :1].repeat(1, 3, 1, 1)), one(x[:, :1]))


@pytest.mark.parametrize("name", ["tam", *RIVALS])
def test_every_temporal_module_has_one_interface(name: str) -> None:
    for sequences in (1, 3):
        module = temporal_module(name, sequences, 8, 32)
        for length in (1, 7, 32, 40):
            assert module(drawn(2, sequences, length, 8)).shape == (2, length, 32)


def test_only_the_segmentwise_one_ignores_the_other_segments() -> None:
    for name in ("tam", *RIVALS):
        module = temporal_module(name, 2, 8, 32).eval()
        x = drawn(1, 2, 10, 8)
        changed = x.clone()
        changed[:, :, 6, 0] += 1  # all of a row at once is what normalised rows do not see
        moved = (module(x)[0, 5] - module(changed)[0, 5]).abs().max()
        assert bool(moved > 1e-6) == (name != "none"), name


def test_the_skip_is_the_attention_and_a_projection_of_the_mean() -> None:
    module = temporal_module("tam", 2, 8, 32)
    assert isinstance(module, WithSkip)
    x = drawn(1, 2, 5, 8)
    torch.testing.assert_close(module(x), module.attention(x) + module.skip(x.mean(1)))
    assert isinstance(temporal_module("tam", 2, 8, 32, skip=False), TemporalAggregation)
    assert not isinstance(temporal_module("gru", 2, 8, 32), WithSkip)


@pytest.mark.parametrize(
    ("terms", "students"),
    [(("self",), ("self",)), (("cross",), ()), (TERMS, (TERMS[0], *TERMS[2:]))],
)
def test_the_student_has_the_terms_within_a_backbone(
    terms: tuple[Term, ...], students: tuple[Term, ...]
) -> None:
    config = replace(dakd.paper(), terms=terms, width=32)
    attention = student_network(config, 6).temporal
    assert isinstance(attention, WithSkip)
    assert isinstance(attention.attention, TemporalAggregation)
    assert attention.attention.terms == students


def test_unknown_modules_and_terms_are_one_line() -> None:
    with pytest.raises(ConfigError, match=r"temporal module 'transformer'.*tam or one of"):
        temporal_module("transformer", 1, 8, 32)
    with pytest.raises(ConfigError, match="width that the heads divide"):
        TemporalAggregation(1, 8, 30)
    with pytest.raises(ConfigError, match="terms of self"):
        TemporalAggregation(1, 8, 32, terms=("content",))


def test_networks_have_the_papers_sizes() -> None:
    teacher, student = Network([1024, 1024, 512]), Network([512])
    inputs = [p.get_parameter("0.weight").shape for p in teacher.projections]
    assert inputs == [(512, 1024), (512, 1024), (512, 512)]
    assert isinstance(teacher.temporal, WithSkip)
    attention = teacher.temporal.attention
    assert isinstance(attention, TemporalAggregation)
    assert attention.positions.shape == (50, 512) and attention.heads == 8
    outputs = [p.shape[0] for name, p in teacher.head.named_parameters() if "weight" in name]
    assert outputs == [512, 32, 1]
    said = student([drawn(2, 32, 512)])
    assert said.features.shape == (2, 32, 1024) and said.scores.shape == (2, 32)
    assert ((said.scores > 0) & (said.scores < 1)).all()
    assert Baseline([1024, 512])([drawn(2, 5, 1024), drawn(2, 5, 512)]).logits.shape == (2, 5)


def test_ranking_loss_by_hand() -> None:
    abnormal = torch.tensor([[0.1, 0.9, 0.4], [0.2, 0.2, 0.2]])
    normal = torch.tensor([[0.3, 0.1, 0.1], [0.0, 0.5, 0.0]])
    parts = losses.ranking_loss(abnormal, normal, smoothness=0.5, sparsity=0.1)
    # 1 - 0.9 + 0.3, 1 - 0.9 + 0.5, 1 - 0.2 + 0.3, 1 - 0.2 + 0.5
    assert float(parts["hinge"]) == pytest.approx((0.4 + 0.6 + 1.1 + 1.3) / 4)
    assert float(parts["smoothness"]) == pytest.approx(0.5 * (0.64 + 0.25 + 0) / 2)
    assert float(parts["sparsity"]) == pytest.approx(0.1 * (1.4 + 0.6) / 2)


def test_attention_can_only_lower_a_guarded_score() -> None:
    lowered, kept = False, False
    for seed in range(6):
        torch.manual_seed(seed)
        free = Network([12, 6], width=32)
        guarded = Network([12, 6], width=32, guarded=True)
        guarded.load_state_dict(free.state_dict())
        views = events(5, abnormal=True)
        assert isinstance(guarded.temporal, WithSkip)
        each = [project(view) for project, view in zip(guarded.projections, views, strict=True)]
        sequences = torch.stack(each).transpose(0, 1)
        alone = guarded.head(guarded.temporal.alone(sequences)).squeeze(-1)
        said, unguarded = guarded(views).logits, free(views).logits
        torch.testing.assert_close(said, torch.minimum(alone, unguarded))
        lowered |= bool((said < alone - 1e-4).any())
        kept |= bool((said < unguarded - 1e-4).any())
        # Whatever the others are.
        for view in views:
            view[:, 16:] += 3
        assert (guarded(views).logits[:, :16] <= alone[:, :16] + 1e-5).all()
    assert lowered and kept


def test_topk_loss_by_hand() -> None:
    def bce(logit: float, label: float) -> float:
        return -math.log(1 / (1 + math.exp(-logit if label else logit)))

    many = torch.zeros(1, 32)
    many[0, [3, 7, 20, 21]] = torch.tensor([3.0, 2.0, 1.0, 0.5])
    assert float(losses.top_mean(many)) == pytest.approx(2), "the highest 3 of 32"
    parts = losses.topk_loss(many, many[:, :1].expand(1, 32) - 1)
    assert float(parts["topk"]) == pytest.approx((bce(2, 1) + bce(-1, 0)) / 2)


def test_magnitude_loss_by_hand() -> None:
    features = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 0.5]]])
    logits = torch.tensor([[1.0, 9.0], [-1.0, 9.0]])
    parts = losses.magnitude_loss(features, logits, 1, margin=10.0, weight=0.5)
    assert float(parts["magnitude"]) == pytest.approx(0.5 * (10 - 5 + 2) ** 2)
    both = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 0.0])
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(*both)
    assert float(parts["topk"]) == pytest.approx(float(wanted)), "of the segments of magnitude"


def test_standardised_inputs_have_mean_0_and_deviation_1() -> None:
    network = Network([4], width=32, standardise=True)
    features = 7 * drawn(50, 32, 4) + 3
    features[..., 2] = 5.0
    flat = features.flatten(0, 1)
    (enter,) = network.entrances
    assert isinstance(enter, Standard)
    enter.fit(flat.mean(0), flat.std(0))
    seen = enter(features).flatten(0, 1)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(0)[[0, 1, 3]], 1, atol=1e-3)
    assert (seen[:, 2] == 0).all(), "what never changes"
    assert {"entrances.0.mean", "entrances.0.deviation"} <= set(network.state_dict())
    assert not any("entrances" in name for name in Network([4]).state_dict())


def test_no_term_of_the_ranking_loss_crosses_a_videos_border() -> None:
    flat = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    parts = losses.ranking_loss(flat, torch.zeros(1, 2))
    assert float(parts["smoothness"]) == 0


def test_pseudo_labels_by_hand() -> None:
    scores = torch.tensor([[0.0, 0.0, 0.6, 0.3, 0.3], [0.9, 0.9, 0.9, 0.9, 0.9]])
    averaged = losses.moving_average(scores, 1)
    np.testing.assert_allclose(averaged[0], [0, 0.2, 0.3, 0.4, 0.3], atol=1e-6)
    labels = losses.pseudo_labels(scores, torch.tensor([True, False]), half_width=1)
    np.testing.assert_allclose(labels[0], [0, 0.5, 0.75, 1, 0.75], atol=1e-6)
    assert (labels[1] == 0).all(), "a normal video has no anomaly"
    plain = losses.pseudo_labels(scores, torch.tensor([True, True]), half_width=0, minmax=False)
    torch.testing.assert_close(plain, scores)


def test_a_constant_video_is_not_stretched() -> None:
    labels = losses.pseudo_labels(torch.full((1, 8), 0.3), torch.tensor([True]))
    np.testing.assert_allclose(labels, 0.3, atol=1e-6)


def test_scores_that_hardly_differ_are_not_stretched() -> None:
    scores = torch.tensor([[0.0, 0.0085, 0.004], [0.0, 0.2, 0.1]])
    labels = losses.pseudo_labels(scores, torch.tensor([True, True]), half_width=0, least_range=0.1)
    torch.testing.assert_close(labels[0], scores[0])
    torch.testing.assert_close(labels[1], torch.tensor([0, 1, 0.5]))


def test_feature_loss_by_hand() -> None:
    # Unit vectors in the plane: the loss is over angles.
    def at(*degrees: float) -> Tensor:
        radians = torch.tensor(degrees) * math.pi / 180
        return torch.stack([radians.cos(), radians.sin()], 1) * 3

    # The last segment is in neither class.
    teacher, student = at(0, 90, 180, 45), at(60, 90, 90, 200)
    anomalous = torch.tensor([True, False, False, False])
    normal = torch.tensor([False, True, True, False])
    tau = 0.5

    def e(cosine: float) -> float:
        return math.exp(cosine / tau)

    # The anomaly: positive cos 60; negatives are the student's normal ones at 90, seen from 0.
    first = -math.log(e(0.5) / (2 * e(0) + e(0.5)))
    # Each normal one: its own angle; the negative is the student's anomaly at 60.
    second = -math.log(e(1) / (e(math.cos(math.radians(30))) + e(1)))
    third = -math.log(e(0) / (e(-0.5) + e(0)))
    value = losses.feature_loss(teacher, student, anomalous, normal, tau)
    assert float(value) == pytest.approx(first + (second + third) / 2, abs=1e-5)


@pytest.mark.parametrize("anomalous", [True, False])
def test_feature_loss_of_an_empty_class_is_zero_and_has_a_gradient(anomalous: bool) -> None:
    student = drawn(4, 8).requires_grad_()
    sets = torch.full((4,), anomalous), torch.full((4,), not anomalous)
    loss = losses.feature_loss(drawn(4, 8, seed=1), student, *sets, 10.0)
    loss.backward()
    assert float(loss.detach()) == 0 and student.grad is not None and (student.grad == 0).all()


def test_distillation_loss_weighs_the_feature_level() -> None:
    value = losses.distillation_loss(torch.tensor(2.0), torch.tensor(0.1), alpha=7.5, temperature=2)
    assert float(value) == pytest.approx(2 + 7.5 * 4 * 0.1)


def test_gradients_reach_the_student_only() -> None:
    teacher, student, g = FrozenTeacher(Network([8, 4])), Network([4]), Projector()
    views = [drawn(2, 6, 8), drawn(2, 6, 4, seed=1)]
    taught, said = teacher(views), student(views[1:])
    z = g(torch.cat([taught.features, said.features]).flatten(0, 1))  # pyright: ignore
    anomalous = torch.arange(12) % 3 == 0
    loss = losses.feature_loss(z[:12].detach(), z[12:], anomalous, ~anomalous, 10.0)
    loss = loss + losses.prediction_loss(said.logits, taught.scores)  # pyright: ignore
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_batches_are_halves_of_both_classes_and_repeat_with_the_epoch() -> None:
    labels = np.arange(100) % 5 == 0
    batches = balanced_batches(labels, 20, seed=0, epoch=3)
    assert len(batches) == 8
    for abnormal, normal in batches:
        assert len(abnormal) == len(normal) == 10
        assert labels[abnormal].all() and not labels[normal].any()
    seen = np.concatenate([normal for _, normal in batches])
    assert len(set(seen.tolist())) == 80, "the more frequent class is passed once"
    again = balanced_batches(labels, 20, seed=0, epoch=3)
    assert all((a[0] == b[0]).all() for a, b in zip(batches, again, strict=True))
    other = balanced_batches(labels, 20, seed=0, epoch=4)
    assert any((a[0] != b[0]).any() for a, b in zip(batches, other, strict=True))
    (abnormal, normal), *more = balanced_batches(np.arange(13) < 5, 60, seed=0, epoch=0)
    assert not more and len(abnormal) == len(normal) == 8
