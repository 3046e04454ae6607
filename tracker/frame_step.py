"""The way of one frame: all targets plan, are looked at in batches, and decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tracker.crop import Region
from tracker.crowd import Crowd
from tracker.image import Image
from tracker.results import TrackResult
from tracker.searcher import Request, Searcher
from tracker.target import Target


def follow(
    searcher: Searcher,
    image: Image,
    targets: Mapping[int, Target],
    crowd: Crowd,
    resting: Collection[int] = (),
) -> dict[int, TrackResult]:
    """One frame: a batch for each size of crops, and one for lost targets that turn up.

    Args:
        targets: by number.
        crowd: knows which of them are one thing.
        resting: numbers of the targets that are not looked at in this frame.
    """
    searcher.begin()
    if not targets:
        return {}
    height, width = image.shape[:2]
    scene_step = searcher.camera.next(image)
    results: dict[int, TrackResult] = {}
    requests: dict[int, Request] = {}
    batches: dict[int, list[int]] = {}  # numbers of the targets that want crops of one size
    for number, target in targets.items():
        if number in resting:
            results[number] = target.rest()
        else:
            regions = target.begin_frame(width, height, scene_step)
            target.light.follow(image, None if target.lost else regions[0])
            requests[number] = target, regions
            batches.setdefault(target.crop_size, []).append(number)
    looks: list[tuple[int, Target, list[Region]]] = []
    for numbers in batches.values():
        output, start = searcher.search(image, [requests[number] for number in numbers]), 0
        for number in numbers:
            target, regions = requests[number]
            if target.absence is not None:
                found = target.promising(output, start)
                if found:
                    looks.append((number, target, found))
                else:
                    results[number] = target.still_lost()
            else:
                results[number] = target.take(output, start, image)
            start += len(regions)
    if looks:
        closer, start = searcher.search(image, [(target, found) for _, target, found in looks]), 0
        claims = {n: r.box for n, r in results.items() if r.claimed_box is not None}
        for number, target, found in looks:
            taken = crowd.taken(number, claims)
            results[number] = target.take_closer_look(closer, start, found, taken, image)
            start += len(found)
            if results[number].claimed_box is not None:
                claims[number] = results[number].box
    searcher.refresh(image, [target for target, _ in requests.values()])
    searcher.end()
    return {number: results[number] for number in targets}
