"""SUFO: known limits of its measurements, what fine-tuning does to a small model, planted label
errors, and the deletion test of its reasons.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import ortho_group

from core.errors import UserError
from core.methods.text import _sufo
from core.nets import language
from tests.methods._fit import fit, sample


@cache
def trained():
    return fit("sufo", sample("notes"))


def figure(found: dict, name: str, group: str = "all") -> float:
    return next(m.value for m in found["metrics"] if m.name == name and m.group == group)


def test_similarity_of_a_space_with_itself_turned_scaled_and_with_noise():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 8))
    assert _sufo.rsa(z, z) == pytest.approx(1)
    assert _sufo.rsa(z, 3 * z @ ortho_group.rvs(8, random_state=0) + 5) == pytest.approx(1)
    assert abs(_sufo.rsa(z, rng.normal(size=(300, 8)))) < 0.05
    assert _sufo.cka(z, 2 * z @ ortho_group.rvs(8, random_state=1)) == pytest.approx(1)
    assert _sufo.cka(z, rng.normal(size=(300, 8))) < 0.1


def test_taking_all_components_away_leaves_the_mean():
    z = np.random.default_rng(0).normal(size=(50, 6)) + 2
    mean, v, share = _sufo.principal_components(z)
    np.testing.assert_allclose(_sufo.remove_components(z, mean, v, 0), z)
    np.testing.assert_allclose(
        _sufo.remove_components(z, mean, v, 6), np.broadcast_to(mean, z.shape), atol=1e-9
    )
    assert share.sum() == pytest.approx(1)


@pytest.mark.soak(only=True)
def test_fine_tuning_learns_gathers_the_space_and_parts_the_classes():
    found = trained()[1]
    assert figure(found, "macro-F1") > 0.9
    assert (
        figure(found, "variance in five components, after training")
        > figure(found, "variance in five components, before training") + 0.1
    )
    parted = found["grid-disambiguation"].value
    assert parted[-1, -1] > parted[-1, 0] + 0.3
    similar = found["grid-similarity"].value
    assert (similar[:, 0] == 1).all()
    assert similar[-1, -1] < 0.9
    assert len(found["grid-disambiguation"].paths) == 3


@pytest.mark.soak(only=True)
def test_without_the_first_components_it_falls_to_guessing():
    found = trained()[1]
    whole, none = (
        figure(found, "macro-F1 without the first components", f"components taken away = {k}")
        for k in (0, 32)
    )
    assert whole == pytest.approx(figure(found, "macro-F1"))
    assert none < 0.45


@pytest.mark.soak(only=True)
def test_an_untouched_model_shows_none_of_it():
    _, found = fit("sufo", sample("notes"), learning_rate=1e-9, epochs=1)
    assert np.nanmin(found["grid-similarity"].value) > 0.99
    assert (
        abs(
            figure(found, "variance in five components, after training")
            - figure(found, "variance in five components, before training")
        )
        < 0.02
    )
    assert figure(found, "macro-F1") < 0.6


@pytest.mark.soak(only=True)
def test_planted_label_errors_lead_the_list_of_outliers():
    data, rng = sample("notes"), np.random.default_rng(0)
    held = np.flatnonzero(data.splits != "train")
    wrong = rng.choice(held, 10, replace=False)
    labels = data.table["clinic"].to_numpy(dtype=object).copy()
    labels[wrong] = [{"heart": "lung", "lung": "skin", "skin": "heart"}[v] for v in labels[wrong]]
    _, found = fit("sufo", replace(data, table=data.table.assign(clinic=labels)))
    score = np.asarray(found["anomalymaps-outliers"].score)
    assert len(set(held[np.argsort(-score[held])[:10]].tolist()) & set(wrong.tolist())) >= 7


@pytest.mark.soak(only=True)
def test_leaving_out_the_reasons_hurts_more_than_leaving_out_as_many_other_words():
    found = trained()[1]
    own, other = (
        figure(found, f"fall of the predicted class without its {w}")
        for w in ("weightiest words", "random words")
    )
    assert own > other + 0.05
    data, spans = sample("notes"), found["rationales"].items
    assert all(
        data.texts[i][s["start"] : s["end"]] == s["text"] for i in range(20) for s in spans[i]
    )


def test_pieces_are_the_same_for_the_same_texts_and_read_every_letter():
    texts = list(sample("notes").texts[:50])
    one, two = (language.tiny_bert(texts, 0, vocabulary=400)[0] for _ in range(2))
    assert one.get_vocab() == two.get_vocab()
    assert one.unk_token_id not in one("cardiomyopathy of the heart")["input_ids"]


def small_folder(path):
    """A folder as transformers writes it: config, safetensors, tokenizer."""
    tokenizer, net = language.tiny_bert(
        list(sample("notes").texts[:50]), 0, hidden=32, layers=2, vocabulary=300, longest=64
    )
    net.save_pretrained(path, safe_serialization=True)
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.soak(only=True)
def test_any_local_folder_of_transformers_works(tmp_path):
    folder = small_folder(tmp_path / "model")
    _, found = fit("sufo", sample("notes"), model=str(folder), epochs=4, longest=48)
    assert figure(found, "macro-F1") > 0.5
    _, placed = fit("sentence_encoder", sample("notes"), model=str(folder), longest=48)
    np.testing.assert_allclose(np.linalg.norm(placed["embedding-latent"].z, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("spoil", ["pickle", "code", "json", "empty"])
def test_folders_that_could_do_harm_or_hold_nothing_are_refused(tmp_path, spoil):
    folder = small_folder(tmp_path / "model")
    if spoil == "pickle":
        next(folder.glob("*.safetensors")).rename(folder / "pytorch_model.bin")
    elif spoil == "code":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(
            json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}})
        )
    elif spoil == "json":
        (folder / "config.json").write_text("{")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    with pytest.raises(UserError):
        language.load(str(folder))


def test_a_name_that_is_nowhere_is_refused_without_the_network(monkeypatch):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("reached for the network"))
    with pytest.raises(UserError, match="nothing is fetched"):
        language.load("no-one/has-this-model")


def test_minilm_puts_like_texts_near_each_other():
    data = replace(sample("notes"), table=sample("notes").table.iloc[:60].reset_index(drop=True))
    _, found = fit("sentence_encoder", data, longest=48)
    z = np.asarray(found["embedding-latent"].z)
    near = z @ z.T
    np.fill_diagonal(near, -1)
    assert (data.labels[near.argmax(1)] == data.labels).mean() > 0.8
