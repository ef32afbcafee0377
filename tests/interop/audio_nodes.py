"""The audio nodes, against sines that are known and sums that numpy makes."""

from __future__ import annotations

import itertools
import math
import pathlib
import wave
from typing import Any

import numpy as np

from arrays import FORMS, Form
from harness import case, expect, expect_equal, rows
from same import expect_same
from service import ERROR, SUCCESS, Service, expect_failure, expect_status

SPEECH = pathlib.Path(__file__).parent.parent / "data" / "speech-48k.wav"

# Samples at both ends of a recording where a resampler's filter sees the silence around it.
EDGE = 400


def sine(frequency: float, rate: int, length: int, amplitude: float = 0.5) -> np.ndarray:
    """A mono sine as float32 of shape (1, length)."""
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(length) / rate)).astype(np.float32)[np.newaxis]


def call(service: Service, node: str, form: Form, samples: np.ndarray, rate: int, config: dict[str, str]) -> Any:
    """The node's answer to one pair: the array, and the rate."""
    _, format, send, read = form
    answer = service.value(node, (send(samples), rate), format=format, config=config)
    expect_equal(type(answer), tuple if format == "pickle" else list, "type of the pair")
    expect_equal(len(answer), 2, "length of the pair")
    expect_equal(type(answer[1]), int, "type of the rate")
    return read(answer[0]), answer[1]


def expect_sine(samples: np.ndarray, frequency: float, rate: int) -> None:
    """Fails unless every channel is that sine of amplitude 0.5, in phase, and nothing but it."""
    expected = sine(frequency, rate, samples.shape[-1])[0]
    for channel in samples:
        error = np.abs(channel - expected)[EDGE:-EDGE].max()
        expect(error < 1e-3, f"the {frequency} Hz sine is off by {error}")
        spectrum = np.abs(np.fft.rfft(channel[EDGE:-EDGE] * np.hanning(channel.size - 2 * EDGE)))
        peak = spectrum.argmax() * rate / (channel.size - 2 * EDGE)
        expect(abs(peak - frequency) <= rate / (channel.size - 2 * EDGE), f"the spectrum's peak is at {peak} Hz")


RATES = [(48_000, 16_000), (16_000, 48_000), (44_100, 48_000), (48_000, 44_100), (8_000, 22_050)]


@rows(
    "AudioTransform: {0} to {1} Hz keeps a sine and makes stereo of it ({2[0]})",
    [(*rates, form) for rates, form in itertools.product(RATES, FORMS)],
)
def transform_rate(service: Service, source: int, target: int, form: Form) -> None:
    length = source // 4
    config = {"output_sample_rate": str(target)}
    samples, rate = call(service, "AudioTransform", form, sine(1000, source, length), source, config)
    expect_equal(rate, target, "rate")
    expect_equal(samples.shape, (2, math.ceil(length * target / source)), "shape")
    expect_same(samples[0].tolist(), samples[1].tolist())
    expect_sine(samples, 1000, target)
    if form[0] != "JSON lists":
        expect_equal(samples.dtype, np.dtype(np.float32), "dtype")


@case("AudioTransform: what the lower rate cannot hold is filtered out")
def transform_aliasing(service: Service) -> None:
    config = {"output_sample_rate": "8000", "output_channels": "1"}
    samples, _ = call(service, "AudioTransform", FORMS[0], sine(7_000, 48_000, 24_000), 48_000, config)
    expect_equal(samples.shape, (1, 4_000), "shape")
    level = np.abs(samples[:, EDGE:-EDGE]).max()
    expect(level < 1e-3, f"7 kHz is still there at {level}")


@case("AudioTransform: the defaults are 44,100 Hz and two channels")
def transform_defaults(service: Service) -> None:
    samples, rate = call(service, "AudioTransform", FORMS[0], sine(440, 22_050, 4_000), 22_050, {})
    expect_equal((samples.shape, rate), ((2, 8_000), 44_100))


@rows("AudioTransform: mixing {0}", [(form[0], form) for form in FORMS])
def transform_channels(service: Service, _: str, form: Form) -> None:
    stereo = np.array([[0.5, -1.0, 0.25], [0.25, 1.0, -0.75]], np.float32)
    keep = {"output_sample_rate": "44100"}
    mono, rate = call(service, "AudioTransform", form, stereo, 44_100, {**keep, "output_channels": "1"})
    expect_equal(rate, 44_100, "rate")
    expect_equal(mono.tolist(), stereo.mean(axis=0, keepdims=True).tolist(), "mean")
    copies, _ = call(service, "AudioTransform", form, mono, 44_100, {**keep, "output_channels": "3"})
    expect_equal(copies.tolist(), mono.repeat(3, axis=0).tolist(), "copies")
    surround = np.arange(18, dtype=np.float32).reshape(6, 3)
    first, _ = call(service, "AudioTransform", form, surround, 44_100, {**keep, "output_channels": "2"})
    expect_equal(first.tolist(), surround[:2].tolist(), "first channels")
    flat, _ = call(service, "AudioTransform", form, mono[0], 44_100, {**keep, "output_channels": "2"})
    expect_equal(flat.tolist(), mono.repeat(2, axis=0).tolist(), "a 1-D array is mono")


