"""Finding a video's objects in a thread of its own, beside flow, cropping and scoring.

What finds objects and what computes flow leave Python's lock alone most of the time (OpenCV, ONNX
Runtime, PyTorch), and neither needs the other: two cores work where one did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from vadistill.objects.base import Boxes, Localiser
from vadistill.video import Frame
from vadistill.windows import Triplet, Window, windows


def located(
    frames: Iterable[Frame], localiser: Localiser, *, before: int, after: int
) -> Iterator[tuple[Window, Callable[[], Boxes]]]:
    """``windows`` of a video, each with a function that waits for its current frame's boxes.

    The function is called before the next window is taken.  Boxes are looked for as soon as the
    next frame is there, frame by frame in order, and so none comes later than without the thread.
    ``after`` is one at least.  The localiser has been started, and is no other video's meanwhile.
    What it raises, the function does.
    """
    asked: deque[Future[Boxes]] = deque()
    worker = ThreadPoolExecutor(1, "localiser")

    def passing() -> Iterator[Frame]:
        last: tuple[Frame, ...] = ()
        for frame in frames:
            if last:
                asked.append(worker.submit(localiser.boxes, Triplet(last[0], last[-1], frame)))
            last = (*last[-1:], frame)
            yield frame
        if last:
            asked.append(worker.submit(localiser.boxes, Triplet(last[0], last[-1], last[-1])))

    try:
        for window in windows(passing(), before=before, after=after):
            yield window, asked.popleft().result
    finally:
        worker.shutdown(cancel_futures=True)
