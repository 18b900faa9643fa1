"""LaGoVAD: its window and padding, its losses by hand, films and definitions, and CLIP from a
folder.
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch

from core.artifacts.definitions import split_definitions
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.method import check_params
from core.methods.anomaly import _lagovad_figures as figures
from core.methods.anomaly._lagovad_films import SETS, FilmMaker, Part, film_order, parts_of
from core.methods.anomaly._lagovad_params import LagovadParams
from core.methods.anomaly._lagovad_texts import frame_words, make_texts
from core.nets import hashed_words
from core.nets.frozen_features import FrozenFeatures
from core.nets.lagovad import Lagovad, WordEncoder, replicate
from core.nets.losses import open_world
from core.nets.rotary import RotaryLayer, rotate
from core.registry import methods, open_model
from tests.methods._fit import curves_of, fit

KINDS = [("even number", w) for w in ("two", "four")] + [
    ("odd number", w) for w in ("one", "three")
]


@cache
def films():
    data = make_sample("digit-films")
    some = [np.flatnonzero(data.splits == s)[:n] for s, n in (("train", 300), ("test", 200))]
    return data.take(np.concatenate(some))


@cache
def trained(**params):
    return films(), *fit("lagovad", films(), **{"epochs": 1, "also": "kind", **params})


def net(layers=1, **more):
    torch.manual_seed(0)
    return Lagovad(FrozenFeatures(1, 64), WordEncoder(64), 64, layers=layers, **more).eval()


def ones(*shape):
    return torch.ones(*shape, dtype=torch.bool)


# -- the network -----------------------------------------------------------------------------------
def test_padding_changes_no_score():
    model = net(layers=2, fusions=2)
    z, text = torch.randn(1, 20, 64), torch.randn(1, 3, 64)
    short = model.judge(model.temporal(z, ones(1, 20)), ones(1, 20), text, ones(1, 3))
    padded = torch.cat([z, 9 * torch.randn(1, 30, 64)], 1)
    there = torch.arange(50)[None] < 20
    more = torch.cat([text, 9 * torch.randn(1, 2, 64)], 1)
    given = torch.arange(5)[None] < 3
    long = model.judge(model.temporal(padded, there), there, more, given)
    assert torch.allclose(short.logit, long.logit[:, :20], atol=1e-5)
    assert torch.allclose(short.likeness, long.likeness[:, :20, :3], atol=1e-4)
    assert (long.likeness[..., 3:] < -1e3).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_a_change_reaches_no_further_than_twelve_steps_a_layer(layers):
    model, z = net(layers=layers), torch.randn(1, 80, 64)
    other = z.clone()
    other[0, 40] += 1
    changed = (model.temporal(z, ones(1, 80)) != model.temporal(other, ones(1, 80))).any(2)[0]
    at = changed.nonzero()[:, 0]
    assert at.min() == 40 - 12 * layers
    assert at.max() == 40 + 12 * layers


def test_the_film_keeps_what_it_is_beside_what_is_added():
    model, z = net(), torch.randn(1, 9, 64)
    added = model.before[0](z, ones(1, 9))
    assert torch.allclose(model.temporal(z, ones(1, 9)), z + added, atol=1e-6)


def test_rotated_products_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 16)
    q, k = (rotate(x.expand(1, 1, 30, 16))[0, 0] for x in (q, k))
    assert torch.allclose(q[3] @ k[7], q[20] @ k[24], atol=1e-4)
    assert not torch.allclose(q[3] @ k[7], q[3] @ k[8], atol=1e-4)
    assert RotaryLayer(16, 2, 25)(torch.randn(2, 5, 16), ones(2, 5)).shape == (2, 5, 16)


def test_heads_repeat_the_last_step_that_is_there():
    conv = torch.nn.Conv1d(2, 1, 9)
    x = torch.randn(1, 6, 2)
    reach = torch.cat([x[:, :1].expand(1, 4, 2), x, x[:, -1:].expand(1, 4, 2)], 1)
    assert torch.allclose(replicate(conv, x, ones(1, 6)), conv(reach.transpose(1, 2))[:, 0])


def test_logits_mix_what_has_read_the_words_with_what_has_not():
    model = net()
    assert float(torch.sigmoid(10 * model.alpha.detach())) == pytest.approx(0.924, abs=1e-3)
    z, text = torch.randn(1, 9, 64), torch.randn(2, 1, 3, 64)
    film = model.temporal(z, ones(1, 9))

    def logits(alpha):
        model.alpha.data.fill_(alpha)
        return [model.judge(film, ones(1, 9), t, ones(1, 3)).logit for t in text]

    assert torch.allclose(*logits(9.0), atol=1e-6)  # the part without words alone
    assert not torch.allclose(*logits(0.0), atol=1e-3)


def test_a_text_is_the_same_in_any_company():
    words = WordEncoder(64).eval()
    alone = words(*words.bank(["seven", "a seven appears"], [True, False]))
    company = ["anything but a seven or a nine in the whole film", "seven", "a seven appears"]
    among = words(*words.bank(company, [False, True, False]))
    assert torch.allclose(alone, among[1:], atol=1e-5)
    as_sentence = words(*words.bank(["seven"], [False]))
    assert not torch.allclose(alone[:1], as_sentence, atol=1e-3)


def test_words_are_hashed_and_alike_where_they_share_letters():
    seven, sevens, nine = (hashed_words.word_vector(w, 64) for w in ("seven", "sevens", "nine"))
    assert np.linalg.norm(seven) == pytest.approx(1, abs=1e-6)
    assert seven @ sevens > seven @ nine
    assert hashed_words.split_words("Anything, but ONES!") == ["anything", "but", "ones"]


def test_frozen_features_stretch_the_directions_they_chose():
    torch.manual_seed(0)
    eye, x = FrozenFeatures(1, 8), torch.rand(60, 1, 8, 8)
    eye.settle(eye.answers(x))
    z = eye(x)
    assert torch.allclose(z.mean(0), torch.zeros(8), atol=1e-3)
    assert torch.allclose(z.std(0), torch.ones(8), atol=0.05)
    assert torch.allclose(eye(0.5 * x + 0.2), z, atol=0.1)  # a brighter film is the same film
    assert not any(p.requires_grad for p in eye.parameters())


# -- losses ----------------------------------------------------------------------------------------
def test_top_steps_by_hand():
    values = torch.arange(32.0)[None]
    assert open_world.top_mean(values, ones(1, 32), 16) == pytest.approx(30.5)
    assert open_world.top_mean(values, torch.arange(32)[None] < 16, 16) == pytest.approx(15.0)
    assert open_world.top_mean(values, torch.arange(32)[None] < 8, 16) == pytest.approx(7.0)
    assert open_world.top_mean(values, ~ones(1, 32), 16) == 0


def test_film_and_span_losses_by_hand():
    logit = torch.full((2, 32), -1.0)
    logit[0, :2] = torch.tensor([3.0, 1.0])
    truth = torch.zeros(2, 32, dtype=torch.bool)
    truth[0, :8] = True
    there = ones(2, 32)
    # top 2 of 32: mean 2 in the abnormal film, -1 in the normal one
    by_hand = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(open_world.mil(logit, there, truth)) == pytest.approx(by_hand, abs=1e-6)
    # of the span the top 8 // 4 = 2; of the normal film the top 32 // 4
    assert float(open_world.span_mil(logit, there, truth)) == pytest.approx(by_hand, abs=1e-6)
    narrow = truth & (torch.arange(32) >= 2)
    hand = (np.log1p(np.exp(1.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(open_world.span_mil(logit, there, narrow)) == pytest.approx(hand, abs=1e-6)
    each = [np.log1p(np.exp(-3.0)), np.log1p(np.exp(-1.0)), *[np.log1p(np.exp(1.0))] * 6]
    rest = [np.log1p(np.exp(-1.0))] * 56
    frame = float(open_world.frame_loss(logit, there, truth))
    assert frame == pytest.approx(np.mean(each + rest), abs=1e-6)


def test_class_loss_by_hand():
    likeness = torch.zeros(1, 16, 2)
    likeness[0, 3, 1] = 2.0
    loss = open_world.class_mil(likeness, ones(1, 16), torch.tensor([1]))
    assert float(loss) == pytest.approx(np.log1p(np.exp(-2.0)), abs=1e-6)


def test_negatives_are_mined_outside_the_span_where_probabilities_range():
    logit = torch.zeros(3, 4)
    logit[0] = torch.tensor([4.0, 4.0, -4.0, -4.0])
    logit[1] = torch.tensor([0.1, 0.1, 0.0, 0.0])  # ranges over too little
    truth = torch.tensor([[True, True, False, False]] * 2 + [[True] * 4])  # the last has no outside
    outside, usable = open_world.mined(logit, ones(3, 4), truth)
    assert outside.tolist() == [[False, False, True, True]] * 2 + [[False] * 4]
    assert usable.tolist() == [True, False, False]
    film = torch.eye(4).expand(3, 4, 4)
    # softmax(-logit / 0.02): the least abnormal step alone
    pick = open_world.film_vectors(film[:1], -torch.tensor([[4.0, 4.0, -4.0, -3.0]]), outside[:1])
    assert torch.allclose(pick, torch.tensor([[0.0, 0.0, 1.0, 0.0]]))


def test_contrast_falls_as_films_meet_their_texts_and_mining_adds_to_it():
    film = torch.eye(4)[None].repeat(2, 1, 1)
    logit = torch.tensor([[4.0, -4.0, -4.0, -4.0], [-4.0, 4.0, -4.0, -4.0]])
    truth = logit > 0
    number = torch.tensor([3, 4])
    text = torch.eye(4)[:2]
    args = (film, logit, ones(2, 4), truth)
    right = open_world.contrast(*args, text, number, False)
    assert right < open_world.contrast(*args, text.flip(0), number, False)
    assert open_world.contrast(*args, text, number, True) > right
    nothing = open_world.contrast(film, logit, ones(2, 4), ~ones(2, 4), text, number, True)
    assert nothing == 0


def test_five_losses_of_both_passes_are_summed(monkeypatch):
    passes, whole = [], open_world.open_world

    def look(judged, there, truth, which, text, number, mining):
        found = whole(judged, there, truth, which, text, number, mining)
        passes.append(found)
        logit = judged.logit
        by_hand = {
            "film": open_world.mil(logit, there, truth),
            "frame": open_world.frame_loss(logit, there, truth),
            "span": open_world.span_mil(logit, there, truth),
            "class": open_world.class_mil(judged.likeness, there, which),
            "contrast": open_world.contrast(
                judged.temporal, logit, there, truth, text, number, mining
            ),
        }
        assert found.keys() == by_hand.keys()
        assert all(torch.equal(found[name], by_hand[name]) for name in by_hand)
        return found

    monkeypatch.setattr(open_world, "open_world", look)
    some = films().take(np.arange(64))
    first = curves_of("lagovad", some, epochs=1, steps=16, batch_size=64)[0]
    names, sentences = passes[:2]
    for name, value in names.items():
        both = value.item() + sentences[name].item()
        assert first[name] == pytest.approx(both, rel=1e-4)
        assert min(value.item(), sentences[name].item()) > 0.01
    total = sum(v.item() for terms in (names, sentences) for v in terms.values())
    assert first["loss"] == pytest.approx(total, rel=1e-4)


# -- texts and films -------------------------------------------------------------------------------
def test_every_sentence_says_what_it_applies_to():
    texts = make_texts(sorted(KINDS), "normal")
    said = dict(zip(texts.texts, texts.applies))
    has = {w: np.array([w in k for k in texts.kinds]) for w in ("one", "two", "odd number")}
    assert np.array_equal(said["one"], has["one"])
    assert np.array_equal(said["anything but one"], ~has["one"])
    assert "one and odd number" in said or "odd number and one" in said
    assert not texts.applies[:2].any()
    assert all(0 < v.sum() < 4 for v in texts.applies[2:])
    pairs = {t for t in texts.withheld}
    assert pairs
    for pair in pairs:
        a, b = pair.split(" or ")
        assert pair not in said
        assert f"{b} or {a}" not in said
        assert a in said
        assert b in said


def test_parts_are_runs_of_frames_that_show_the_same():
    data = films()
    words = frame_words(data, ["kind"])
    kinds = sorted(set(words))
    kind = np.array([kinds.index(w) for w in words])
    parts = parts_of(data, kind)
    assert sum(len(p.at) for p in parts) == len(data)
    assert all((kind[p.at] == p.kind).all() for p in parts)
    name, first = film_order(data)[0]
    assert name == "film 000"
    assert data.table["frame"].to_numpy()[data.rows[first]].tolist() == list(range(len(first)))


@cache
def maker(synthesis=True):
    texts = make_texts(sorted(KINDS), "normal")
    parts = [Part(k % 4, np.arange(10 * k, 10 * k + 10), k) for k in range(40)]
    z = np.random.default_rng(0).normal(size=(400, 8))
    return FilmMaker(parts, z, texts, 64, synthesis)


def test_training_films_are_abnormal_in_one_span_alone_and_normal_ones_nowhere():
    made = maker()
    table = made.table(200, np.random.default_rng(1)).astype(int)
    kind = np.repeat(np.arange(40) % 4, 10)
    lengths = []
    for i, line in enumerate(table):
        film = line[:64][line[:64] >= 0]
        for k in range(2):
            chosen = line[64 + k * SETS : 64 + (k + 1) * SETS]
            assert chosen[0] == k  # the normal text of its pass stands first
            hit = made.texts.applies[chosen[chosen >= 0]][:, kind[film]]
            truth = hit.any(0)
            if i % 2 == 0:
                assert truth.any()
                assert np.abs(np.diff(truth.astype(int))).sum() <= 2
                assert hit.any(1).sum() == 1
                lengths.append(truth.mean())
            else:
                assert not truth.any()
    share = np.mean(np.array(lengths) == 1)
    assert 0.2 < share < 0.75  # alone in three of ten, and where one part was drawn
    assert min(lengths) < 0.1
    alone = maker(False).table(40, np.random.default_rng(1)).astype(int)
    assert all(len(set(kind[r[:64][r[:64] >= 0]])) == 1 for r in alone)


def test_contested_films_stand_in_pairs_whose_definitions_change_places():
    made, rng = maker(), np.random.default_rng(0)
    applies = made.texts.applies[2:]
    kind = np.repeat(np.arange(40) % 4, 10)
    pairs = [p for p in (made.contested(applies, rng) for _ in range(60)) if p]
    assert len(pairs) > 20
    for (film, span, a, b), (other, _, c, d) in pairs:
        assert (a, b) == (d, c)
        inside = np.zeros(len(film), bool)
        inside[span] = True
        assert np.array_equal(applies[a][kind[film]], inside)
        assert not applies[b][kind[film]].any()
        assert applies[b][kind[other]].any()


# -- definitions -----------------------------------------------------------------------------------
def test_definitions_are_lines_or_parted_by_semicolons():
    assert split_definitions("normal; a  three or a nine\n\nones") == [
        "normal",
        "a three or a nine",
        "ones",
    ]
    assert split_definitions(" ") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("normal", "what is abnormal"),
        ("normal;" + "x" * 201, "at most 200"),
        (";".join(f"d{i}" for i in range(14)), "at most 12"),
        ("normal; ?!", "no word"),
        ("normal; one; One", "twice"),
    ],
)
def test_definitions_that_cannot_be_used_are_refused_in_words(words, said):
    with pytest.raises(UserError, match=said):
        check_params(methods()["lagovad"], {"definitions": words})


def test_constant_text_is_a_coin_and_every_run_reports_it():
    _, _, found = trained()
    values = [m.value for m in found["metrics"] if "one text for all" in m.name]
    assert values
    assert set(values) == {0.5}


class Judge:
    """Stands in for a fitted method: frames' logits by `answer(positions, text)`."""

    definitions_ = ["normal"]

    def __init__(self, answer):
        self.answer = answer

    def judge_films(self, z, films, sets):
        for film, (_, text) in zip(films, sets):
            yield film, self.answer(film, text), np.zeros((len(film), 2))


