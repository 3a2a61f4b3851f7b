import pytest

from mlpipeline.errors import VersionError
from mlpipeline.versions import ExecutionModeKeys, ModeKeys, Versions, version_parameters


def complete(**defaults):
    return Versions(dataloader="data", batch_size=4, epoc_count=2, **defaults)


def test_positional_defaults_stand_in_the_documented_order():
    version = Versions(0.1, "data", 4, 2.5, "suffix", 7).add("a")
    assert dict(version) == {
        "name": "a",
        "learning_rate": 0.1,
        "dataloader": "data",
        "batch_size": 4,
        "epoc_count": 2.5,
        "model_dir_suffix": "suffix",
        "order": 7,
    }


def test_addV_takes_its_positions_in_the_documented_order():
    version = Versions().addV("a", "data", 4, 2.5, 0.1, "suffix", 7, {"hidden": 8})
    assert (version["dataloader"], version["batch_size"], version["epoc_count"]) == ("data", 4, 2.5)
    assert (version["learning_rate"], version["model_dir_suffix"], version["order"]) == (0.1, "suffix", 7)
    assert version["hidden"] == 8


def test_the_documented_keys_are_the_documented_strings():
    keys = {name: value for name, value in vars(version_parameters).items() if name.isupper()}
    assert keys.pop("EPOCH_COUNT") == "epoc_count"
    assert keys == {name: name.lower() for name in keys}
    assert set(keys) == {
        "NAME", "DATALOADER", "BATCH_SIZE", "EPOC_COUNT", "LEARNING_RATE", "MODEL_DIR_SUFFIX", "ORDER"
    }  # fmt: skip


def test_mode_keys_are_the_documented_strings():
    assert (ExecutionModeKeys.TRAIN, ExecutionModeKeys.TEST) == ("Train", "Test")
    assert (ModeKeys.TRAIN, ModeKeys.PREDICT, ModeKeys.EVALUATE) == ("Train", "Predict", "Evaluate")
    assert (ModeKeys.Train, ModeKeys.Predict, ModeKeys.Evaluate) == ("Train", "Predict", "Evaluate")


def test_a_version_overrides_defaults_and_the_defaults_stay():
    versions = complete(hidden=8)
    assert versions.add("a", hidden=16, batch_size=1)["hidden"] == 16
    assert (versions.add("b")["hidden"], versions.get("b")["batch_size"]) == (8, 4)


def test_addV_takes_none_as_the_default():
    assert complete(learning_rate=0.5).addV("a", learning_rate=None, batch_size=None)["learning_rate"] == 0.5


def test_add_takes_none_as_none():
    assert complete(hidden=8).add("a", hidden=None)["hidden"] is None


def test_a_version_reads_as_a_mapping_and_by_attribute():
    version = complete().add("a", hidden=8)
    assert version.hidden == version["hidden"] == version.get("hidden") == 8
    assert "hidden" in version
    assert len(version) == len(list(version)) == len(version.items())


def test_a_version_cannot_be_changed():
    version = complete().add("a")
    with pytest.raises(TypeError):
        version["batch_size"] = 5
    with pytest.raises(AttributeError):
        version.name = "b"


def test_a_missing_attribute_names_the_nearest_parameter():
    with pytest.raises(AttributeError, match=r"no parameter 'batchsize'; did you mean batch_size\?"):
        _ = complete().add("a").batchsize


def test_replacing_leaves_the_version_as_it_was():
    version = complete().add("a")
    assert version.replacing(dataloader="other")["dataloader"] == "other"
    assert version["dataloader"] == "data"


def test_a_default_that_is_called_name_does_not_rename_a_version():
    assert complete(name="default").add("a")["name"] == "a"


def test_versions_run_in_the_order_of_definition():
    versions = complete()
    for name in "zyxabc":
        versions.add(name)
    assert versions.names() == list("zyxabc")


def test_order_moves_a_version_and_equal_orders_keep_the_definition():
    versions = complete()
    versions.add("last", order=9)
    versions.add("first", order=-0.5)
    versions.add("tied a", order=3)
    versions.add("tied b", order=3)
    assert versions.names() == ["first", "tied a", "tied b", "last"]


def test_grid_adds_every_combination_the_last_parameter_turning_fastest():
    made = complete().grid({"learning_rate": [0.1, 0.2], "hidden": [8, 16, 32]})
    expected = [(rate, hidden) for rate in (0.1, 0.2) for hidden in (8, 16, 32)]
    assert [(version["learning_rate"], version["hidden"]) for version in made] == expected
    assert made[0].name == "learning_rate=0.1,hidden=8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlp", ["mlp-hidden=8", "mlp-hidden=16"]),
        ("h{hidden:03d}", ["h008", "h016"]),
        (lambda combination: f"<{combination['hidden']}>", ["<8>", "<16>"]),
    ],
)
def test_grid_names_versions_by_prefix_template_or_function(name, expected):
    versions = complete()
    versions.grid({"hidden": [8, 16]}, name=name)
    assert versions.names() == expected


def test_grid_names_objects_by_class_or_function_and_lists_by_their_items():
    class Wide:
        pass

    versions = complete()
    versions.grid({"layers": [(8, 4), None], "net": [Wide()], "by": [len]})
    assert versions.names() == ["layers=8x4,net=Wide,by=len", "layers=None,net=Wide,by=len"]


@pytest.mark.parametrize("values", ["abc", [], 3, (item for item in "ab")])
def test_grid_refuses_what_is_no_list_of_values(values):
    with pytest.raises(VersionError, match="grid: hidden needs a list of values to try"):
        complete().grid({"hidden": values})


