# SPDX-License-Identifier: MIT
"""The lab as a picture: well-formed, self-contained, and of what there is."""
import xml.etree.ElementTree as ElementTree

from lib.lab import FAST, STEADY
from lib.wait import wait_for

SVG = "{http://www.w3.org/2000/svg}"


def words_of(text):
    """What stands in the picture, and what stands at its parts when somebody points at them."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    return [one.text for one in root.iter(f"{SVG}text")], [one.text for one in root.iter(f"{SVG}title")]


def shows_all(text):
    """A death may be known while another member is suspect for a moment, or has not been measured yet."""
    texts, titles = words_of(text)
    return all((
        {"seed", "two", "gone"} <= set(texts),
        any("3 nodes, 2 alive, 0 draining, 0 suspect, 1 dead, 0 left" in one for one in texts),
        "gone dead" in titles,
        any(one in titles for one in ("seed - gone: reported dead", "two - gone: reported dead")),
        any(one.startswith("seed - two: ") and one.endswith(" ms") for one in titles),
        "1 succeeded" in titles and "1 failed" in titles))


def test_the_picture_shows_nodes_lines_deaths_and_tasks(make_lab, tmp_path):
    lab = make_lab(FAST)
    lab.node("seed", role="seed", types=["a"])
    lab.node("two")
    lab.node("gone", {"tasks": {"enabled": False}})
    lab.start()
    lab["seed"].ctl("submit", "--wait", "a1")
    lab["seed"].ctl("submit", "--wait", "--", "sh", "-c", "exit 1", code=1)
    lab["gone"].kill()

    def draw():
        text = lab["seed"].ctl("graph").stdout
        return text if shows_all(text) else None

    text = wait_for(draw, 20, lambda: f"all of it: {words_of(lab['seed'].ctl('graph').stdout)}")
    # Nothing is loaded from elsewhere, and nothing runs.
    assert "href" not in text and "<script" not in text and text.count("http") == 1
    path = tmp_path / "lab.svg"
    assert lab["two"].ctl("-N", "seed", "graph", "-O", path).stdout == ""
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_a_lone_node_without_tasks_is_a_picture_too(make_lab):
    node = make_lab(STEADY).node("lone", {"node": {"cluster": "a_b"}}, role="seed").start()
    assert any("none has ended" in one for one in words_of(node.ctl("graph").stdout)[0])
    assert node.ctl("graph", "-O", "/no/such/place.svg", code=1).stderr.startswith("p2pctl: cannot write /no/such/")