def of_contested(answer):
    """Figures by name of a method that answers so, on films put together of four kinds."""
    made, texts = maker(), maker().texts
    words, applies = texts.texts[2:], texts.applies[2:]
    rng = np.random.default_rng(0)
    scores = figures.contested_scores(Judge(answer), made, np.zeros(400), words, applies, rng)
    found = figures._figures(scores, "test", "all")
    names = ["own", "another film", "one text"]
    assert all(name in m.name for name, m in zip(names[1:], found[1:]))
    return dict(zip(names, (m.value for m in found)))


def test_who_reads_no_word_is_a_coin_and_who_knows_all_is_right():
    kind, texts = np.repeat(np.arange(40) % 4, 10), maker().texts
    applies = dict(zip(texts.texts, texts.applies)) | {"something": np.zeros(4, bool)}
    blind = of_contested(lambda film, text: np.sin(film.astype(float)))
    assert blind == dict.fromkeys(blind, 0.5)
    oracle = of_contested(lambda film, text: applies[text][kind[film]].astype(float))
    assert oracle["own"] == 1
    assert oracle["another film"] < 0.75
    assert oracle["one text"] == 0.5
    by_length = of_contested(lambda film, text: np.full(len(film), float(len(text))))
    assert by_length["one text"] == 0.5  # all films have the same one
    rng = np.random.default_rng(1)
    noise = of_contested(lambda film, text: rng.normal(size=len(film)))
    assert noise["one text"] == pytest.approx(0.5, abs=0.1)
    assert noise["one text"] != 0.5  # each judged by itself, no list against itself


