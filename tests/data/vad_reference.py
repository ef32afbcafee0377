"""Computes vad-speech-48k.json: what VoiceActivityDetector should say of speech-48k.wav, in numpy and float64.

Run as `python3 tests/data/vad_reference.py` from the repository's root.
"""

import json
import math
import wave

import numpy as np

CHUNK_MS, FRAME_MS, ENERGY, SHARE = 20, 10, 0.02, 0.3

with wave.open("tests/data/speech-48k.wav") as file:
    rate = file.getframerate()
    speech = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768

chunk, frame = rate * CHUNK_MS // 1000, rate * FRAME_MS // 1000
history, rows = [], []
for start in range(0, len(speech), chunk):
    threshold = ENERGY
    if history:
        floor = sorted(history)[math.floor(0.3 * len(history))]
        threshold = 0.7 * 2.5 * floor + 0.3 * ENERGY
    samples = speech[start : start + chunk]
    whole = len(samples) // frame
    energies = np.sqrt(np.mean(samples[: whole * frame].reshape(whole, frame) ** 2, axis=1))
    history = (history + energies.tolist())[-100:]
    ratio = float(np.mean(energies > threshold)) if whole else 0.0
    rows.append([bool(whole and ratio >= SHARE), ratio, float(np.mean(energies)) if whole else 0.0])

with open("tests/data/vad-speech-48k.json", "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
