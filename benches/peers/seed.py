"""seed.py URL TOKEN FOLDER: awards every user the 1000 points of the peers' accounts, and writes the files of ids and
runtime.json into FOLDER. Standard library only."""
import json, os, sys, time, urllib.request

URL, TOKEN, FOLDER = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ARTWORKS, USERS = 20000, 10000


def ask(query, variables):
    body = json.dumps({"query": query, "variables": variables}).encode()
    with urllib.request.urlopen(urllib.request.Request(URL, body, {"Content-Type": "application/json", **HEADERS}), timeout=60) as answer:
        answer = json.load(answer)
    if answer.get("errors"):
        sys.exit(json.dumps(answer["errors"][:3]))
    return answer["data"]


def wait():
    for _ in range(300):
        try:
            return ask("{ __typename }", {})
        except OSError:
            time.sleep(0.1)
    sys.exit("the server does not answer")


def chunks(count, size):
    for first in range(1, count + 1, size):
        yield [str(n) for n in range(first, min(first + size, count + 1))]


def artworks():
    """Line n is the id of the artwork that the peers call n."""
    for ns in chunks(ARTWORKS, 1000):
        for n, content in zip(ns, ask("query($ids: [String!]) { contents(externalIds: $ids) { id externalId } }", {"ids": ns})["contents"]):
            assert content["externalId"] == n
            yield content["id"]


def users():
    """The same of users: the import made them, with their old ids as subjects, so that this makes none."""
    for ns in chunks(USERS, 50):
        fields = " ".join(f'u{n}: ensureUser(subject: "{n}") {{ id externalId }}' for n in ns)
        data = ask("mutation { %s }" % fields, {})
        for n in ns:
            assert data[f"u{n}"]["externalId"] == n
            yield data[f"u{n}"]["id"]


def award(ids):
    inputs = [{"userId": id, "amount": 1000, "reason": "seed", "idempotencyKey": f"seed-{n}"} for n, id in ids]
    for first in range(0, len(inputs), 1000):
        ask("mutation($inputs: [AddPointsInput!]!) { addPointsBatch(inputs: $inputs) { __typename } }", {"inputs": inputs[first:first + 1000]})


def write(name, lines):
    with open(os.path.join(FOLDER, name), "w") as file:
        file.writelines(f"{line}\n" for line in lines)


wait()
everyone = list(users())
award(enumerate(everyone, 1))
write("artwork.ids", artworks())
write("user.ids", everyone)
write("runtime.json", [json.dumps({"headers": HEADERS, "connection_init": HEADERS, "ids": {"artwork": "artwork.ids", "user": "user.ids"}})])