@rows("AudioTransform: {0} samples keep their scale", [("int16",), ("int32",), ("uint8",), (">f4",), ("float64",), ("float16",)])
def transform_dtypes(service: Service, dtype: str) -> None:
    stereo = np.array([[1, 2, 3], [3, 4, 5]], dtype)
    mono, _ = call(service, "AudioTransform", FORMS[0], stereo, 44_100, {"output_channels": "1"})
    expect_equal(mono.tolist(), [[2.0, 3.0, 4.0]])


@case("AudioTransform: memory order of the input does not matter")
def transform_fortran(service: Service) -> None:
    stereo = np.asfortranarray(np.arange(8, dtype=np.float32).reshape(2, 4))
    mono, _ = call(service, "AudioTransform", FORMS[0], stereo, 44_100, {"output_channels": "1"})
    expect_equal(mono.tolist(), [[2.0, 3.0, 4.0, 5.0]])


NO_AUDIO: list[tuple[str, Any]] = [
    ("text", "no audio"),
    ("None", None),
    ("an array alone", np.zeros(4, np.float32)),
    ("a pair without an array", ("a", 44_100)),
    ("a triple", (np.zeros((1, 4)), 44_100, 1)),
    ("a rate that is text", (np.zeros((1, 4)), "44100")),
    ("text in an array", (np.array(["a", "b"]), 44_100)),
    ("objects in an array", (np.array([{}, []], dtype=object), 44_100)),
]


@rows("AudioTransform: {0} passes through", NO_AUDIO)
def transform_passes(service: Service, _: str, item: Any) -> None:
    expect_same(service.value("AudioTransform", item), item)


QUALITIES = ["best", "medium", "fastest"]


@rows(
    "AudioResampler: {0} to {1} Hz keeps a sine ({2}, {3[0]})",
    [
        *[(*rates, "best", form) for rates, form in itertools.product(RATES, FORMS)],
        *[(48_000, 16_000, quality, FORMS[0]) for quality in QUALITIES[1:]],
    ],
)
def resample(service: Service, source: int, target: int, quality: str, form: Form) -> None:
    config = {"target_sample_rate": str(target), "quality": quality}
    stereo = sine(1000, source, source // 4).repeat(2, axis=0)
    samples, rate = call(service, "AudioResampler", form, stereo, source, config)
    expect_equal(rate, target, "rate")
    expect_equal(samples.shape[0], 2, "channels")
    expect(abs(samples.shape[1] - target / 4) <= 1, f"there are {samples.shape[1]} samples, expected {target // 4}")
    expect_sine(samples, 1000, target)


@case("AudioResampler: audio at the target rate stays as it is")
def resample_same_rate(service: Service) -> None:
    item = (np.arange(6, dtype=np.int16).reshape(2, 3), 44_100)
    expect_same(service.value("AudioResampler", item), item)


@rows("AudioResampler: {0} passes through", NO_AUDIO)
def resample_passes(service: Service, _: str, item: Any) -> None:
    expect_same(service.value("AudioResampler", item), item)


@rows("AudioBuffer: ten samples in chunks of four ({0[0]})", [(form,) for form in FORMS])
def audio_buffer(service: Service, form: Form) -> None:
    _, format, send, read = form
    samples = np.arange(20, dtype=np.int16).reshape(2, 10)
    config = {"buffer_size_samples": "4"}
    chunks = service.value("AudioBuffer", (send(samples), 16_000), format=format, config=config)
    expect_equal(len(chunks), 3, "number of chunks")
    for (chunk, rate), expected in zip(chunks, np.split(samples, [4, 8], axis=1)):
        expect_equal(rate, 16_000, "rate")
        expect_equal(read(chunk).tolist(), expected.tolist(), "chunk")
        if format == "pickle":
            expect_equal(chunk.dtype, samples.dtype, "dtype")


@case("AudioBuffer: without buffer_size_samples the call is refused by the parameter's name")
def audio_buffer_requires_size(service: Service) -> None:
    expect_failure(service.run("AudioBuffer", (np.zeros((1, 4)), 8_000)), ERROR, "buffer_size_samples", "required")


@rows("ExtractAudioDataNode: flattens ({0[0]})", [(form,) for form in FORMS])
def extract(service: Service, form: Form) -> None:
    _, format, send, read = form
    samples = np.arange(6, dtype=np.float32).reshape(2, 3)
    answer = read(service.value("ExtractAudioDataNode", (send(samples), 8_000), format=format))
    expect_equal((answer.shape, answer.tolist()), ((6,), samples.flatten().tolist()))


@case("ExtractAudioDataNode: flattens as numpy does, whatever the memory order and dtype")
def extract_fortran(service: Service) -> None:
    samples = np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))
    expect_equal(service.value("ExtractAudioDataNode", (samples, 8_000)).tolist(), [0, 1, 2, 3, 4, 5])


