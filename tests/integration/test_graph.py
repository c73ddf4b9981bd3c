# SPDX-License-Identifier: MIT
"""The lab as a picture: well-formed, self-contained, and of what there is."""
import xml.etree.ElementTree as ElementTree

from lib.lab import FAST

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_nodes_lines_deaths_and_tasks(make_lab, tmp_path):
    lab = make_lab(FAST)
    lab.node("seed", role="seed", types=["a"])
    lab.node("two")
    lab.node("gone")
    lab.start()
    lab["seed"].ctl("submit", "--wait", "a1")
    lab["seed"].ctl("submit", "--wait", "--", "sh", "-c", "exit 1", code=1)
    lab["gone"].kill()
    lab.wait_state("gone", "dead")
    text = lab["seed"].ctl("graph").stdout
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert {"seed", "two", "gone"} <= set(texts)
    assert any("3 nodes, 2 alive, 0 draining, 0 suspect, 1 dead, 0 left" in one for one in texts)
    titles = [one.text for one in root.iter(f"{SVG}title")]
    assert any(one.endswith("gone: reported dead") for one in titles) or "gone dead" in titles
    assert any(one.startswith("seed - two: ") and one.endswith(" ms") for one in titles)
    assert "1 succeeded" in titles and "1 failed" in titles
    # Nothing is loaded from elsewhere, and nothing runs.
    assert "href" not in text and "<script" not in text and text.count("http") == 1
    path = tmp_path / "lab.svg"
    assert lab["two"].ctl("-N", "seed", "graph", "-O", path).stdout == ""
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_a_lone_node_without_tasks_is_a_picture_too(make_lab):
    node = make_lab(FAST).node("lone", {"node": {"cluster": "a_b"}}, role="seed").start()
    root = ElementTree.fromstring(node.ctl("graph").stdout)
    assert any("none has ended" in (one.text or "") for one in root.iter(f"{SVG}text"))
    assert node.ctl("graph", "-O", "/no/such/place.svg", code=4).stderr.startswith("p2pctl: cannot write /no/such/")
