"""The weight view and the feature view of one pair of checkpoints, as the pipeline computes them."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path

import torch
from transformers import PreTrainedModel

from common import make_data, parser, pick, print_table, seconds_of, study, use_threads, write_row
from forgetting.config.plan import states_job, weights_job
from forgetting.data.items import Items
from forgetting.model.anatomy import Anatomy, uniform_name
from forgetting.model.checkpoints import build_model
from forgetting.scenarios.biography.tokenizer import load_tokenizer
from forgetting.views import weights
from forgetting.views.features import features, residual_stream, view_questions

PAIR = ("task0", "task1_early")


def changed(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A copy with an independent change of every weight, a tenth of the initial weights."""
    other, generator = deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.device), alpha=0.002)
    return other


def main() -> None:
    command = parser(__doc__, given_data=True)
    command.add_argument("--persons", type=int, default=500, help="persons of each group in the feature view")
    arguments = command.parse_args()
    use_threads(arguments.threads)
    configured, device = study(arguments.config), pick(arguments.device)
    with tempfile.TemporaryDirectory() as name:
        data = arguments.data or make_data(configured, Path(name))
        questions = view_questions(Items.load(data / "items.parquet"), arguments.persons)
        vocabulary = load_tokenizer(data / "tokenizer").get_vocab_size()
    models = [build_model(configured.model, vocabulary, seed=0).eval()]
    models += [changed(models[-1], seed) for seed in (1, 2)]
    print(f"{sum(parameter.numel() for parameter in models[0].parameters()) / 1e6:.0f} million parameters, {len(questions):,} questions")

    weights.PAIRS = (PAIR,)  # of the four
    first, second, third = ({uniform_name(name): value for name, value in model.state_dict().items()} for model in models)
    checkpoints = {
        "pretrained_earlier": third,
        "pretrained_late": first,
        "pretrained": first,
        "task0": second,
        "task1_early": third,
        "task1_end": third,
    }

    def feature_view() -> None:
        batch_size = configured.evaluation.batch_size
        streams = [residual_stream(model.to(device), questions, batch_size) for model in models[1:]]
        features(states_job(configured, 0, "seq"), dict(zip(PAIR, streams, strict=True)), questions)

    def weight_view() -> None:
        weights.weight_updates(weights_job(configured, 0, "seq"), checkpoints, Anatomy(models[0].config), device)

    seconds = {
        "weights": seconds_of(weight_view),
        "features": seconds_of(feature_view),
    }
    print_table(f"Views of one pair, {device.type}", ["view", "seconds"], [[name, value] for name, value in seconds.items()])
    measured = f"{sum(seconds.values()):,.0f} s: weights {seconds['weights']:,.0f} s, features {seconds['features']:,.0f} s"
    write_row(arguments.json, measured, seconds=sum(seconds.values()))


if __name__ == "__main__":
    main()