@rows("ExtractAudioDataNode: None for {0}", [("text", "x"), ("a number", 1), ("a triple", (1, 2, 3)), ("None", None)])
def extract_nothing(service: Service, _: str, item: Any) -> None:
    expect_equal(service.value("ExtractAudioDataNode", item), None)


def activity(samples: np.ndarray, rate: int, frame_ms: int = 30, energy: float = 0.02, speech: float = 0.3) -> dict[str, Any]:
    """What the detector says of one chunk, by its definition."""
    mono = samples.astype(np.float64).mean(axis=0)
    length = rate * frame_ms // 1000
    frames = mono[: mono.size // length * length].reshape(-1, length)
    energies = np.sqrt((frames**2).mean(axis=1))
    ratio = float((energies > energy).mean()) if energies.size else 0.0
    return {
        "is_speech": bool(energies.size and ratio >= speech),
        "speech_ratio": ratio,
        "avg_energy": float(energies.mean()) if energies.size else 0.0,
        "frame_duration_ms": frame_ms,
    }


def speech_chunks() -> list[tuple[str, np.ndarray]]:
    """Chunks of a recording, and what else a microphone gives."""
    with wave.open(str(SPEECH)) as file:
        expect_equal((file.getnchannels(), file.getsampwidth(), file.getframerate()), (1, 2, 48_000), "recording")
        recording = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    chunks = [(f"second {at} of a recording", recording[np.newaxis, at * 48_000 : (at + 1) * 48_000]) for at in range(4)]
    noise = np.random.default_rng(1).normal(0, 0.01, (2, 48_000))
    return [
        *[(name, chunk.astype(np.float32)) for name, chunk in chunks],
        ("quiet noise", noise),
        ("silence", np.zeros((1, 48_000), np.float32)),
        ("less than a frame", np.ones((1, 100), np.float32)),
        ("a burst of a fifth", np.concatenate([np.ones((1, 9_600)), np.zeros((1, 38_400))], axis=1)),
        ("a burst of two fifths", np.concatenate([np.ones((1, 19_200)), np.zeros((1, 28_800))], axis=1)),
    ]


@rows("VoiceActivityDetector: {0}", speech_chunks())
def detect(service: Service, _: str, samples: np.ndarray) -> None:
    for config, expected in (
        ({}, activity(samples, 48_000)),
        ({"frame_duration_ms": "20", "energy_threshold": "0.1"}, activity(samples, 48_000, 20, 0.1)),
        ({"speech_threshold": "0.1"}, activity(samples, 48_000, speech=0.1)),
    ):
        pair, metadata = service.value("VoiceActivityDetector", (samples, 48_000), config=config)
        expect_same(pair, (samples, 48_000))
        expect_equal([*metadata], ["is_speech", "speech_ratio", "avg_energy", "frame_duration_ms"], "keys")
        for name in ("is_speech", "speech_ratio", "frame_duration_ms"):
            expect_same(metadata[name], expected[name])
        difference = abs(metadata["avg_energy"] - expected["avg_energy"])
        expect(difference <= 1e-9 * expected["avg_energy"], f"avg_energy is off by {difference}")


@rows("VoiceActivityDetector: filter mode gives {0} or nothing", speech_chunks())
def detect_filter(service: Service, _: str, samples: np.ndarray) -> None:
    answer = service.value("VoiceActivityDetector", (samples, 48_000), config={"filter_mode": "True"})
    expect_same(answer, (samples, 48_000) if activity(samples, 48_000)["is_speech"] else None)


@case("VoiceActivityDetector: without metadata it gives the pair")
def detect_plain(service: Service) -> None:
    item = (np.ones((1, 4_800), np.float32), 48_000)
    expect_same(service.value("VoiceActivityDetector", item, config={"include_metadata": "False"}), item)


@case("VoiceActivityDetector: JSON, in both forms")
def detect_json(service: Service) -> None:
    samples = np.full((1, 480), 0.5)
    for _, format, send, read in FORMS[1:]:
        (answer, rate), metadata = service.value("VoiceActivityDetector", (send(samples), 8_000), format=format)
        expect_equal((read(answer).tolist(), rate), (samples.tolist(), 8_000))
        expect_same(metadata, {"is_speech": True, "speech_ratio": 1.0, "avg_energy": 0.5, "frame_duration_ms": 30})


@case("VoiceActivityDetector: what is no audio gives nothing, and is no error")
def detect_nothing(service: Service) -> None:
    response = service.run("VoiceActivityDetector", "text")
    expect_status(response, SUCCESS)
    expect_equal(service.value("VoiceActivityDetector", "text"), None)
