"""Log-mel spectra against closed forms."""

import numpy as np
import pytest

from trainers.benchmarks.mel import hertz_to_mel, log_mel, mel_filters, mel_to_hertz

RATE, WINDOW, HOP, TRANSFORM, BANDS = 8_000, 200, 80, 256, 40


def test_the_mel_scale_puts_1000_at_1000_and_has_its_inverse() -> None:
    assert hertz_to_mel(np.array(1_000.0)) == pytest.approx(1_000, abs=0.02)
    hertz = np.linspace(0, 4_000, 101)
    assert np.abs(mel_to_hertz(hertz_to_mel(hertz)) - hertz).max() < 1e-9


def test_filters_are_triangles_that_add_up_to_one() -> None:
    """Between the first and the last peak a frequency's weights are shares of two neighbours."""
    filters = mel_filters(BANDS, 8_192, RATE)  # finely sampled, to see the shape
    frequencies = np.arange(8_192 // 2 + 1) * RATE / 8_192
    corners = mel_to_hertz(np.arange(BANDS + 2) * hertz_to_mel(np.array(4_000.0)) / (BANDS + 1))
    inside = (frequencies >= corners[1]) & (frequencies <= corners[-2])
    assert np.abs(filters[:, inside].sum(axis=0) - 1).max() < 1e-9
    for band in (0, 17, BANDS - 1):
        by_hand = np.interp(frequencies, corners[band : band + 3], [0, 1, 0], left=0, right=0)
        assert np.abs(filters[band] - by_hand).max() < 1e-9


def test_bands_without_a_frequency_are_refused() -> None:
    with pytest.raises(ValueError, match="128 bands are too many for 256 samples"):
        mel_filters(128, 256, RATE)


@pytest.mark.parametrize("hertz", [300.0, 1_000.0, 2_500.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(4_000) / RATE)
    filters = mel_filters(BANDS, TRANSFORM, RATE)
    frames = log_mel(tone, filters, WINDOW, HOP)
    corners = mel_to_hertz(np.linspace(0, hertz_to_mel(np.array(4_000.0)), BANDS + 2))
    nearest = int(np.abs(corners[1:-1] - hertz).argmin())
    assert np.abs(frames.argmax(axis=1) - nearest).max() <= 1


def test_the_energy_of_one_frame_is_parsevals() -> None:
    """With one filter that passes all, the sum over the half spectrum follows from the samples."""
    samples = np.random.default_rng(0).uniform(-1, 1, WINDOW)
    everything = np.full((1, TRANSFORM // 2 + 1), 2.0)
    everything[0, [0, -1]] = 1.0  # these two frequencies have no mirror image
    energy = np.exp(log_mel(samples, everything, WINDOW, HOP))[0, 0]
    hann = np.sin(np.pi * np.arange(WINDOW) / WINDOW) ** 2
    assert energy == pytest.approx(TRANSFORM * np.square(samples * hann).sum(), rel=1e-6)


def test_twice_as_loud_is_log_four_more() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 1_000)
    filters = mel_filters(BANDS, TRANSFORM, RATE)
    louder = log_mel(2 * samples, filters, WINDOW, HOP) - log_mel(samples, filters, WINDOW, HOP)
    assert np.abs(louder - np.log(4)).max() < 1e-3


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (199, 1), (200, 1), (279, 1), (280, 2)])
def test_the_last_whole_frame_ends_the_sequence(samples: int, frames: int) -> None:
    filters = mel_filters(BANDS, TRANSFORM, RATE)
    spectrum = log_mel(np.zeros(samples), filters, WINDOW, HOP)
    assert spectrum.shape == (frames, BANDS)
    assert spectrum == pytest.approx(np.log(1e-6))
