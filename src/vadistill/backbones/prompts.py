"""Kinds of events by words: which of some prompts CLIP finds a picture to be most like.

A snippet's share of a kind is the softmax over all prompts of CLIP's scaled cosines, summed over
the kind's prompts (Radford et al. 2021, Sec. 3.1.2).  What is normal is a kind, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float32
from torch.nn import functional as F

from vadistill.backbones.clip import load_clip
from vadistill.errors import ConfigError, WeightsError, one_of, printable
from vadistill.files import content_hash

if TYPE_CHECKING:
    import numpy as np

    from vadistill.devices import Device

NORMAL = "normal"
"""The kind of what is no event."""

ORDINARY = ("a normal scene", "people walking", "an empty place")
"""Prompts of ``NORMAL`` where none are given."""

LISTS: Mapping[str, Mapping[str, str]] = {
    "ucf_crime": {
        "Abuse": "someone being abused",
        "Arrest": "police arresting someone",
        "Arson": "someone setting fire to something",
        "Assault": "someone attacking another person",
        "Burglary": "a burglar breaking in",
        "Explosion": "an explosion",
        "Fighting": "people fighting",
        "RoadAccidents": "a road accident",
        "Robbery": "a robbery",
        "Shooting": "someone shooting a gun",
        "Shoplifting": "someone shoplifting in a store",
        "Stealing": "someone stealing",
        "Vandalism": "someone damaging property",
    },
    "xd_violence": {
        "fighting": "people fighting",
        "shooting": "someone shooting a gun",
        "riot": "a riot",
        "abuse": "someone being abused",
        "car accident": "a car accident",
        "explosion": "an explosion",
    },
}
"""A prompt for each kind of anomaly of the data sets, by name; the kinds are spelled as labels."""


def read_prompts(words: str) -> dict[str, tuple[str, ...]]:
    """Prompts by kind, ``NORMAL`` first: a name in ``LISTS``, or ``PROMPT, KIND=PROMPT, …``.

    A prompt without a kind is its own; a kind may come again.  Raises ConfigError without a kind
    beside ``NORMAL``.

    >>> read_prompts("a fall, fire=a fire, fire=smoke, normal=a corridor")
    {'normal': ('a corridor',), 'a fall': ('a fall',), 'fire': ('a fire', 'smoke')}
    """
    if "_" in words and " " not in words:
        one_of("list of prompts", words, LISTS)
    listed = LISTS.get(words)
    given = list(listed.items()) if listed else []
    for part in () if listed else filter(None, map(str.strip, printable(words).split(","))):
        kind, _, prompt = part.rpartition("=")
        given.append((kind.strip() or prompt.strip(), prompt.strip()))
    found: dict[str, tuple[str, ...]] = {NORMAL: ()}
    for kind, prompt in given:
        found[kind] = (*found.get(kind, ()), prompt)
    if len(found) < 2 or not all(prompt for _, prompt in given):
        raise ConfigError(
            f"prompts '{words}'",
            expected=f"words for one or more events, or one of {', '.join(LISTS)}",
            fix='write them as --prompts "a fight, a fall, fire"',
        )
    return {**found, NORMAL: found[NORMAL] or ORDINARY}


class Prompts:
    """CLIP's image encoder, and what its features of a snippet say of some kinds of events."""

    def __init__(self, words: str, weights: str | None = None, *, device: Device = "auto") -> None:
        """``words`` are ``read_prompts``'s; ``weights`` as behind ``clip:``, None: downloaded.

        Raises ConfigError, WeightsError.
        """
        prompts = read_prompts(words)
        clip = load_clip(weights)
        if not clip.has_texts:
            raise WeightsError(
                f"{weights} holds CLIP's image encoder alone",
                expected="its text encoder, too, for prompts",
                fix="name a file of all of CLIP, or a folder as on Hugging Face's hub",
            )
        self.kinds = tuple(prompts)
        """``NORMAL`` first."""
        texts = [prompt for of_kind in prompts.values() for prompt in of_kind]
        self._kind = torch.tensor([i for i, own in enumerate(prompts.values()) for _ in own])
        self._texts, self._scale = clip.texts(texts), clip.scale
        self.backbone = clip.pictures("clip", device=device)
        told = [self.backbone.fingerprint, *map(str, self.kinds), str(self._kind.tolist())]
        self.fingerprint = content_hash(*told, self._texts.numpy().tobytes())
        """16 digits that change with what shares depend on."""

    def shares(self, rows: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n k"]:
        """Of each kind in ``kinds``, for the backbone's features of n snippets; rows sum to 1.

        Raises WeightsError for features of another width.
        """
        if rows.shape[1] != self._texts.shape[1]:
            raise WeightsError(
                f"features of CLIP that are {rows.shape[1]} wide",
                expected=f"{self._texts.shape[1]}, as these prompts are",
                fix="name the weights that the features were made with",
            )
        cosines = F.normalize(torch.from_numpy(rows).float(), dim=-1) @ self._texts.T
        each = torch.softmax(self._scale * cosines, dim=-1)
        return each.new_zeros(len(rows), len(self.kinds)).index_add(1, self._kind, each).numpy()
