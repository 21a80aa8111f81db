"""Tokenizer, encoders, projection, decoder."""

from __future__ import annotations

import pytest
import torch

from intervalchange import grammar
from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.encoder_weights import load_encoder
from intervalchange.blocks.encoders import ConvEncoder, PyramidEncoder, ResNetEncoder, build_encoder, sincos_2d
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.projection import BatchNorm, FirstBatchNorm, QueryProjection
from intervalchange.blocks.tokenizer import Tokens, decode, encode, load_tokenizer, template_tokenizer
from intervalchange.errors import ConfigError
from intervalchange.findings import FINDINGS, LEVELS, PRE_LOCATIONS, TYPES
from intervalchange.records import Change

TOKENIZER = template_tokenizer()

ANSWERS = [
    grammar.NOTHING,
    grammar.render(Change.of(FINDINGS[:4], FINDINGS[4:6], [(FINDINGS[7], "mild", "moderate to severe")])),
    grammar.render(Change.of(FINDINGS[10:11], FINDINGS[25:26])),
    "PA view",
    "left lower area",
    "plate-like ground-glass",
    "yes",
    # Post-locations of the released data.
    *("the lung bases", "the soft tissues", "the right apical region", "the left mid to lower hemithorax"),
    *("the medial right lung base", "the lower and probably also middle lobe", "the lower lungs", "the upper lobes"),
]


@pytest.mark.parametrize("answer", [*ANSWERS, *LEVELS, *TYPES, *PRE_LOCATIONS, *FINDINGS])
def test_template_tokenizer_is_lossless(answer: str) -> None:
    tokens = encode(TOKENIZER, [answer], bos=True, eos=True)
    assert TOKENIZER.unk_token_id not in tokens.ids
    assert decode(TOKENIZER, tokens.ids) == [answer]


RELEASED = """
what abnormalities are seen in the soft tissues ? atelectasis is there edema no located on left side or right level
pneumothorax minimal has changed compared to reference image main an additional finding of than . missing findings
fracture , lung opacity and pleural effusion this apical area where small consolidation pneumonia evidence any
thickening yes pa view bibasilar middle mild type compressive cardiomegaly retrocardiac bilateral multifocal which taken
patchy emphysema base vascular congestion interstitial region upper hernia layering parenchymal rib ap nothing
calcification enlargement cardiac silhouette infection moderate lower heart failure hilar basilar tortuosity thoracic
aorta linear descending basal plate-like blunting costophrenic angle from lungs subtle mid lobe dense thymoma severe air
collection bases scoliosis granuloma hematoma calcified focal pneumomediastinum scattered gastric distention pericardial
contusion increasing acute massive moderately hypertensive disease mildly lobes hemithorax hypoxemia ground-glass large
minimally medial probably also obstructive apicolateral decreasing multi-focal
"""
"""The words of the released questions and answers (Medical-Diff-VQA; EKAID's vocab_mimic_VQA.json)."""


def test_template_tokenizer_knows_every_released_word() -> None:
    words = set(RELEASED.split())
    assert len(words) == 146
    assert [word for word in words if TOKENIZER.unk_token_id in encode(TOKENIZER, [word]).ids] == []


def test_template_tokenizer_knows_every_question() -> None:
    for forms in grammar.QUESTIONS.values():
        for form in forms:
            question = form.format(finding="pleural effusion", location="left lower lung")
            assert TOKENIZER.unk_token_id not in encode(TOKENIZER, [question]).ids, question
            assert decode(TOKENIZER, encode(TOKENIZER, [question]).ids) == [question]


def test_answers_survive_the_tokenizer_for_the_grammar() -> None:
    change = Change.of(FINDINGS[::3], FINDINGS[1::3], [(finding, "mild", "severe") for finding in FINDINGS[2::3]])
    (text,) = decode(TOKENIZER, encode(TOKENIZER, [grammar.render(change)]).ids)
    assert grammar.parse(text).change == change


def test_padding_is_masked_on_the_side_asked_for() -> None:
    left = encode(TOKENIZER, ["yes", grammar.NOTHING], side="left")
    assert left.mask.tolist() == [[0, 0, 0, 1], [1, 1, 1, 1]]
    right = encode(TOKENIZER, ["yes", grammar.NOTHING], eos=True)
    assert right.mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert right.ids[0, 1] == TOKENIZER.eos_token_id
    cut = encode(TOKENIZER, [grammar.NOTHING], eos=True, limit=3)
    assert cut.ids.shape == (1, 3)
    assert cut.ids[0, -1] == TOKENIZER.eos_token_id


