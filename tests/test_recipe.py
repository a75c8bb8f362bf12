"""utils/training/recipe.py: which recipe a network has, with what is asked for."""

from dataclasses import replace

import pytest

from utils.training.bank import SIDE
from utils.training.recipe import BANK, LITE, PUBLISHED, recipe_for


def test_the_published_recipe_is_resnet34_s():
    assert recipe_for("resnet34", "imagenet", {"epochs": None}) == PUBLISHED
    assert (PUBLISHED.unfreeze, PUBLISHED.epochs, PUBLISHED.batch_size, PUBLISHED.lr) == ("layer4", 30, 64, 1e-3)
    assert PUBLISHED.bank == LITE.bank == 0


def test_options_replace_what_they_name():
    found = recipe_for("resnet34", "imagenet", {"epochs": 3, "seed": 0, "lr": None})
    assert (found.epochs, found.seed, found.lr) == (3, 0, PUBLISHED.lr)


def test_the_lite_network_s_head_is_fitted_to_a_bank():
    found = recipe_for("lite", "lite", {})
    assert (found.unfreeze, found.bank, found.side, found.epochs, found.generated) == ("head", BANK, SIDE, 1, 0.0)
    assert recipe_for("lite", "lite", {"bank": 100}).bank == 100
    assert recipe_for("lite", "lite", {"unfreeze": "all"}) == LITE


def test_from_random_weights_everything_is_trained():
    assert recipe_for("lite", "random", {}) == LITE
    recipe = recipe_for("resnet34", "random", {})
    assert (recipe.unfreeze, recipe.epochs, recipe.batch_size, recipe.patience) == ("all", 60, 32, 20)
    assert recipe_for("resnet34", "random", {"epochs": 5}) == replace(recipe, epochs=5)
    with pytest.raises(ValueError, match="--unfreeze layer4 would keep the other layers random"):
        recipe_for("resnet34", "random", {"unfreeze": "layer4"})


def test_a_batch_of_one_pixel_has_no_norm():
    for arch, options in (("resnet34", {}), ("lite", {"unfreeze": "all"})):
        with pytest.raises(ValueError, match="--batch-size 1 with --side 32"):
            recipe_for(arch, None, {"batch_size": 1, "side": 32, **options})
        for enough in ({"side": 33}, {"batch_size": 2}, {"unfreeze": "head"}):
            recipe_for(arch, None, {"batch_size": 1, "side": 32, **options, **enough})


@pytest.mark.parametrize(("arch", "options"), [("resnet34", {}), ("lite", {"unfreeze": "layer4"})])
def test_a_bank_is_for_a_frozen_body(arch, options):
    with pytest.raises(ValueError, match="--bank is for the lite network with --unfreeze head"):
        recipe_for(arch, "lite", {**options, "bank": 100})


@pytest.mark.parametrize(
    ("recipe", "trained"),
    [(PUBLISHED, {"layer4", "fc"}), (LITE, {"conv1", "layer3", "layer4", "stage6", "fc"})],
)
def test_which_layers_are_trained(recipe, trained):
    layers = ("conv1", "layer3", "layer4", "stage6", "fc")
    assert {layer for layer in layers if recipe.trains(layer)} == trained
    head = recipe_for("lite", "lite", {})
    assert [layer for layer in layers if head.trains(layer)] == ["fc"]


def test_batches_are_made_by_the_recipe():
    rule = LITE.batches()
    assert (rule.size, rule.side, rule.generated, rule.augmentation, rule.seed) == (64, LITE.side, 1 / 3, "heavy", 0)