def test_a_definition_can_be_said_anew():
    data, method, found = trained()
    said = found["definitions"]
    assert said.texts[0] == "normal"
    film = data.take(np.flatnonzero(data.table["film"].to_numpy()[data.rows] == "film 000"))
    score, likeness = method.judge(film, said.texts)
    at = said.at(film.rows)
    np.testing.assert_allclose(score, said.score[at], atol=1e-5)
    np.testing.assert_allclose(likeness, said.likeness[at], atol=1e-4)
    other, _ = method.judge(film, ["normal", "anything but one"])
    assert np.abs(other - score).max() > 1e-4
    again = open_model(method.model(data))
    np.testing.assert_allclose(again.judge(film, said.texts)[0], score, atol=1e-5)


def test_strange_definitions_are_told():
    _, method, _ = trained()
    near, far, part = method.strangeness(["three", "instrument out of view", "three or giraffe"])
    assert near == (pytest.approx(0, abs=1e-5), [])
    assert far[0] > 1
    assert far[1] == ["instrument", "out", "view"]
    assert part[1] == ["giraffe"]


def test_a_film_is_of_the_definition_it_is_most_like():
    data = films().take(np.arange(20))
    like = np.zeros((20, 3), np.float32)
    like[:, 0], like[4, 2] = 0.5, 0.9
    grid = figures.by_film(data, like, ["normal", "a", "b"])
    assert grid.value.sum(1) == pytest.approx(1)
    assert grid.value[0].argmax() == 2