def test_tokenizer_lies_beside_the_weights(tmp_path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again.get_vocab() == TOKENIZER.get_vocab()
    assert decode(again, encode(again, ANSWERS).ids) == decode(TOKENIZER, encode(TOKENIZER, ANSWERS).ids)


def test_a_folder_without_tokenizer_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        load_tokenizer(str(tmp_path))


def test_conv_encoder_shape_and_independence() -> None:
    torch.manual_seed(0)
    encoder = ConvEncoder((8, 16, 24), depth=1, stem_stride=4)
    films = torch.randn(3, 1, 64, 64)
    features = encoder(films)
    assert features.map.shape == (3, 24, 4, 4)
    assert features.tokens.shape == (3, 16, 24)
    assert features.grid == (4, 4)
    assert torch.equal(features.tokens[:, 5], features.map[:, :, 1, 1])
    assert torch.allclose(encoder(films[:1]).map, features.map[:1], atol=1e-5)


def test_build_encoder_names_the_published_backbone() -> None:
    with torch.device("meta"):
        encoder = build_encoder("resnet50", (), 0, 0, 0)
    assert isinstance(encoder, ResNetEncoder)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert count == pytest.approx(23.5e6, rel=0.01)


def test_a_pyramid_starts_from_a_run_of_set_difference(tmp_path) -> None:
    from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig

    torch.manual_seed(0)
    run = SetDifference(SetDifferenceConfig(pixels=64, widths=(8, 8, 16, 16), width=16)).eval()
    run.save_pretrained(tmp_path)
    encoder = build_encoder("pyramid", (8, 8, 16, 16), 1, 0, 16)
    assert isinstance(encoder, PyramidEncoder) and encoder.width == 16
    films = torch.randn(2, 1, 64, 64)
    assert not torch.equal(encoder(films).map, run.encoder(films))
    load_encoder(encoder, str(tmp_path))
    assert torch.equal(encoder(films).map, run.encoder(films))
    with pytest.raises(ConfigError, match="of this shape"):
        load_encoder(build_encoder("pyramid", (8, 8, 16, 24), 1, 0, 16), str(tmp_path))
    with pytest.raises(ConfigError, match="no such weights"):
        load_encoder(encoder, str(tmp_path / "nowhere"))


def test_published_weights_of_three_channels_are_summed(tmp_path) -> None:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    published = ResNetModel(ResNetConfig()).eval()
    published.save_pretrained(tmp_path)
    encoder = ResNetEncoder().eval()
    encoder.load_pretrained(str(tmp_path))
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = published(grey.expand(-1, 3, -1, -1)).last_hidden_state
        assert torch.allclose(encoder(grey).map, expected, atol=1e-4)


def test_sincos_positions_differ_everywhere() -> None:
    positions = sincos_2d(32, 4, 5, like=torch.zeros(()))
    assert positions.shape == (20, 32)
    assert torch.cdist(positions, positions).fill_diagonal_(1).min() > 0.1
    assert torch.equal(positions[0, 16:], positions[5, 16:])


def test_projection_reads_where_things_are() -> None:
    torch.manual_seed(0)
    projection = QueryProjection(8, 16, 24, queries=3, layers=1, heads=2, feedforward=32).eval()
    features = torch.randn(2, 8, 4, 4)
    tokens = projection(features)
    assert tokens.shape == (2, 3, 24)
    assert not torch.allclose(projection(features.flip(-1)), tokens, atol=1e-4)


@pytest.fixture(scope="module")
def decoder() -> AnswerDecoder:
    torch.manual_seed(0)
    return AnswerDecoder(TOKENIZER, width=32, layers=2, heads=2, positions=64, dropout=0.0).eval()


def test_decoder_is_causal(decoder: AnswerDecoder) -> None:
    prefix, mask = torch.randn(1, 4, 32), torch.ones(1, 4, dtype=torch.long)
    answer = encode(TOKENIZER, [ANSWERS[2]], eos=True)
    logits = decoder(prefix, mask, answer)
    assert logits.shape == (1, answer.ids.shape[1], len(TOKENIZER))
    other = answer.ids.clone()
    other[:, 5:] = TOKENIZER.unk_token_id
    changed = decoder(prefix, mask, Tokens(other, answer.mask))
    assert torch.allclose(changed[:, :6], logits[:, :6], atol=1e-5)
    assert not torch.allclose(changed[:, 6:], logits[:, 6:], atol=1e-3)


def test_masked_prefix_changes_nothing(decoder: AnswerDecoder) -> None:
    torch.manual_seed(1)
    prefix, answer = torch.randn(1, 4, 32), encode(TOKENIZER, [ANSWERS[0]], eos=True)
    plain = decoder(prefix, torch.ones(1, 4, dtype=torch.long), answer)
    for hole in (0, 2):
        wide = torch.cat([prefix[:, :hole], torch.randn(1, 3, 32), prefix[:, hole:]], dim=1)
        mask = torch.ones(1, 7, dtype=torch.long)
        mask[:, hole : hole + 3] = 0
        assert torch.allclose(decoder(wide, mask, answer), plain, atol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_agrees_with_teacher_forcing(decoder: AnswerDecoder, beams: int) -> None:
    torch.manual_seed(2)
    prefix, mask = torch.randn(3, 6, 32), torch.ones(3, 6, dtype=torch.long)
    mask[1, :4] = 0
    together = decoder.generate(prefix, mask, limit=8, beams=beams)
    assert together.ids.shape[1] <= 8
    for row in range(3):
        alone = decoder.generate(prefix[row : row + 1], mask[row : row + 1], limit=8, beams=beams)
        length = int(alone.mask.sum())
        assert torch.equal(alone.ids[0, :length], together.ids[row, :length])
    if beams == 1:
        logits = decoder(prefix, mask, together)
        assert torch.equal(logits.argmax(-1)[together.mask.bool()], together.ids[together.mask.bool()])


def test_generation_starts_from_the_bos_of_training(decoder: AnswerDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    forward, generate = decoder.language_model.transformer.forward, decoder.language_model.generate

    def watch_forward(*args, **kwargs):
        if "training" not in seen:
            seen["training"] = kwargs["inputs_embeds"][:, 4]
        return forward(*args, **kwargs)

    def watch_generate(*args, **kwargs):
        seen["answering"] = kwargs["inputs_embeds"][:, -1]
        return generate(*args, **kwargs)

    monkeypatch.setattr(decoder.language_model.transformer, "forward", watch_forward)
    monkeypatch.setattr(decoder.language_model, "generate", watch_generate)
    prefix, mask = torch.randn(1, 4, 32), torch.ones(1, 4, dtype=torch.long)
    decoder(prefix, mask, encode(TOKENIZER, ["yes"], eos=True))
    decoder.generate(prefix, mask, limit=2)
    assert torch.equal(seen["training"], seen["answering"])


def test_one_process_needs_no_agreement() -> None:
    assert average_over_processes(torch.tensor(3.0)) == 3.0


def test_batch_norm_is_that_of_torch_over_the_rows_that_count() -> None:
    values = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)) + 9
    counted = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    ours, theirs = BatchNorm(3), torch.nn.BatchNorm1d(3, affine=False)
    assert torch.allclose(ours(values, counted)[counted], theirs(values[counted]), atol=1e-5)
    assert torch.allclose(ours.mean, theirs.running_mean, atol=1e-5)
    assert torch.allclose(ours(values).flatten(0, 1), theirs(values.flatten(0, 1)), atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(ours(values, counted)[counted], theirs(values[counted]), atol=1e-5)
    kept = ours.mean.clone()
    assert torch.isfinite(ours(values, torch.zeros(4, 5))).all()
    assert torch.equal(ours.mean, kept)
    ours.eval()
    assert torch.allclose(ours(values[:1]), ours(values)[:1])


def test_channels_are_standardised_by_the_first_training_batch() -> None:
    torch.manual_seed(0)
    norm = FirstBatchNorm(3)
    first = torch.randn(64, 10, 3) * torch.tensor([1.0, 5.0, 0.1]) + torch.tensor([0.0, 6.0, -2.0])
    assert torch.equal(norm.eval()(first), first), "untrained, it does nothing"
    shown = norm.train()(first)
    torch.testing.assert_close(shown.mean(dim=(0, 1)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(shown.flatten(0, 1).std(dim=0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    later = norm(first[:1] + 100.0)
    torch.testing.assert_close(norm.eval()(first[:1] + 100.0), later, msg="kept: no later batch changes it")
    again = FirstBatchNorm(3)
    again.load_state_dict(norm.state_dict())
    assert torch.equal(again.train()(first), norm.train()(first)), "and saved with the weights"
