import copy

import pytest
import torch
from torch import nn

from onyxstore.errors import BadInput, LoadMismatch
from onyxstore.frameworks.loading import LoadReport, load_into
from onyxstore.frameworks.training import collect_training


def compiled(module):
    """Wrapped as torch.compile wraps it; the backend that compiles nothing is there at once."""
    return torch.compile(module, backend="eager")


def net(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def trained(width=4):
    model = net(width)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(2):
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def values(module_or_optimizer):
    return copy.deepcopy(module_or_optimizer.state_dict())


def test_a_training_is_loaded_whole(stored, spell):
    model, optimizer = trained()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    tree = stored(collect_training(**parts))
    fresh = net()
    new = torch.optim.AdamW(fresh.parameters(), lr=5.0)
    others = {"scheduler": torch.optim.lr_scheduler.StepLR(new, 9), "scaler": torch.amp.GradScaler("cpu")}
    report = load_into(tree, model=fresh, optimizer=new, **others)
    assert (report, str(report)) == (LoadReport(), "everything was loaded")
    assert spell(collect_training(model=fresh, optimizer=new, **others)) == spell(collect_training(**parts))


@pytest.mark.parametrize("before", [lambda module: module, compiled, nn.DataParallel], ids=["bare", "compiled", "parallel"])
@pytest.mark.parametrize("after", [lambda module: module, compiled, nn.DataParallel], ids=["bare", "compiled", "parallel"])
def test_a_model_is_loaded_however_it_was_wrapped_then_and_is_now(stored, spell, before, after):
    model, fresh = trained()[0], net()
    for tree in (stored(collect_training(model=before(model))), stored({"model": before(model).state_dict()})):
        assert load_into(tree, model=after(fresh)) == LoadReport()
        assert spell(values(fresh)) == spell(values(model))


def test_two_loads_share_no_memory_with_each_other_nor_with_what_was_stored(stored, spell):
    model, optimizer = trained()
    loaded = []
    for _ in range(2):
        fresh = net()
        new = torch.optim.AdamW(fresh.parameters())
        load_into(stored(collect_training(model=model, optimizer=optimizer)), model=fresh, optimizer=new)
        loaded.append((fresh, new))
    for state in loaded[0][1].state.values():
        state["exp_avg"].fill_(9)
        state["step"].fill_(9)
    loaded[0][0][0].weight.data.fill_(9)
    assert spell(values(loaded[1][1])) == spell(values(optimizer))
    assert spell(values(loaded[1][0])) == spell(values(model))


def test_what_differs_is_loaded_as_far_as_it_goes_and_reported(stored):
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "old_head": nn.Linear(2, 3)})
    fresh = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 5)})
    report = load_into(
        stored(collect_training(model=model, optimizer=torch.optim.SGD(model.parameters()), state={"epoch": 3})), model=fresh
    )
    assert report == LoadReport(("head.weight", "head.bias"), ("old_head.weight", "old_head.bias"), (), ("optimizer", "epoch"))
    assert str(report) == ("missing: head.weight, head.bias\nunexpected: old_head.weight, old_head.bias\nnot restored: optimizer, epoch")
    assert torch.equal(fresh["body"].weight, model["body"].weight)


def test_one_element_goes_into_a_scalar_and_is_reported(stored):
    class Scaled(nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.scale = nn.Parameter(torch.full(shape, 3.0))

    fresh = Scaled(())
    assert load_into(stored(collect_training(model=Scaled((1,)))), model=fresh) == LoadReport(reshaped=("scale",))
    assert fresh.scale.item() == 3


def test_a_tree_without_a_model_is_the_model(stored, spell):
    model, fresh = trained()[0], net()
    assert load_into(stored(dict(model.state_dict())), model=fresh) == LoadReport()
    assert spell(values(fresh)) == spell(values(model))


def check_nothing_is_changed(tree, words, **live):
    before = {name: values(each) for name, each in live.items() if hasattr(each, "state_dict")}
    with pytest.raises(LoadMismatch) as caught:
        load_into(tree, **live)
    assert str(caught.value) == f"{words}; nothing was loaded"
    after = {name: values(each) for name, each in live.items() if hasattr(each, "state_dict")}
    assert str(after) == str(before)


def test_tensors_of_other_shapes_are_named_and_nothing_is_changed(stored):
    model, optimizer = trained(4)
    tree = stored(collect_training(model=model, optimizer=optimizer))
    fresh = net(5)
    new = torch.optim.AdamW(fresh.parameters())
    words = "0.weight is [4, 3] there and [5, 3] here, 0.bias is [4] there and [5] here, 1.weight is [4] there and [5] here and 4 more"
    check_nothing_is_changed(tree, f"the model cannot take the stored state: {words}", model=fresh, optimizer=new)


def test_a_model_none_of_whose_tensors_is_stored_is_refused(stored):
    tree = stored(collect_training(model=nn.Linear(1, 1)))
    check_nothing_is_changed(
        tree, "the model cannot take the stored state: none of its 9 tensors is among the 2 that are stored", model=net()
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda model: torch.optim.AdamW(list(model.parameters())[:3]), "it was stored with [6] parameters in its groups, [3] are here"),
        (
            lambda model: torch.optim.AdamW([{"params": list(model.parameters())[:3]}, {"params": list(model.parameters())[3:]}]),
            "it was stored with [6] parameters in its groups, [3, 3] are here",
        ),
        (lambda _: torch.optim.AdamW(net(9).parameters()), "exp_avg of its parameter 0 is [4, 3] there and [9, 3] here"),
    ],
    ids=["fewer", "other groups", "other shapes"],
)
def test_an_optimizer_of_other_parameters_is_refused_before_the_model_is_changed(stored, make, words):
    model, optimizer = trained()
    tree = stored(collect_training(model=model, optimizer=optimizer))
    fresh = net()
    with pytest.raises(LoadMismatch) as caught:
        load_into(tree, model=fresh, optimizer=make(fresh))
    assert caught.value.into == "the optimizer"
    assert caught.value.why.startswith(words) or "there and" in caught.value.why
    assert not torch.equal(fresh[0].weight, model[0].weight)


