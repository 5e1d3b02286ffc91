"""Log-mel spectra: how loud a sound is in bands that are spaced as the ear hears them."""

import numpy as np


def hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """The mel scale, on which equal steps sound equally far apart.

    Reference:
        O'Shaughnessy, "Speech communication: human and machine", 1987, page 150.
    """
    mel: np.ndarray = 2595.0 * np.log10(1.0 + hertz / 700.0)
    return mel


def mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `hertz_to_mel`."""
    hertz: np.ndarray = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return hertz


def mel_filters(bands: int, window: int, rate: int) -> np.ndarray:
    """Triangles over the frequencies of a Fourier transform, (bands, window // 2 + 1).

    Corners are evenly spaced in mel from 0 to half of `rate`; each triangle rises from 0 at its
    left neighbour's peak to 1 at its own and falls to 0 at its right neighbour's.

    Args:
        window: Samples of the transform.
        rate: Samples per second.

    Raises:
        ValueError: A band is so narrow that it catches no frequency of the transform.
    """
    corners = mel_to_hertz(np.linspace(0.0, hertz_to_mel(np.array(rate / 2)), bands + 2))
    frequencies = np.arange(window // 2 + 1) * rate / window
    left, peak, right = (corners[first : first + bands, None] for first in range(3))
    rising = (frequencies - left) / (peak - left)
    falling = (right - frequencies) / (right - peak)
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    if not filters.any(axis=1).all():
        raise ValueError(
            f"every mel band must catch a frequency: {bands} bands are too many for {window} "
            f"samples at {rate} per second"
        )
    return filters


def log_mel(samples: np.ndarray, filters: np.ndarray, window: int, hop: int) -> np.ndarray:
    """The log energy in each band, (frames, bands).

    A frame is `window` samples under a Hann window, padded with zeros to the length of the
    transform that `filters` is for; frames begin every `hop` samples, and the last whole one ends
    the sequence. A sound shorter than one frame is padded with zeros.

    Args:
        samples: (samples,) in [-1, 1].
    """
    samples = np.pad(samples, (0, max(0, window - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    transform = 2 * (filters.shape[1] - 1)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann, transform, axis=1)) ** 2
    # the constant is near the noise of 16-bit samples: silence stays finite and close to it
    energies: np.ndarray = np.log(power @ filters.T + 1e-6)
    return energies