def test_films_cut_into_parts_are_judged_whole():
    data, method, _ = trained()
    z = np.zeros((200, 64), np.float32)
    short = method.judge_films(z, [np.arange(50), np.arange(7)], [["normal", "one"]] * 2)
    assert [len(logit) for _, logit, _ in short] == [50, 7]
    assert LagovadParams().steps < 96 < len(data)


# -- CLIP ------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A tiny CLIP of random weights, saved as transformers saves one, with a tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    vocab = {
        w: i for i, w in enumerate(["!", "<s>", "[UNK]", "one", "or", "two", "normal", "</s>"])
    }
    cut = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    cut.pre_tokenizer = pre_tokenizers.Whitespace()
    cut.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 7)]
    )
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    text = {**small, "num_hidden_layers": 1, "vocab_size": 8, "max_position_embeddings": 20}
    text |= {"bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 7}
    vision = {**small, "num_hidden_layers": 1, "image_size": 16, "patch_size": 8}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder, safe_serialization=True)
    PreTrainedTokenizerFast(
        tokenizer_object=cut, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    return folder, model.eval()


def test_clip_describes_pictures_and_texts_as_transformers_does(clip_folder):
    from core.nets.clip import open_clip

    folder, model = clip_folder
    eye, words, _ = open_clip(str(folder))
    x = torch.rand(3, 3, 16, 16)
    given = (x - eye.mean) / eye.spread
    with torch.no_grad():
        expected = model.visual_projection(model.vision_model(pixel_values=given).pooler_output)
        assert torch.allclose(eye(x), expected, atol=1e-5)
        ids = torch.tensor([[1, 3, 4, 5, 7]])
        said = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        assert torch.allclose(words(*words.bank(["one or two"], [False])), said, atol=1e-5)


def test_learned_vectors_stand_around_class_names_alone_and_learn(clip_folder):
    from core.nets.clip import open_clip

    _, words, _ = open_clip(str(clip_folder[0]))
    bank = words.bank(["one", "one or two", "two"], [True, False, True])
    before = words(*bank)
    before[0].sum().backward()
    assert words.before.grad.abs().sum() > 0
    assert words.after.grad.abs().sum() > 0
    with torch.no_grad():
        words.before += torch.randn_like(words.before)
        after = words(*bank)
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[0], after[0], atol=1e-4)
    alone = words(*words.bank(["two"], [True]))
    assert torch.allclose(alone[0], after[2], atol=1e-5)
    assert all(not p.requires_grad for p in words.text.parameters())


def test_it_learns_with_clip_and_says_so_and_opens_again_without_the_folder(clip_folder):
    given = {"encoder": "clip", "clip_folder": str(clip_folder[0]), "batch_size": 64}
    data, method, _ = trained(**given, definitions="normal; one or two")
    film = data.take(np.arange(12))
    score, _ = method.judge(film, ["normal", "one or two"])
    state = method.model(data)
    state.params["clip_folder"] = "/nowhere"
    again = open_model(state)
    np.testing.assert_allclose(again.judge(film, ["normal", "one or two"])[0], score, atol=1e-5)
    assert "CLIP, from a folder" in method._encoder_words
    assert "not by CLIP" in trained()[1]._encoder_words
    config = json.loads(method.config_)
    assert config["model"]["projection_dim"] == 16


@pytest.mark.parametrize(
    ("folder", "said"), [("", "no folder"), ("/no/such/place", "no folder of")]
)
def test_without_its_folder_clip_is_refused_in_a_sentence(folder, said):
    with pytest.raises(UserError, match=said):
        fit("lagovad", films(), epochs=1, encoder="clip", clip_folder=folder)
