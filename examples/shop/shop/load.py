"""The jobs of an ordinary day, made one by one."""

from shop.tasks import ARTICLES

MIX = {"thumbnail": 30, "read_page": 25, "price": 25, "invoice": 15, "order": 5}
WIDTHS = (120, 240, 320)


def make_job(number, random):
    """
    Make a job.

    Args:
        number: The number of jobs made before it.
        random: The source of chance, a `random.Random`.
    """
    (name,) = random.choices(list(MIX), weights=list(MIX.values()))
    return {"task": f"shop.tasks.{name}", "args": arguments(name, number, random), "kwargs": {}}


def arguments(name, number, random):
    """Draw the arguments of a task."""
    match name:
        case "thumbnail":
            return [random.randrange(1000), random.choice(WIDTHS)]
        case "read_page":
            return [f"/articles/{random.randrange(500)}"]
        case "price":
            return [random.choice(ARTICLES)]
        case "invoice":
            return [number, 1 + int(random.expovariate(1 / 20))]
        case _:
            return [number]
