"""Answers in the shape of every server: what tally keeps one level deeper, one level up."""


def transform(workload, data):
    return SHAPES[workload](data)


def content(node):
    hotness = node.pop("hotness")
    return {**node, "hotScore": hotness["score"], "hotLevel": hotness["level"]}


def ranking(data):
    return {"hotArtworks": [{**e.pop("content"), **e} for e in data["hotArtworks"]]}


def artwork(data):
    return {"artwork": data["artwork"] and content(data["artwork"])}


def like(data):
    return {"like": data["like"] and data["like"]["content"]}


def points(data):
    p = data["addPoints"]
    return {"addPoints": p and {"balance": p["account"]["balance"], "applied": not p["replayed"]}}


def hotness(data):
    change = data["hotnessChanged"]
    return {"hotnessChanged": {**change.pop("content"), **change}}


SHAPES = {"q2": ranking, "q3": artwork, "m1": like, "m2": points, "s1": hotness}
