"""Recorded speech in pieces of 20 ms, as a microphone gives it."""

from __future__ import annotations

import itertools
import wave

import numpy as np

from arrays import FORMS, Form
from audio_nodes import SPEECH
from conversations import ExecuteStream, NodeStream, expect_nothing_left
from harness import case, expect, expect_equal, rows
from service import Service

CHUNK_MS = 20

# Where people speak in the recording, in seconds, and how far off the detector may be.
SEGMENTS = [(1.20, 4.58), (6.36, 8.50)]
TOLERANCE_SECONDS = 0.25

# A shorter pause is one within a segment.
BRIDGED_SECONDS = 0.3


def speech() -> tuple[np.ndarray, int]:
    """The recording as float32 of shape (1, n), and its rate."""
    with wave.open(str(SPEECH)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        return samples[np.newaxis], file.getframerate()


def chunks_of(samples: np.ndarray, rate: int) -> list[np.ndarray]:
    """The recording in pieces; the last may be shorter."""
    length = rate * CHUNK_MS // 1000
    return [samples[:, start : start + length] for start in range(0, samples.shape[1], length)]


def segments_of(decisions: list[bool]) -> list[tuple[float, float]]:
    """Start and end of what is speech, in seconds, short pauses bridged."""
    segments: list[tuple[float, float]] = []
    for index, is_speech in enumerate(decisions):
        start, end = index * CHUNK_MS / 1000, (index + 1) * CHUNK_MS / 1000
        if not is_speech:
            continue
        if segments and start - segments[-1][1] < BRIDGED_SECONDS:
            segments[-1] = (segments[-1][0], end)
        else:
            segments.append((start, end))
    return segments


@rows("VoiceActivityDetector finds where people speak ({0[0]})", [(form,) for form in FORMS])
def detector(service: Service, form: Form) -> None:
    _, format, send, read = form
    samples, rate = speech()
    chunks = chunks_of(samples, rate)
    decisions = []
    with NodeStream(service, "VoiceActivityDetector", {"frame_duration_ms": "10"}, format) as stream:
        for chunk in chunks:
            stream.give((send(chunk), rate))
        stream.half_close()
        outputs = stream.rest()
    expect_equal(len(outputs), len(chunks), "number of outputs")
    for chunk, ((answer, answered_rate), metadata) in zip(chunks, outputs):
        expect(np.array_equal(read(answer), chunk) and answered_rate == rate, "the audio is not what was sent")
        decisions.append(metadata["is_speech"])
    found = segments_of(decisions)
    expect_equal(len(found), len(SEGMENTS), f"number of segments in {found}")
    off = max(abs(a - b) for one, other in zip(found, SEGMENTS) for a, b in zip(one, other))
    expect(off <= TOLERANCE_SECONDS, f"segments are {found}, {off} s off")


@case("VoiceActivityDetector in filter mode lets the same speech through, and nothing else")
def detector_filters(service: Service) -> None:
    samples, rate = speech()
    chunks = chunks_of(samples, rate)
    outputs = {}
    for mode in ("False", "True"):
        config = {"frame_duration_ms": "10", "filter_mode": mode}
        with ExecuteStream(service, "VoiceActivityDetector", config) as stream:
            stream.open()
            for chunk in chunks:
                stream.give((chunk, rate))
            stream.close()
            outputs[mode] = stream.rest()[0]
    expected = [pair for pair, metadata in outputs["False"] if metadata["is_speech"]]
    expect(0 < len(expected) < len(chunks), f"{len(expected)} of {len(chunks)} are speech")
    expect_equal([rate for _, rate in outputs["True"]], [rate] * len(expected), "rates")
    for (answer, _), (samples, _) in zip(outputs["True"], expected):
        expect(answer.dtype == samples.dtype and np.array_equal(answer, samples), "the audio is not what was sent")


RATES = [(16_000,), (44_100,), (96_000,), (48_000,)]


@rows(
    "AudioResampler to {0} Hz gives in pieces what it gives of the whole, to the last bit ({1})",
    [(target, call) for (target,), call in itertools.product(RATES, ("StreamNode", "StreamExecute"))],
)
def resampler(service: Service, target: int, call: str) -> None:
    samples, rate = speech()
    config = {"target_sample_rate": str(target)}
    whole, whole_rate = service.value("AudioResampler", (samples, rate), config=config)
    expect_equal((whole.dtype, whole_rate), (np.dtype(np.float32), target), "dtype and rate of the whole")
    with (NodeStream if call == "StreamNode" else ExecuteStream)(service, "AudioResampler", config) as stream:
        if call == "StreamExecute":
            stream.open()
        for chunk in chunks_of(samples, rate):
            stream.give((chunk, rate))
        stream.half_close()
        outputs = stream.rest() if call == "StreamNode" else stream.rest()[0]
    expect_equal({rate for _, rate in outputs}, {target}, "rates")
    expect_equal({part.dtype for part, _ in outputs}, {np.dtype(np.float32)}, "dtypes")
    parts = np.concatenate([part for part, _ in outputs], axis=1)
    expect_equal(parts.shape, whole.shape, "shape")
    expect(parts.tobytes() == whole.tobytes(), f"{np.count_nonzero(parts != whole)} of {whole.size} samples differ")
    expect_nothing_left(service)


@rows("AudioResampler gives the same in JSON ({0[0]})", [(form,) for form in FORMS if form[1] == "json"])
def resampler_json(service: Service, form: Form) -> None:
    _, format, send, read = form
    samples, rate = speech()
    samples = samples[:, : rate * 2]
    config = {"target_sample_rate": "16000"}
    whole, _ = service.value("AudioResampler", (samples, rate), config=config)
    with NodeStream(service, "AudioResampler", config, format) as stream:
        for chunk in chunks_of(samples, rate):
            stream.give((send(chunk), rate))
        stream.half_close()
        parts = np.concatenate([read(part) for part, _ in stream.rest()], axis=1)
    expect(np.array_equal(parts, whole), f"{parts.shape} is not {whole.shape}, or differs")