@pytest.mark.parametrize("part", [None, 3, {}, {"state": {}, "param_groups": [3]}, {"state": {0: 3}, "param_groups": []}, {"state": []}])
def test_a_part_that_is_no_optimizers_state_is_refused(stored, part):
    with pytest.raises(LoadMismatch, match="what is stored is no optimizer's state"):
        load_into(stored({"optimizer": part}), optimizer=trained()[1])


def test_a_part_that_the_checkpoint_lacks_is_refused(stored):
    model, optimizer = trained()
    tree = stored(collect_training(model=model))
    check_nothing_is_changed(
        tree, "the optimizer cannot take the stored state: the checkpoint holds none", model=net(), optimizer=optimizer
    )


def test_an_enabled_scaler_does_not_take_the_state_of_a_disabled_one(stored):
    tree = stored(collect_training(scaler=torch.amp.GradScaler("cpu", enabled=False)))
    check_nothing_is_changed(
        tree, "the scaler cannot take the stored state: the stored one was not enabled", scaler=torch.amp.GradScaler("cpu")
    )


def test_several_models_and_optimizers_are_loaded_side_by_side(stored, spell):
    pairs = [trained(4), trained(5)]
    part = {"model": {"g": pairs[0][0], "d": pairs[1][0]}, "optimizer": [pairs[0][1], pairs[1][1]]}
    tree = stored(collect_training(**part))
    fresh = [net(4), net(5)]
    optimizers = [torch.optim.AdamW(module.parameters()) for module in fresh]
    assert load_into(tree, model={"g": fresh[0], "d": fresh[1]}, optimizer=optimizers) == LoadReport()
    assert spell([values(each) for each in (*fresh, *optimizers)]) == spell(
        [values(each) for pair in zip(*pairs, strict=True) for each in pair]
    )
    with pytest.raises(LoadMismatch, match=r"^the model\.d cannot take the stored state: 0\.weight is \[5, 3\] there"):
        load_into(tree, model={"g": fresh[0], "d": net(6)})
    with pytest.raises(LoadMismatch, match=r"^the optimizer cannot take the stored state: 2 are stored, 1 are here"):
        load_into(tree, optimizer=optimizers[:1])


def test_the_names_of_several_models_are_reported_with_their_keys(stored):
    tree = stored(collect_training(model=[nn.Linear(1, 1), nn.Linear(1, 1)]))
    assert load_into(tree, model=[nn.Linear(1, 1), nn.Linear(1, 1, bias=False)]) == LoadReport(unexpected=("1.bias",))


def test_a_lazy_module_takes_its_shapes_from_the_checkpoint(stored):
    model, lazy = nn.Linear(3, 2), nn.LazyLinear(2)
    assert load_into(stored(collect_training(model=model)), model=lazy) == LoadReport()
    assert torch.equal(lazy.weight, model.weight)


def test_an_object_without_load_state_dict_is_refused(stored):
    with pytest.raises(BadInput, match="model has no load_state_dict"):
        load_into(stored({"model": {}}), model=object())


def test_the_layouts_versions_reach_the_modules_that_ask_for_them(stored):
    seen = []

    class Old(nn.Linear):
        _version = 7

        def _load_from_state_dict(self, state, prefix, metadata, *rest):
            seen.append((prefix, metadata.get("version")))
            super()._load_from_state_dict(state, prefix, metadata, *rest)

    load_into(stored(collect_training(model=compiled(nn.Sequential(Old(1, 1))))), model=compiled(nn.Sequential(Old(1, 1))))
    assert seen == [("_orig_mod.0.", 7)]


def test_a_part_that_nobody_asked_for_is_not_looked_at(stored):
    tree = stored(collect_training(model=nn.Linear(1, 1))) | {"optimizer": object()}
    assert load_into(tree, model=nn.Linear(1, 1)) == LoadReport(not_restored=("optimizer",))
