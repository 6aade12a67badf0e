"""Generated fields, each drawn once: the same arguments give the same one, whose pixels do not change."""

from functools import cache

from serving.synthetic.field import SyntheticField, generate_field


@cache
def draw_field(
    *, seed: int, width: int, height: int, mitoses_per_mm2: float = 30.0, lookalikes_per_mm2: float = 30.0
) -> SyntheticField:
    """As `generate_field`."""
    field = generate_field(
        seed=seed,
        width=width,
        height=height,
        mitoses_per_mm2=mitoses_per_mm2,
        lookalikes_per_mm2=lookalikes_per_mm2,
    )
    field.pixels.flags.writeable = False
    return field