def test_grid_refuses_two_combinations_of_one_name():
    with pytest.raises(VersionError, match="two versions are named 'same'"):
        complete().grid({"hidden": [8, 16]}, name=lambda _: "same")


def test_grid_refuses_a_template_with_an_unknown_parameter():
    with pytest.raises(VersionError, match="hiden"):
        complete().grid({"hidden": [8]}, name="h{hiden}")


def test_rangeOnParameters_equals_the_product_written_out():
    versions = complete()
    versions.rangeOnParameters(
        names=["a", "b", "c", "d"],
        combining_parameters=["learning_rate", "hidden"],
        parameters={"learning_rate": [0.1, 0.2], "hidden": (8, 16), "kept": [1, 2], "batch_size": 1},
    )
    found = [(v.name, v.learning_rate, v.hidden, v.kept, v.batch_size) for v in versions]
    expected = [("a", 0.1, 8), ("b", 0.1, 16), ("c", 0.2, 8), ("d", 0.2, 16)]
    assert found == [(*row, [1, 2], 1) for row in expected]


def test_rangeOnParameters_takes_a_single_value_as_a_list_of_one():
    made = complete().rangeOnParameters(None, ["hidden", "rate"], {"hidden": 8, "rate": range(2)})
    assert [version.name for version in made] == ["hidden=8,rate=0", "hidden=8,rate=1"]


@pytest.mark.parametrize(
    ("names", "keys", "message"),
    [
        (["a"], ["hidden"], "2 combinations need 2 names, but got 1"),
        (list("abc"), ["hidden"], "2 combinations need 2 names, but got 3"),
        (None, ["width"], "width is to be combined but has no values"),
    ],
)
def test_rangeOnParameters_refuses_what_does_not_fit(names, keys, message):
    versions = complete()
    with pytest.raises(VersionError, match=message):
        versions.rangeOnParameters(names, keys, {"hidden": [8, 16]})
    assert len(versions) == 0


def test_getVersion_is_get():
    versions = complete()
    assert versions.add("wide") is versions.getVersion("wide") is versions.get("wide")


def test_an_unknown_version_names_the_nearest():
    versions = complete()
    versions.add("wide")
    with pytest.raises(VersionError, match=r"no version is named 'wied'; did you mean wide\?"):
        versions.getVersion("wied")


@pytest.mark.parametrize("missing", ["dataloader", "batch_size", "epoc_count"])
def test_a_version_without_a_mandatory_parameter_is_refused(missing):
    given = {"dataloader": "data", "batch_size": 4, "epoc_count": 2}
    del given[missing]
    with pytest.raises(VersionError, match=f"version 'a' has no {missing}; give it to the version or as a default"):
        Versions().add("a", **given)


def test_a_doubled_name_is_refused_and_the_first_stays():
    versions = complete()
    first = versions.add("a", hidden=8)
    with pytest.raises(VersionError, match="two versions are named 'a'"):
        versions.add("a", hidden=16)
    assert list(versions) == [first]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0", 5, None, "\ud800"])
def test_a_name_that_cannot_stand_in_a_file_is_refused(name):
    with pytest.raises(VersionError, match="must be a printable, non-empty string"):
        complete().add(name)


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", True, float("nan"), float("inf")])
def test_a_batch_size_that_is_no_whole_number_above_0_is_refused(value):
    with pytest.raises(VersionError, match="batch_size must be a whole number above 0, but got"):
        complete().add("a", batch_size=value)


@pytest.mark.parametrize("value", [0, -0.5, "1", True, float("nan"), float("inf")])
def test_an_epoc_count_that_is_no_number_above_0_is_refused(value):
    with pytest.raises(VersionError, match="epoc_count must be a number above 0, but got"):
        complete().add("a", epoc_count=value)


@pytest.mark.parametrize("given", [{"order": "first"}, {"order": float("nan")}, {"order": None}])
def test_an_order_that_is_no_number_is_refused(given):
    with pytest.raises(VersionError, match="order must be a number"):
        complete().add("a", **given)


@pytest.mark.parametrize("suffix", ["", 5, ["a"]])
def test_a_suffix_that_is_no_text_is_refused(suffix):
    with pytest.raises(VersionError, match="model_dir_suffix must be a non-empty string"):
        complete().add("a", model_dir_suffix=suffix)


def test_a_name_among_custom_parameters_is_refused_as_wrong_use():
    with pytest.raises(VersionError, match="name"):
        complete().addV("a", custom_paramters={"name": "b"})


def test_numpy_numbers_count_as_numbers():
    import numpy as np

    version = complete().add("a", batch_size=np.int64(8), epoc_count=np.float32(1.5), order=np.int32(1))
    assert (version.batch_size, version.epoc_count, version.order) == (8, 1.5, 1)


def test_a_data_loader_that_is_a_function_is_not_called_by_a_listing():
    versions = Versions(dataloader=lambda: pytest.fail("called"), batch_size=1, epoc_count=1)
    versions.grid({"hidden": [1, 2]})
    assert len(list(versions)) == 2


def test_the_well_spelt_epoch_count_is_the_same():
    versions = Versions(dataloader=object, batch_size=1, epoch_count=3)
    for version in (versions.add("default"), versions.add("own", epoch_count=3), versions.add("older", epoc_count=3)):
        assert version["epoc_count"] == version["epoch_count"] == version.epoch_count == 3
        assert "epoch_count" not in list(version)


def test_a_misspelt_mandatory_parameter_is_pointed_to():
    with pytest.raises(VersionError, match=r"has no batch_size; is it meant by batchsize\?"):
        Versions(dataloader=object, epoc_count=3).add("v", batchsize=3)
