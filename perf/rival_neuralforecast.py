"""The rival's half of `perf.rival`: neuralforecast's `AutoLSTM`, in an environment of its own.

Run by `perf.rival`, which says in JSON what is asked; it imports nothing of ours.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray
from neuralforecast import NeuralForecast
from neuralforecast.auto import AutoLSTM
from neuralforecast.common._base_auto import RayOptions
from neuralforecast.losses.pytorch import MSE
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator


def space(asked: dict[str, Any]) -> dict[str, Any]:
    """What varies, and what does not; bars, loggers and checkpoints cost the rival nothing."""
    return {
        "input_size": asked["look_back"],
        "encoder_hidden_size": tune.lograndint(*asked["hidden_size"]),
        "encoder_n_layers": tune.choice(asked["num_layers"]),
        "learning_rate": tune.loguniform(*asked["learning_rate"]),
        "max_steps": asked["steps"],
        "batch_size": 1,  # series
        "windows_batch_size": asked["batch"],
        "gradient_clip_val": asked["clip_norm"],
        "scaler_type": "standard",
        "random_seed": 1 + asked["seed"],
        "start_padding_enabled": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }


def main() -> None:
    """Search, refit the best, and say what it forecasts on the validation windows."""
    folder = Path(sys.argv[1])
    asked = json.loads((folder / "asked.json").read_text("utf-8"))
    values = np.load(folder / "series.npy")  # train and valid, standardised
    hours = pd.date_range("2016-07-01", periods=len(values), freq="h")
    frame = pd.DataFrame({"unique_id": "OT", "ds": hours, "y": values})
    ray.init(num_cpus=asked["slots"], include_dashboard=False, log_to_driver=False)
    model = AutoLSTM(
        h=asked["horizon"],
        loss=MSE(),
        config=space(asked),
        search_alg=BasicVariantGenerator(random_state=1 + asked["seed"]),
        num_samples=asked["trials"],
        refit_with_val=True,  # on train alone, as the trials were
        ray_options=RayOptions(cpus=1, gpus=0),
    )
    forecaster = NeuralForecast(models=[model], freq="h")
    forecaster.fit(frame, val_size=asked["valid"])
    ended = time.time()
    fitted = forecaster.models[0]
    results = fitted.results.get_dataframe()
    fitted.set_test_size(asked["valid"])
    forecasts = fitted.predict(forecaster.dataset, step_size=1)
    np.save(folder / "forecasts.npy", np.asarray(forecasts).reshape(-1, asked["horizon"]))
    said = {
        "ended": ended,
        "losses": results["loss"].tolist(),
        "train_seconds": float(results["time_total_s"].sum()),
        "parameters": sum(p.numel() for p in fitted.model.parameters()),
    }
    (folder / "answer.json").write_text(json.dumps(said), encoding="utf-8")
    ray.shutdown()


if __name__ == "__main__":
    main()
