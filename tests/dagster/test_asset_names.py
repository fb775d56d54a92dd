from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.dagster.naming import default_asset_key, op_names

NAMES = st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=8)


def test_an_ordinary_name_keeps_the_key_that_dagster_dlt_gives_it() -> None:
    assert default_asset_key("github", "issues") == AssetKey("dlt_github_issues")
    assert default_asset_key("github", "pull-requests.v2") == AssetKey("dlt_github_pull-requests.v2")


def test_a_path_as_resource_name_gives_a_key_that_can_be_selected() -> None:
    assert default_asset_key("github", "traffic/clones") == AssetKey("dlt_github_traffic_clones")


@given(NAMES)
def test_every_op_name_is_legal(names: list[str]) -> None:
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in op_names("my source", names).values())


@given(NAMES)
def test_no_two_resources_share_an_op(names: list[str]) -> None:
    ops = op_names("github", names)

    assert len(set(ops.values())) == len(names)


def test_a_clash_leaves_the_ordinary_name_as_it_was() -> None:
    ops = op_names("github", ["traffic/clones", "traffic_clones"])

    assert ops["traffic_clones"] == "github__traffic_clones"
    assert ops["traffic/clones"].startswith("github__traffic_clones_")
