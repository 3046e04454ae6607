"""Pictures in bad conditions, which a pupil sees and its teacher does not."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tests.training.data import tiny_kestrel  # noqa: E402
from tests.training.test_imitation import batch  # noqa: E402
from tracker.training.imitation import ImitationObjective  # noqa: E402
from tracker.training.spoil import spoiled  # noqa: E402

PAIRS = 400


def flat(value: int, count: int = PAIRS) -> tuple[torch.Tensor, torch.Tensor]:
    """Exemplars and search regions of one grey: blur changes nothing."""
    return tuple(torch.full((count, s, s, 3), value, dtype=torch.uint8) for s in (8, 16))


def textured(count: int = PAIRS) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.randint(60, 190, (count, s, s, 3), dtype=torch.uint8) for s in (16, 32))


def levels(images: torch.Tensor) -> torch.Tensor:
    return images.float().mean((1, 2, 3))


def test_the_share_of_pairs_is_spoiled_and_the_others_stay() -> None:
    torch.manual_seed(0)
    given = textured()
    # 12 of 100 that are to be spoiled draw good conditions
    for share, low, high in ((0.0, 0, 0), (0.5, 0.36, 0.52), (1.0, 0.82, 0.94)):
        found = spoiled(*given, share)
        changed = [(a != b).flatten(1).any(1) for a, b in zip(found, given, strict=True)]
        assert all(a.dtype == torch.uint8 for a in found)
        assert [a.shape for a in found] == [b.shape for b in given]
        assert low <= changed[0].float().mean() <= high
        both = changed[0] == changed[1]  # but where light and nothing else is switched
        assert both.float().mean() > 0.85


def test_the_same_seed_spoils_alike() -> None:
    given = textured(20)
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(torch.cat([t.flatten() for t in spoiled(*given, 1.0)]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_checkpoint_s_generator_is_all_that_it_draws_from(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    given = [t.to(device) for t in textured(20)]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = [t.cpu() for t in spoiled(*given, 1.0)]
    spoiled(*given, 1.0)
    torch.set_rng_state(state)
    again = [t.cpu() for t in spoiled(*given, 1.0)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_pair_is_of_one_light_but_where_it_is_switched() -> None:
    torch.manual_seed(0)
    exemplar, search = (levels(t) for t in spoiled(*flat(128), 1.0))
    alike = (exemplar - search).abs() < 8
    assert 0.7 < alike.float().mean() < 0.9
    assert (exemplar < 40).float().mean() > 0.15 and (exemplar > 160).float().mean() > 0.05


def test_some_are_noisy_and_some_are_not() -> None:
    torch.manual_seed(0)
    exemplar, search = spoiled(*flat(128), 1.0)
    grain = search.float().std((1, 2, 3))
    assert 0.4 < (grain > 1).float().mean() < 0.6
    assert grain.max() < 26
    noise = exemplar.float().std((1, 2, 3)) > 1
    assert (noise == (grain > 1)).float().mean() > 0.97, "it is one camera"


def test_some_are_out_of_focus() -> None:
    torch.manual_seed(0)
    stripes = torch.zeros(PAIRS, 16, 16, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    found, _ = spoiled(stripes, stripes, 1.0)
    step = (found[:, :, 1:].float() - found[:, :, :-1].float()).mean(3).abs().mean((1, 2))
    contrast = step / levels(found).clamp_min(1)
    assert 0.1 < (contrast < 1.0).float().mean() < 0.6 and contrast.max() > 1.9


def test_the_pupil_alone_sees_them() -> None:
    """A pupil with its teacher's weights differs from it by what was spoiled, and only then."""
    teacher = tiny_kestrel(2)
    given = batch()
    crops = {name: given[name].clone() for name in ("exemplar", "search")}
    assert ImitationObjective(teacher, teacher, 0.0)(given)["loss"].item() < 1e-6
    torch.manual_seed(0)
    assert ImitationObjective(teacher, teacher, 1.0)(given)["loss"].item() > 0.01
    assert all(torch.equal(given[name], crop) for name, crop in crops.items())
