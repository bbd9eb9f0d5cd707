"""Score a video with an exported fast_aed model, without PyTorch and without vadistill.

python score_without_torch.py MODEL.vad VIDEO > scores.csv
"""

import json
import sys
from pathlib import Path

import av
import cv2
import numpy as np

STEP = 3  # frames between the neighbours of a window

folder, video = Path(sys.argv[1]), sys.argv[2]
signature = json.loads((folder / "graph.json").read_text())
_, channels, height, width = signature["inputs"][0]["shape"]
graph = str(folder / signature["graph"])
if graph.endswith(".onnx"):
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    network = lambda windows: session.run(["scores"], {"windows": windows})[0]  # noqa: E731
else:
    import openvino

    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    network = lambda windows: compiled([windows])["scores"]  # noqa: E731
frames = []
for frame in av.open(video).decode(video=0):
    image = frame.to_ndarray(format="rgb24")
    how = cv2.INTER_AREA if image.size > 3 * height * width else cv2.INTER_LINEAR
    frames.append(cv2.resize(image, (width, height), interpolation=how).transpose(2, 0, 1))
reach = STEP * (channels // 6)
print("frame,score")
for t in range(len(frames)):
    places = [t + offset for offset in range(-reach, reach + 1, STEP)]
    window = [frames[i if 0 <= i < len(frames) else t] for i in places]
    print(f"{t},{network(np.concatenate(window)[None])[0]:.6f}")
