"""Writes tests/vectors/: bundles and trust files that a verifier must refuse, as data in no programming language.

    python -m tests.make_vectors

It follows docs/bundle.md and shares no code with edgekit, so it is a second implementation of the format: where the
two disagree, one of them or the document is wrong. Same code, same bytes: keys come from fixed seeds, for tests only.
"""

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = Path(__file__).parent / "vectors"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
MODEL = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
DSSE = "application/vnd.dsse.envelope.v1+json"
RELEASE = "application/vnd.edgekit.release.v1+json"
EVIDENCE = "application/vnd.edgekit.evidence.v1+json"
PROFILE = "application/vnd.edgekit.profile.v1+json"
KINDS = (RELEASE, EVIDENCE, PROFILE)
FILEPATH, FAST = "org.cncf.model.filepath", "io.edgekit.blake3"
REF_NAME = "org.opencontainers.image.ref.name"
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the Ed25519 group

JSON = Any
Files = dict[str, bytes]
# of a record, in place or by what it returns; bytes are taken as they are
Change = Callable[[Any], Any]
Hooks = Mapping[str, Change]


# --- keys and records ------------------------------------------------------------------------------------------------


def seed(name: str) -> bytes:
    """Public knowledge: never trust such a key."""
    return hashlib.sha256(f"edgekit test vectors, never trust: {name}".encode()).digest()


@cache
def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed(name))


def public(name: str) -> str:
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return private(name).public_key().public_bytes(*raw).hex()


def key_record(name: str) -> JSON:
    return {"keytype": "ed25519", "keyval": {"public": public(name)}, "scheme": "ed25519"}


@cache
def key_id(name: str) -> str:
    return hashlib.sha256(dump(key_record(name))).hexdigest()


def dump(value: JSON) -> bytes:
    """Write a value as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(of: str) -> str:
    """Return where the blob of a digest lies."""
    return f"blobs/sha256/{of.removeprefix('sha256:')}"


def pae(kind: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def envelope(kind: str, payload: bytes, signers: Sequence[str]) -> JSON:
    signed = [
        {"keyid": key_id(name), "sig": b64(private(name).sign(pae(kind, payload)))}
        for name in sorted(signers, key=key_id)
    ]
    return {"payload": b64(payload), "payloadType": kind, "signatures": signed}


# --- a bundle, with a hook before each record is hashed or signed ----------------------------------------------------


class Said(NamedTuple):
    """Evidence or a profile: attached to variant `on`, about variant `about`, signed by `by`."""

    on: int = 0
    about: int = 0
    by: str = "evidence"
    kind: str = EVIDENCE
    machine: str = "bench"
    hooks: Hooks = {}


TASK = b'{"labels":["sound","worn"],"task":"text-classification"}'
PLAIN: Files = {"model.onnx": b"no real model: the verdict opens none", "task.json": TASK}
OTHER: Files = {"model.onnx": b"another one that is no real model", "task.json": TASK}


def turned(hooks: Hooks, name: str, value: JSON) -> bytes:
    """A record's bytes, after its hook."""
    if name in hooks:
        made = hooks[name](value)
        value = value if made is None else made
    return value if isinstance(value, bytes) else dump(value)


class Making:
    """The blobs of a bundle in the making."""

    def __init__(self) -> None:
        self.files: Files = {}

    def add(self, data: bytes, kind: str, **more: JSON) -> JSON:
        """A blob; returns its descriptor."""
        self.files[blob(digest(data))] = data
        return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}

    def attach(self, subject: JSON, kind: str, sealed: bytes, hooks: Hooks) -> JSON:
        """A referrer; returns its descriptor in index.json."""
        held = {name: subject[name] for name in ("mediaType", "digest", "size")}
        record = {
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": self.add(b"{}", EMPTY),
            "layers": [self.add(sealed, DSSE)], "subject": held,
        }  # fmt: skip
        data = turned(hooks, "referrer", record)
        named = {REF_NAME: digest(data).replace(":", "-")}
        return self.add(data, MANIFEST, artifactType=kind, annotations=named)


def layer(making: Making, name: str, data: bytes) -> JSON:
    notes = {FILEPATH: name, FAST: f"blake3:{blake3(data).hexdigest()}"}
    return making.add(data, WEIGHT_CONFIG if name.endswith(".json") else WEIGHT, annotations=notes)


def variant(making: Making, files: Files, named: tuple[str, str, str], hooks: Hooks) -> JSON:
    """Add one manifest; return its descriptor in the release index.

    named: model, version, variant.
    """
    model, version, name = named
    layers = [layer(making, path, data) for path, data in files.items()]
    listed = [
        {
            "path": path,
            "size": item["size"],
            "sha256": item["digest"],
            "blake3": item["annotations"][FAST],
        }
        for path, item in zip(files, layers, strict=True)
    ]
    slot = {
        "model": model, "version": version, "variant": name, "format": "onnx", "precision": "fp32", "engine": "onnxruntime",
        "engine_version": "1", "architecture": "amd64", "isa": [], "setting": {}, "golden_tolerance": 0.1, "files": listed,
    }  # fmt: skip
    said = turned(hooks, "slot", slot)
    layers.append(making.add(said, WEIGHT_CONFIG, annotations={FILEPATH: "slot.json"}))
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": MODEL, "config": making.add(b'{"config":{}}', CONFIG),
        "layers": layers,
    }  # fmt: skip
    return making.add(
        turned(hooks, "manifest", manifest), MANIFEST, artifactType=MODEL,
        platform={"architecture": "amd64", "os": "linux"}, annotations={"io.edgekit.variant": name},
    )  # fmt: skip


def bundle(
    variants: Sequence[Files] = (PLAIN,),
    said: Sequence[Said] = (),
    *,
    signers: Sequence[str] = ("release",),
    version: str = "1.0.0",
    counter: int = 1_000_000,
    **hooks: Change,
) -> Files:
    """Make a whole bundle.

    hooks: slot and manifest (of the first variant), index, payload, envelope, signature, top.
    """
    making = Making()
    described = [
        variant(making, files, ("pumps", version, f"v{number}"), {} if number else hooks)
        for number, files in enumerate(variants)
    ]
    index = {
        "schemaVersion": 2, "mediaType": INDEX, "artifactType": MODEL, "manifests": list(described),
        "annotations": {"org.opencontainers.image.title": "pumps", "org.opencontainers.image.version": version},
    }  # fmt: skip
    made = turned(hooks, "index", index)
    release = making.add(made, INDEX, artifactType=MODEL, annotations={REF_NAME: version})
    claim = {"model": "pumps", "version": version, "counter": counter, "index": release["digest"]}
    sealed = turned(hooks, "envelope", envelope(RELEASE, turned(hooks, "payload", claim), signers))
    own = {"referrer": hooks["signature"]} if "signature" in hooks else {}
    rest = [
        making.attach(release, RELEASE, sealed, own),
        *(attached(making, described, item) for item in said),
    ]
    rest.sort(key=lambda item: (KINDS.index(item["artifactType"]), item["digest"]))
    top = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [release, *rest]}
    making.files["index.json"] = turned(hooks, "top", top)
    making.files["oci-layout"] = dump({"imageLayoutVersion": "1.0.0"})
    return making.files


def attached(making: Making, variants: Sequence[JSON], item: Said) -> JSON:
    """Make evidence or a profile that is attached.

    hooks: statement, envelope, referrer.
    """
    about = variants[item.about]["digest"]
    what = {
        EVIDENCE: ("evidence", EVIDENCE_RECORD),
        PROFILE: ("profile", {**PROFILE_RECORD, "manifest": about}),
    }
    word, record = what[item.kind]
    statement = {"subject": about, word: {**deepcopy(record), "machine": item.machine}}
    sealed = envelope(item.kind, turned(item.hooks, "statement", statement), (item.by,))
    return making.attach(
        variants[item.on], item.kind, turned(item.hooks, "envelope", sealed), item.hooks
    )


_FIGURE = {"value": 1.0, "low": 1.0, "high": 1.0}
_SPEED = {
    "effort": "quick", "rounds": 1, "calls": 9, "p50_ms": _FIGURE, "p90_ms": _FIGURE, "p99_ms": None, "latency_quantiles": [],
    "samples_per_s": _FIGURE, "round_p50_ms": [], "round_samples_per_s": [], "load_ms": 1.0, "cold_load_ms": None,
    "peak_rss_bytes": 1, "energy_source": "none", "conditions": [],
}  # fmt: skip
_QUALITY = {
    "metric": "accuracy", "metric_value": 0.9, "metric_bounds": [], "reference_value": 0.9,
    "comparison": {"type": "paired", "samples": 9, "lost": 0, "gained": 0}, "judged_batch_size": 1, "agreement": 1.0,
    "batch_agreement": 1.0, "answer_error": 0.0, "max_answer_difference": 0.0, "classes": {}, "reliability": None,
    "golden_difference": 0.0, "evaluation_sha256": "", "calibration_sha256": "",
}  # fmt: skip
EVIDENCE_RECORD = {
    "kind": "measured", "setting": {}, "quality": _QUALITY, "performance": _SPEED, "size_bytes": 1, "versions": {},
}  # fmt: skip
PROFILE_RECORD = {
    "kind": "measured", "model": "pumps", "version": "1.0.0", "variant": "v0", "setting": {}, "performance": _SPEED,
    "inputs": "made", "target": "bench", "versions": {},
}  # fmt: skip


# --- changes ---------------------------------------------------------------------------------------------------------


def at(*path: str | int, to: JSON) -> Change:
    """Sets one value; `to` may be a function of the old one."""

    def change(value: JSON) -> None:
        for step in path[:-1]:
            value = value[step]
        value[path[-1]] = to(value[path[-1]]) if callable(to) else to

    return change


def less(*path: str | int) -> Change:
    """Takes one value out."""

    def change(value: JSON) -> None:
        for step in path[:-1]:
            value = value[step]
        del value[path[-1]]

    return change


def both(*changes: Change) -> Change:
    """Make one change after the other; the last one may return bytes."""

    def change(value: JSON) -> JSON:
        made = None
        for item in changes:
            made = item(value)
        return made

    return change


def raw(old: str, new: str) -> Change:
    """Another spelling: a piece of the canonical bytes is replaced, once."""

    def change(value: JSON) -> bytes:
        data = dump(value)
        assert old.encode() in data, (old, data)
        return data.replace(old.encode(), new.encode(), 1)

    return change


def spelled(change: Callable[[bytes], bytes]) -> Change:
    return lambda value: change(dump(value))


def moved(key: str, source: int, target: int) -> Change:
    """Another order of a list."""
    return lambda value: value[key].insert(target, value[key].pop(source))


# --- the vectors -----------------------------------------------------------------------------------------------------

TWO_SAID = (Said(0, 0), Said(1, 1), Said(0, 0, kind=PROFILE))


@cache
def bases() -> dict[str, Files]:
    """Sound bundles."""
    return {
        "plain": bundle(),
        "full": bundle((PLAIN, OTHER), TWO_SAID),
        "twice": bundle(signers=("release", "release2")),
    }


@cache
def labels(base: str) -> dict[str, str]:
    """Short names of the blobs of a base."""
    files = bases()[base]
    top = read(files, "index.json")["manifests"]
    found: dict[str, str] = {"index": top[0]["digest"], "signature": top[1]["digest"]}
    found["envelope"] = read(files, blob(top[1]["digest"]))["layers"][0]["digest"]
    for number, item in enumerate(read(files, blob(top[0]["digest"]))["manifests"]):
        record = read(files, blob(item["digest"]))
        found[f"manifest{number}"] = item["digest"]
        found["config"] = record["config"]["digest"]
        for held in record["layers"]:
            found[f"{held['annotations'][FILEPATH]}{number}"] = held["digest"]
    for number, item in enumerate(top[2:]):
        found[f"referrer{number}"] = item["digest"]
        found[f"statement{number}"] = read(files, blob(item["digest"]))["layers"][0]["digest"]
    found["empty"] = digest(b"{}")
    return {name: blob(of) for name, of in found.items()}


def read(files: Files, name: str) -> JSON:
    return json.loads(files[name])


Vector = dict[str, JSON]
Group = dict[str, Vector]
TWO_KEYS = {"release": ["release", "release2"], "threshold": 2}


def edits_between(old: Files, new: Files, label: Mapping[str, str]) -> list[JSON]:
    """What leads from one set of files to the other; a blob that changed a little is told by the change."""
    gone = {name for name in old if name not in new}
    edits: list[JSON] = []
    for name in sorted(new):
        data = new[name]
        if old.get(name) == data:
            continue
        is_blob = name == blob(digest(data))
        like = (
            name
            if name in old
            else max(sorted(gone), key=lambda item: alike(old[item], data), default="")
        )
        splices = spliced(old[like], data) if like else []
        cost = sum(len(json.dumps(item)) for item in splices)
        if like and cost < len(data) and (is_blob or name in old):
            word = "splice" if name in old else "reblob"
            edits.append({word: label.get(like, like), "splices": splices})
            gone -= {like}
        elif is_blob:
            edits.append({"blob": parts(data)})
        else:
            edits.append(put(name, data))
    return [{"remove": label.get(name, name)} for name in sorted(gone)] + edits


def alike(old: bytes, new: bytes) -> int:
    """How many bytes both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
        min(len(old), len(new)),
    )


def put(name: str, data: bytes) -> JSON:
    return {"put": name, "data": parts(data)}


def parts(data: bytes) -> list[JSON]:
    """Bytes as JSON: text, numbers of zero bytes, other bytes repeated, base64."""
    found: list[JSON] = []
    for match in re.finditer(rb"(?s)(.)\1{31,}|(?:(?!(.)\2{31}).)+", data):
        piece = match[0]
        if not any(piece):
            found.append(len(piece))
        elif match[1] and piece.isascii():
            found.append({"repeat": match[1].decode(), "times": len(piece)})
        else:
            found.append(piece.decode() if is_text(piece) else {"base64": b64(piece)})
    return found


def is_text(data: bytes) -> bool:
    try:
        return data.decode().isprintable() or data.isascii()
    except UnicodeDecodeError:
        return False


TOKEN = re.compile(rb'"[^"]*"|[0-9]+|\x00+|[^"0-9\x00]', re.DOTALL)


def spliced(old: bytes, new: bytes) -> list[JSON]:
    """What leads from one file to the other: places, bytes to delete there, and what to put in."""
    before, after = TOKEN.findall(old), TOKEN.findall(new)
    if b"".join(before) != old or b"".join(after) != new:
        before, after = [old], [new]
    starts = [0, *accumulate(len(token) for token in before)]
    found = []
    for kind, i, j, k, m in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            out, into = b"".join(before[i:j]), b"".join(after[k:m])
            head = alike(out, into)
            tail = alike(out[head:][::-1], into[head:][::-1])
            found.append(
                [starts[i] + head, len(out) - head - tail, *parts(into[head : len(into) - tail])]
            )
    return found


def vector(
    about: str, threat: str, says: str, base: str | None, edits: Sequence[JSON] = (), **more: JSON
) -> Vector:
    """says: a piece of what edgekit says; "" for one that must be accepted. What is not said has a default."""
    found = {"about": about, "threat": threat, "says": says, **more}
    if base != "plain":
        found["base"] = base
    if edits:
        found["edits"] = list(edits)
    return found if says else {**found, "expect": "accept"}


def made(
    about: str, threat: str, says: str, files: Files, base: str = "plain", **more: JSON
) -> Vector:
    """A bundle made from scratch, written down as what differs from the base."""
    edits = edits_between(
        bases()[base], files, {path: f"@{name}" for name, path in labels(base).items()}
    )
    return vector(about, threat, says, base, edits, **more)


def signatures() -> Group:
    """Attacks on the envelope of the release; nobody but the last few holds a trusted key."""
    none, canonical, no_envelope = "not signed by", "canonical", "not a signature envelope"
    first = ("signatures", 0)
    sig = (*first, "sig")

    def of(data: bytes) -> Change:
        return at(*sig, to=lambda _: b64(data))

    def flipped(old: str) -> str:
        data = bytearray(base64.b64decode(old))
        data[40] ^= 4
        return b64(bytes(data))

    def malleable(old: str) -> str:
        data = base64.b64decode(old)
        scalar = int.from_bytes(data[32:], "little") + ORDER
        return b64(data[:32] + scalar.to_bytes(32, "little"))

    def signed_otherwise(message: Callable[[bytes], bytes]) -> Change:
        def change(value: JSON) -> None:
            payload = base64.b64decode(value["payload"])
            value["signatures"][0]["sig"] = b64(private("release").sign(message(payload)))

        return change

    def payload_with(change: Change) -> Change:
        def inner(value: JSON) -> None:
            claim = json.loads(base64.b64decode(value["payload"]))
            value["payload"] = b64(turned({"x": change}, "x", claim))

        return inner

    def relabelled(name: str) -> Change:
        """Another key's signature under the trusted key's id."""

        def change(value: JSON) -> None:
            payload = base64.b64decode(value["payload"])
            value["signatures"][0]["sig"] = b64(private(name).sign(pae(RELEASE, payload)))

        return change

    strange = envelope(RELEASE, b"{}", ("stranger",))["signatures"][0]
    cases: dict[str, tuple[str, str, Change]] = {
        "no-signatures": ("The list of signatures is empty.", none, at("signatures", to=[])),
        "signatures-null": ("signatures is null.", no_envelope, at("signatures", to=None)),
        "signatures-object": ("signatures is one object instead of a list.", no_envelope, at("signatures", to=lambda old: old[0])),
        "signatures-missing": ("There are no signatures.", no_envelope, less("signatures")),
        "signature-string": ("A signature is a string instead of an object.", no_envelope, at(*first, to="x")),
        "sig-missing": ("A signature without sig.", no_envelope, less(*sig)),
        "sig-null": ("sig is null.", no_envelope, at(*sig, to=None)),
        "keyid-missing": ("A signature without keyid.", no_envelope, less(*first, "keyid")),
        "keyid-empty": ("An empty keyid.", none, at(*first, "keyid", to="")),
        "keyid-unknown": ("A good signature under the id of nobody's key.", none, at(*first, "keyid", to="f" * 64)),
        "keyid-uppercase": ("A good signature, its keyid in capitals.", none, at(*first, "keyid", to=str.upper)),
        "keyid-stranger": ("A good signature under a stranger's keyid.", none, at(*first, "keyid", to=key_id("stranger"))),
        "sig-stranger": ("A stranger's signature under the trusted keyid.", none, relabelled("stranger")),
        "sig-flipped": ("One bit of the signature flipped.", none, at(*sig, to=flipped)),
        "sig-malleable": ("S plus the order of the group: the same point, another spelling.", none, at(*sig, to=malleable)),
        "sig-empty": ("An empty signature.", none, at(*sig, to="")),
        "sig-63": ("A signature of 63 bytes.", none, at(*sig, to=lambda old: b64(base64.b64decode(old)[:63]))),
        "sig-65": ("A signature of 65 bytes.", none, at(*sig, to=lambda old: b64(base64.b64decode(old) + b"\0"))),
        "sig-zeros": ("64 zero bytes as a signature.", none, of(bytes(64))),
        "sig-identity": ("R is the neutral point and S is 0.", none, of(b"\1" + bytes(63))),
        "sig-hex": ("The signature in hexadecimal.", no_envelope, at(*sig, to=lambda old: base64.b64decode(old).hex()[:-1])),
        "sig-no-padding": ("base64 without its padding.", no_envelope, at(*sig, to=lambda old: old.rstrip("="))),
        "sig-newline": ("base64 with a line break in it.", no_envelope, at(*sig, to=lambda old: f"{old[:40]}\n{old[40:]}")),
        "sig-loose-bits": ("base64 whose unused last bits are not zero.", canonical, at(*sig, to=lambda old: f"{old[:-3]}{chr(ord(old[-3]) + 1)}==")),
        "sig-no-pae": ("The trusted key signed the payload without DSSE's encoding.", none, signed_otherwise(lambda payload: payload)),
        "sig-base64-payload": ("The trusted key signed the payload's base64 text.", none, signed_otherwise(lambda payload: pae(RELEASE, base64.b64encode(payload)))),
        "sig-digest": ("The trusted key signed the payload's SHA-256.", none, signed_otherwise(lambda payload: hashlib.sha256(payload).digest())),
        "sig-pae-v2": ("Another version in DSSE's encoding.", none, signed_otherwise(lambda payload: pae(RELEASE, payload).replace(b"v1", b"v2", 1))),
        "sig-other-length": ("A wrong length in DSSE's encoding.", none, signed_otherwise(lambda payload: b"DSSEv1 1" + pae(RELEASE, payload)[8:])),
        "duplicate-signature": ("The same signature twice.", no_envelope, at("signatures", to=lambda old: old * 2)),
        "signature-extra-field": ("A field beside keyid and sig, which nobody signed.", canonical, at(*first, "note", to="trust me")),
        "signature-cert": ("A certificate in the signature, which nobody signed.", canonical, at(*first, "cert", to="MII")),
        "envelope-extra-field": ("A field beside payload, payloadType and signatures.", canonical, at("note", to="trust me")),
        "type-changed": ("payloadType is that of evidence, the signature is over a release's.", "signs something else", at("payloadType", to=EVIDENCE)),
        "type-suffix": ("payloadType with a parameter behind it.", "signs something else", at("payloadType", to=f"{RELEASE};v=1")),
        "type-missing": ("There is no payloadType.", no_envelope, less("payloadType")),
        "type-list": ("payloadType is a list.", "signs something else", at("payloadType", to=[RELEASE])),
        "payload-missing": ("There is no payload.", no_envelope, less("payload")),
        "payload-null": ("The payload is null.", no_envelope, at("payload", to=None)),
        "payload-empty": ("The payload is empty.", none, at("payload", to="")),
        "payload-not-base64": ("The payload is JSON, not base64.", no_envelope, at("payload", to="{}!")),
        "payload-counter": ("The counter in the payload raised after signing.", none, payload_with(at("counter", to=2_000_000))),
        "payload-version": ("The version in the payload changed after signing.", none, payload_with(at("version", to="9.9.9"))),
        "payload-index": ("The payload names another index than was signed.", none, payload_with(at("index", to=digest(b"evil")))),
        "payload-bit": ("One bit of the payload flipped.", none, payload_with(raw("pumps", "pumpr"))),
        "payload-space": ("The payload spelled otherwise after signing.", none, payload_with(raw(",", ", "))),
    }  # fmt: skip
    group = {
        name: made(about, "A2", says, bundle(envelope=change))
        for name, (about, says, change) in cases.items()
    }
    group |= {
        "stripped": made("The signature is gone from index.json and from the blobs.", "A2", "0 release signatures", stripped()),
        "other-key": made("Signed by a key that nobody trusts.", "A2", none, bundle(signers=("stranger",))),
        "root-key": made("Signed by a root key, which signs no release.", "A2", none, bundle(signers=("root1",))),
        "evidence-key": made("Signed by the key of the evidence role.", "A2", none, bundle(signers=("evidence",))),
        "type-evidence": made("The trusted key signed the payload, but as evidence.", "A3", "signs something else", bundle(
            envelope=lambda value: envelope(EVIDENCE, base64.b64decode(value["payload"]), ("release",)))),
        "type-plain": made("The trusted key signed the payload as application/json.", "A3", "signs something else", bundle(
            envelope=lambda value: envelope("application/json", base64.b64decode(value["payload"]), ("release",)))),
        "two-of-two-one": made("Two keys must sign; one did.", "A2", none, bundle(), keys=TWO_KEYS),
        "two-of-two-same": made("Two keys must sign; one did, twice.", "A2", no_envelope, bundle(
            envelope=at("signatures", to=lambda old: old * 2)), keys=TWO_KEYS),
        "two-of-two-same-other-id": made("Two keys must sign; one did, once under the other's id.", "A2", none, bundle(
            envelope=lambda value: value["signatures"].append({**value["signatures"][0], "keyid": key_id("release2")})), keys=TWO_KEYS),
        "two-of-two-stranger": made("Two keys must sign; one did, and a stranger.", "A2", none, bundle(signers=("release", "stranger")), keys=TWO_KEYS),
        "two-of-two-unsorted": made("Two keys must sign and did; the signatures are not sorted by key id.", "A2", "canonical", bundle(
            signers=("release", "release2"), envelope=at("signatures", to=lambda old: old[::-1])), "twice", keys=TWO_KEYS),
        "two-of-two-one-bad": made("Two keys must sign; both did, but one signature is spoilt.", "A2", none, bundle(
            signers=("release", "release2"), envelope=at("signatures", 1, "sig", to=flipped)), "twice", keys=TWO_KEYS),
        "no-keys": vector("No key is trusted at all.", "A2", "no key is trusted", "plain", keys={"release": [], "evidence": []}),
        "threshold-above-keys": vector("Two signatures are demanded of one key.", "A2", none, "plain", keys={"release": ["release"], "threshold": 2}),
        "extra-stranger-signature": made("A stranger's signature stands beside the trusted one: it has no effect.", "A2", "", bundle(
            envelope=lambda value: value["signatures"].append(strange))),
        "two-of-two": vector("Two keys must sign, and both did.", "", "", "twice", keys=TWO_KEYS),
        "one-of-two": vector("Either of two keys may sign.", "", "", "plain", keys={"release": ["release", "release2"]}),
    }  # fmt: skip
    return group


def stripped() -> Files:
    files = bundle(top=less("manifests", 1))
    for name in sorted(bases()["plain"].keys() & files.keys()):
        if name.startswith("blobs/") and (RELEASE.encode() in files[name] or files[name] == b"{}"):
            del files[name]
    return files


def payloads() -> Group:
    """The trusted key signed it, and still it is no release."""
    wrong = "not what edgekit writes"
    cases: dict[str, tuple[str, str, Change]] = {
        "unknown-field": ("A field that the format does not have.", wrong, at("expires", to="never")),
        "no-counter": ("There is no counter.", wrong, less("counter")),
        "no-index": ("There is no index.", wrong, less("index")),
        "counter-negative": ("A counter below zero.", wrong, at("counter", to=-1)),
        "counter-2-62": ("A counter of 2^62: one more than there may be.", wrong, at("counter", to=2**62)),
        "counter-2-63": ("A counter of 2^63.", wrong, at("counter", to=2**63)),
        "counter-2-64": ("A counter of 2^64 + 1, which is 1 in 64 bits.", wrong, at("counter", to=2**64 + 1)),
        "counter-huge": ("A counter of a thousand digits.", wrong, at("counter", to=int("9" * 1000))),
        "counter-float": ("The counter is 1000000.0.", "", raw("1000000", "1000000.0")),
        "counter-exponent": ("The counter is 1e6.", "", raw("1000000", "1e6")),
        "counter-fraction": ("The counter is 1.5.", wrong, at("counter", to=1.5)),
        "counter-string": ("The counter is a string.", wrong, at("counter", to="1000000")),
        "counter-true": ("The counter is true.", wrong, at("counter", to=True)),
        "counter-null": ("The counter is null.", wrong, at("counter", to=None)),
        "counter-zero-first": ("The counter is 01000000, which is no JSON.", wrong, raw("1000000", "01000000")),
        "counter-minus-zero": ("The counter is -0.", "", raw("1000000", "-0")),
        "index-uppercase": ("The index's digest in capitals.", wrong, at("index", to=lambda old: f"sha256:{old[7:].upper()}")),
        "index-sha512": ("The index is named by a SHA-512 digest.", wrong, at("index", to="sha512:" + "a" * 128)),
        "index-short": ("The index's digest is cut short.", wrong, at("index", to=lambda old: old[:-2])),
        "index-newline": ("A line break after the index's digest.", "", at("index", to=lambda old: f"{old}\n")),
        "index-bare": ("The index's digest without its algorithm.", wrong, at("index", to=lambda old: old[7:])),
        "index-elsewhere": ("The payload names an index that is not there.", "signed index is missing", at("index", to=digest(b"elsewhere"))),
        "model-number": ("The model's name is a number.", wrong, at("model", to=7)),
        "model-dotdot": ("The model is named ../../pumps: a name is a place in the store.", wrong, at("model", to="../../pumps")),
        "model-absolute": ("The model is named /pumps.", wrong, at("model", to="/pumps")),
        "model-empty": ("The model has no name.", wrong, at("model", to="")),
        "model-nul": ("A zero byte in the model's name.", wrong, at("model", to="pumps\0")),
        "model-other": ("The payload names another model than slot.json.", "another", at("model", to="valves")),
        "version-other": ("The payload names another version than slot.json and index.json.", "", at("version", to="2.0.0")),
    }  # fmt: skip
    says = dict.fromkeys(
        ("counter-float", "counter-exponent", "counter-minus-zero", "index-newline"),
        "release statement: not",
    )
    says |= dict.fromkeys(("version-other", "model-other"), "another model or version")
    return {
        name: made(about, "A3", says.get(name, said), bundle(payload=change))
        for name, (about, said, change) in cases.items()
    }


def first_field(data: bytes) -> tuple[str, JSON]:
    key = next(iter(json.loads(data)))
    return str(key), json.loads(data)[key]


def repeated(data: bytes, first: bytes | None = None) -> bytes:
    key, value = first_field(data)
    return b"{" + dump(key) + b":" + (first or dump(value)) + b"," + data[1:]


def reversed_keys(data: bytes) -> bytes:
    value = json.loads(data)
    pairs = [dump(key) + b":" + dump(value[key]) for key in sorted(value, reverse=True)]
    return b"{" + b",".join(pairs) + b"}"


def escaped(data: bytes) -> bytes:
    key = first_field(data)[0]
    return data.replace(key.encode(), f"\\u{ord(key[0]):04x}{key[1:]}".encode(), 1)


SPELLINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "space": ("White space after a comma.", lambda data: data.replace(b",", b", ", 1)),
    "newline-after": ("A line break behind it.", lambda data: data + b"\n"),
    "garbage-after": ("A second value behind it.", lambda data: data + b"{}"),
    "twice-one-key": ("Its first key twice, with the same value.", repeated),
    "twice-other-value": ("Its first key twice, null at first.", lambda data: repeated(data, b"null")),
    "unsorted": ("Its keys in another order.", reversed_keys),
    "escaped": ("A letter of its first key written as an escape.", escaped),
    "bom": ("A byte order mark before it.", lambda data: b"\xef\xbb\xbf" + data),
    "not-utf-8": ("A byte in it that is no UTF-8.", lambda data: data.replace(b'":"', b'":"\xff', 1)),
    "overlong": ("A zero byte in it, in overlong UTF-8.", lambda data: data.replace(b'":"', b'":"\xc0\x80', 1)),
    "surrogate": ("A lone surrogate in it.", lambda data: data.replace(b'":"', b'":"\\ud800', 1)),
    "utf-16": ("The same in UTF-16.", lambda data: data.decode().encode("utf-16")),
    "nan": ("NaN as a value.", lambda data: data[:-1] + b',"zz":NaN}'),
    "comment": ("A comment in it.", lambda data: b"{/**/" + data[1:]),
    "deep": ("2,000 nested lists as a value.", lambda data: data[:-1] + b',"zz":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "cut": ("Cut short by its last byte.", lambda data: data[:-1]),
    "empty": ("Empty.", lambda _: b""),
    "list": ("A list around it.", lambda data: b"[" + data + b"]"),
    "null": ("null.", lambda _: b"null"),
}  # fmt: skip
# Records and the spellings tried on each. What is parsed by the same code needs no more than a few.
SPELLED = {
    "top": tuple(SPELLINGS),
    "envelope": ("space", "garbage-after", "twice-one-key", "twice-other-value", "unsorted", "escaped", "bom", "not-utf-8", "surrogate", "nan", "comment", "deep", "empty"),
    "payload": ("space", "twice-one-key", "unsorted", "nan", "empty"),
    "index": ("twice-one-key", "unsorted", "cut"),
    "signature": ("space", "twice-other-value"),
    "manifest": ("space", "twice-one-key", "unsorted", "not-utf-8"),
    "slot": ("space", "newline-after", "twice-one-key", "unsorted", "escaped", "bom", "overlong", "surrogate", "nan", "deep", "list"),
    "statement": ("space", "twice-one-key", "unsorted", "nan", "empty"),
}  # fmt: skip
CALLED = {
    "top": "index.json", "index": "The release index, signed as it is", "payload": "The payload, signed as it is",
    "envelope": "The envelope", "signature": "The signature's manifest", "manifest": "A variant's manifest, signed as it is",
    "slot": "slot.json, signed as it is", "statement": "The payload of evidence, signed as it is",
}  # fmt: skip
UNREADABLE = {"top": "index.json: not ", "index": "release index: not ", "payload": "release statement: not ",
    "envelope": "release signature: not ", "signature": "release.v1+json: not ", "manifest": ": not ", "slot": "slot.json: ",
    "statement": "evidence: "}  # fmt: skip


def spellings() -> Group:
    """All JSON is canonical, whoever signed it."""
    group = {}
    for record, kinds in SPELLED.items():
        for kind in kinds:
            text, change = SPELLINGS[kind]
            hook: dict[str, JSON] = {record: spelled(change)}
            base, files = "plain", Files()
            if record == "statement":
                base = "full"
                files = bundle((PLAIN, OTHER), (Said(hooks=hook), *TWO_SAID[1:]))
            else:
                files = bundle(**hook)
            group[f"{record}-{kind}"] = made(
                f"{CALLED[record]}: {text}", "A3", UNREADABLE[record], files, base
            )
    return group


def sizes_and_digests(*path: str | int) -> dict[str, tuple[str, Change]]:
    """What can be wrong with a descriptor."""
    size, named = (*path, "size"), (*path, "digest")
    return {
        "size-less": ("a size that is one too small", at(*size, to=lambda old: old - 1)),
        "size-more": ("a size that is one too large", at(*size, to=lambda old: old + 1)),
        "size-negative": ("a size of -1", at(*size, to=-1)),
        "size-float": ("a size with a fraction of zero", at(*size, to=float)),
        "size-string": ("a size in quotes", at(*size, to=str)),
        "size-2-31": ("a size of 2^31", at(*size, to=2**31)),
        "size-wraps": ("a size that is 2^32 too large", at(*size, to=lambda old: old + 2**32)),
        "size-wraps-64": ("a size that is 2^64 too large", at(*size, to=lambda old: old + 2**64)),
        "digest-uppercase": ("a digest in capitals", at(*named, to=lambda old: f"sha256:{old[7:].upper()}")),
        "digest-sha512": ("a SHA-512 digest", at(*named, to="sha512:" + "a" * 128)),
        "digest-bare": ("a digest without its algorithm", at(*named, to=lambda old: old[7:])),
        "digest-newline": ("a line break after its digest", at(*named, to=lambda old: f"{old}\n")),
        "digest-path": ("a path as its digest", at(*named, to="sha256:../../oci-layout")),
        "digest-elsewhere": ("the digest of a blob that is not there", at(*named, to=digest(b"elsewhere"))),
        "extra-field": ("a field that the format does not have", at(*path, "data", to="e30=")),
    }  # fmt: skip


def indexes() -> Group:
    """The release index, signed by the trusted key, and not as the format has it."""
    wrong, item = "release index: not what", ("manifests", 0)
    cases: dict[str, tuple[str, str, Change]] = {
        "schema-1": ("schemaVersion is 1.", wrong, at("schemaVersion", to=1)),
        "schema-missing": ("There is no schemaVersion.", wrong, less("schemaVersion")),
        "schema-float": ("schemaVersion is 2.0.", "release index: not", at("schemaVersion", to=2.0)),
        "type-manifest": ("Its mediaType is that of a manifest.", wrong, at("mediaType", to=MANIFEST)),
        "type-docker": ("Its mediaType is Docker's.", wrong, at("mediaType", to="application/vnd.docker.distribution.manifest.list.v2+json")),
        "type-missing": ("There is no mediaType.", wrong, less("mediaType")),
        "artifact-other": ("Its artifactType is none of a model.", "release index", at("artifactType", to="application/vnd.example")),
        "artifact-missing": ("There is no artifactType.", "release index", less("artifactType")),
        "subject": ("A subject, which the format does not have here.", wrong, at("subject", to=some_subject())),
        "unknown-field": ("A field that the format does not have.", wrong, at("expires", to="never")),
        "no-variants": ("There is no variant in it.", "no variant", at("manifests", to=[])),
        "no-manifests": ("There is no list of variants.", wrong, less("manifests")),
        "manifests-null": ("The list of variants is null.", wrong, at("manifests", to=None)),
        "variant-twice": ("The same variant twice.", "twice", at("manifests", to=lambda old: old * 2)),
        "variant-is-index": ("A variant whose mediaType is that of an index.", "release index says", at(*item, "mediaType", to=INDEX)),
        "variant-artifact": ("A variant with the artifactType of evidence.", "release index says", at(*item, "artifactType", to=EVIDENCE)),
        "platform-field": ("A platform with a variant, which the format does not have.", wrong, at(*item, "platform", "variant", to="v8")),
        "platform-list": ("A list as a platform.", wrong, at(*item, "platform", to=["linux"])),
        "platform-other": ("A platform that slot.json contradicts.", "release index says", at(*item, "platform", "architecture", to="arm64")),
        "annotation-number": ("A number as an annotation.", wrong, at(*item, "annotations", "io.edgekit.variant", to=1)),
        "urls": ("A variant that could be fetched from elsewhere.", wrong, at(*item, "urls", to=["https://example.org/"])),
    }  # fmt: skip
    says = dict.fromkeys(
        ("size-less", "size-more", "size-2-31", "size-wraps"), "not what its digest"
    )
    says |= {"digest-elsewhere": "missing"}
    group = dict(cases)
    for name, (text, change) in sizes_and_digests(*item).items():
        if name not in (
            "size-less",
            "size-wraps",
            "size-wraps-64",
            "digest-uppercase",
            "digest-sha512",
            "digest-path",
            "digest-newline",
            "extra-field",
        ):
            continue
        group[f"variant-{name}"] = (
            f"The descriptor of a variant has {text}.",
            says.get(name, wrong),
            change,
        )
    return {
        name: made(about, "A9", said, bundle(index=change))
        for name, (about, said, change) in group.items()
    }


def some_subject() -> JSON:
    return {"mediaType": MANIFEST, "digest": digest(b"x"), "size": 1}


BAD_NAMES = {
    "dotdot": "..", "dotdot-slash": "../model.onnx", "absolute": "/model.onnx", "folder": "a/model.onnx", "dot": ".",
    "hidden": ".model.onnx", "dash": "-rf.onnx", "empty": "", "space": "my model.onnx", "newline": "mo\ndel.onnx",
    "nul": "model\0.onnx",
    "full-width": "ｍodel.onnx", "right-to-left": "mod\u202exnno.onnx",
    "digit": "model\u0661.onnx", "101": "m" * 96 + ".onnx", "no-suffix": "model",
    "suffix-capitals": "model.ONNX",
}  # fmt: skip
CODE_NAMES = {
    "shared-library": "custom.so", "windows-library": "custom.dll", "python": "modeling.py", "bytecode": "modeling.pyc",
    "pickle": "model.pkl", "torch": "model.pt", "numpy": "model.npy",
    "template": "chat.jinja", "two-suffixes": "model.onnx.so",
}  # fmt: skip


def manifests() -> Group:
    """A variant's manifest, signed by the trusted key, and not as the format has it."""
    wrong, first, named = (
        ": not what edgekit writes",
        ("layers", 0),
        ("layers", 0, "annotations", FILEPATH),
    )
    differ = "name different files"
    last = ("layers", 2)
    cases: dict[str, tuple[str, str, Change]] = {
        "schema-1": ("schemaVersion is 1.", wrong, at("schemaVersion", to=1)),
        "type-index": ("Its mediaType is that of an index.", wrong, at("mediaType", to=INDEX)),
        "type-docker": ("Its mediaType is Docker's.", wrong, at("mediaType", to="application/vnd.docker.distribution.manifest.v2+json")),
        "artifact-other": ("Its artifactType is none of a model.", "manifest", at("artifactType", to="application/vnd.example")),
        "artifact-missing": ("There is no artifactType.", wrong, less("artifactType")),
        "subject": ("A variant that is itself attached to something.", "manifest", at("subject", to=some_subject())),
        "annotations": ("Annotations on a variant's manifest, which the format does not have.", "manifest", at("annotations", to={"x": "y"})),
        "unknown-field": ("A field that the format does not have.", wrong, at("expires", to="never")),
        "no-config": ("There is no config.", wrong, less("config")),
        "no-layers": ("There is no list of layers.", wrong, less("layers")),
        "layers-empty": ("No layer at all.", "no slot.json", at("layers", to=[])),
        "layers-object": ("One layer instead of a list.", wrong, at("layers", to=lambda old: old[0])),
        "no-slot": ("No slot.json among the layers.", "no slot.json", less(*last)),
        "slot-twice": ("slot.json twice.", "a file name", at("layers", to=lambda old: [*old, old[-1]])),
        "slot-capital": ("Slot.json instead of slot.json.", "no slot.json", at(*last, "annotations", FILEPATH, to="Slot.json")),
        "layer-unnamed": ("A layer without a file name.", "a file name", less(*named)),
        "layer-no-annotations": ("A layer without annotations.", "a file name", less(*first, "annotations")),
        "layer-name-number": ("A number as a file name.", wrong, at(*named, to=7)),
        "layer-name-twice": ("Two layers of the same name.", "a file name", at(*named, to="task.json")),
        "layer-renamed": ("A layer under another name than slot.json has.", differ, at(*named, to="model2.onnx")),
        "layer-gone": ("A file of slot.json without its layer.", differ, less(*first)),
        "layer-added": ("A layer that slot.json does not name.", differ, at("layers", to=lambda old: [*old, {**old[0], "annotations": {**old[0]["annotations"], FILEPATH: "more.onnx"}}])),
        "layers-swapped": ("Two layers under each other's name.", differ, both(at(*named, to="task.json"), at("layers", 1, "annotations", FILEPATH, to="model.onnx"))),
        "layer-fast-other": ("A BLAKE3 digest that is not that of slot.json.", "says something", at(*first, "annotations", FAST, to=f"blake3:{'0' * 64}")),
        "layer-fast-missing": ("A layer without its BLAKE3 digest.", "says something", less(*first, "annotations", FAST)),
        "layer-note": ("An annotation that the format does not have.", "says something", at(*first, "annotations", "x", to="y")),
        "layer-tar": ("A layer of the type of a packed tar.", "says something", at(*first, "mediaType", to="application/vnd.oci.image.layer.v1.tar+gzip")),
        "layer-urls": ("A layer that could be fetched from elsewhere.", wrong, at(*first, "urls", to=["https://example.org/"])),
        "layer-platform": ("A platform on a layer.", "says something", at(*first, "platform", to={"os": "linux", "architecture": "amd64"})),
        "config-type": ("A config of another type than a model's.", "says something", at("config", "mediaType", to=EMPTY)),
    }  # fmt: skip
    group = {
        name: made(about, "B1" if "name" in name else "A9", said, bundle(manifest=change))
        for name, (about, said, change) in cases.items()
    }
    says = dict.fromkeys(("size-less", "size-more", "size-wraps", "digest-elsewhere"), differ)
    for name, (text, change) in sizes_and_digests(*first).items():
        if name not in (
            "size-less",
            "size-wraps",
            "size-float",
            "digest-uppercase",
            "digest-path",
            "digest-newline",
            "extra-field",
        ):
            continue
        group[f"layer-{name}"] = made(f"The descriptor of a layer has {text}.", "A10" if "size" in name else "A9",
            says.get(name, wrong), bundle(manifest=change))  # fmt: skip
    for name in ("size-more", "digest-elsewhere"):
        text, change = sizes_and_digests("config")[name]
        said = "is missing" if name == "digest-elsewhere" else "not what its digest"
        group[f"config-{name}"] = made(
            f"The descriptor of the config has {text}.", "A9", said, bundle(manifest=change)
        )
    for name, (text, change) in sizes_and_digests("files", 0).items():
        if name in ("size-less", "size-wraps", "digest-elsewhere"):
            layers = sizes_and_digests("layers", 0)[name][1]
            slots = (
                at("files", 0, "sha256", to=digest(b"elsewhere"))
                if name == "digest-elsewhere"
                else change
            )
            said = "missing" if name == "digest-elsewhere" else "not the size that was signed"
            about = f"Layer and slot.json agree on {text}, and the blob is another."
            group[f"agreed-{name}"] = made(about, "A10", said, bundle(slot=slots, manifest=layers))
    return group


def renamed(name: str) -> Files:
    """The weights under another name."""
    return {name: PLAIN["model.onnx"], "task.json": TASK}


def names() -> Group:
    """File names that the trusted key signed in slot.json and manifest alike."""
    group = {
        f"name-{kind}": made(
            f"A file named {name[:20]!r}.", "B1", "a file name", bundle((renamed(name),))
        )
        for kind, name in BAD_NAMES.items()
    }
    group |= {
        f"code-{kind}": made(f"A file named {name}: no code and no pickle travels in a bundle.", "B2" if name.endswith((".pkl", ".pt", ".ckpt", ".npy")) else "B9", "a file name", bundle((renamed(name),)))
        for kind, name in CODE_NAMES.items()
    }  # fmt: skip
    twins: Files = {"Model.onnx": b"x", "model.onnx": b"y"}
    group["name-case-twins"] = made(
        "Two names that differ in case only.", "A9", "a file name", bundle((twins,))
    )
    group["name-slot-twin"] = made(
        "SLOT.JSON beside slot.json.", "A9", "a file name", bundle(({"SLOT.JSON": b"{}"},))
    )
    group["name-slot-file"] = made(
        "slot.json lists a slot.json of its own.",
        "A9",
        "a file name",
        bundle(({"slot.json": b"{}"},)),
    )
    group["name-100"] = made(
        "A name of 100 characters.", "", "", bundle(({"m" * 95 + ".onnx": b"x"},))
    )
    group["name-empty-file"] = made("A file of no bytes.", "", "", bundle(({"empty.json": b""},)))
    group["name-same-bytes"] = made(
        "Two names of the same bytes: one blob.", "", "", bundle(({"a.bin": b"x", "b.bin": b"x"},))
    )
    return group


def slots() -> Group:
    """slot.json, signed by the trusted key, and not as the format has it."""
    wrong, differ, file = "can't read it", "name different files", ("files", 0)
    more = {"path": "more.onnx", "size": 1, "sha256": digest(b"x"), "blake3": f"blake3:{'0' * 64}"}
    cases: dict[str, tuple[str, str, Change]] = {
        "file-renamed": ("It names a file that is not there.", differ, at(*file, "path", to="model2.onnx")),
        "file-missing": ("It does not name a file that is there.", differ, less(*file)),
        "file-more": ("It names one file more.", differ, at("files", to=lambda old: [*old, more])),
        "file-twice": ("It names a file twice, first with another digest.", differ, at("files", to=lambda old: [{**old[0], "sha256": digest(b"x")}, *old])),
        "file-twice-same": ("It names a file twice alike.", differ, at("files", to=lambda old: [old[0], *old])),
        "file-itself": ("It names itself, with a wrong digest.", differ, at("files", to=lambda old: [*old, {**more, "path": "slot.json"}])),
        "file-size": ("It has another size of a file.", differ, at(*file, "size", to=5)),
        "file-size-wraps": ("It has a size that is 2^32 too large.", differ, at(*file, "size", to=lambda old: old + 2**32)),
        "file-size-negative": ("It has a size below zero.", differ, at(*file, "size", to=-1)),
        "file-size-float": ("It has a size with a fraction of zero.", "slot.json", at(*file, "size", to=float)),
        "file-digest": ("It has another digest of a file.", differ, at(*file, "sha256", to=digest(b"x"))),
        "file-digest-uppercase": ("It has a digest in capitals.", differ, at(*file, "sha256", to=str.upper)),
        "file-digest-md5": ("It names a file by its MD5.", differ, at(*file, "sha256", to="md5:" + "0" * 32)),
        "file-fast-other": ("Its BLAKE3 digest is not that of the layer.", "says something", at(*file, "blake3", to=f"blake3:{'0' * 64}")),
        "files-empty": ("It names no file.", differ, at("files", to=[])),
        "files-object": ("Its files are an object.", wrong, at("files", to={})),
        "unknown-field": ("A field that no reader knows: it has no effect.", "", at("pre_install", to="rm -rf /")),
        "file-unknown-field": ("A field of a file that no reader knows: it has no effect.", "", at(*file, "mode", to="0755")),
        "no-engine": ("It names no engine.", wrong, less("engine")),
        "tolerance-string": ("Its tolerance is a string.", wrong, at("golden_tolerance", to="0.1")),
        "tolerance-huge": ("Its tolerance is 1e999.", wrong, raw("0.1", "1e999")),
        "tolerance-infinity": ("Its tolerance is Infinity.", wrong, raw("0.1", "Infinity")),
        "tolerance-nan": ("Its tolerance is NaN: every comparison with it is false.", wrong, raw("0.1", "NaN")),
        "tolerance-negative": ("Its tolerance is below zero.", "slot.json", at("golden_tolerance", to=-1.0)),
        "option-huge": ("An engine's option is a number of 5,000 digits.", "slot.json", raw('"setting":{}', f'"setting":{{"options":{{"x":{"9" * 5000}}}}}')),
        "model-other": ("It is of another model than the release.", "another", at("model", to="valves")),
        "model-dotdot": ("Its model is named ../../pumps: a name is a place in the store.", "another model or version", at("model", to="../../pumps")),
        "version-other": ("It is of another version than the release.", "another", at("version", to="2.0.0")),
        "variant-dotdot": ("Its variant is named ../../v1: a name is a place in a folder.", "no name of a variant", at("variant", to="../../v1")),
        "variant-other": ("Its variant is another than the index says.", "release index says", at("variant", to="v9")),
    }  # fmt: skip
    return {
        name: made(about, "A9", said, bundle(slot=change))
        for name, (about, said, change) in cases.items()
    }


def growing() -> Group:
    """Records that another version wrote: fields that this one does not know, and newer formats."""
    critical, form, needs, unreadable = (
        "is critical",
        "format_version",
        "needs_edgekit",
        "can't read it",
    )
    newer, later = "this edgekit reads up to 1", at("needs_edgekit", to="7.0.0")
    note = ("note",)

    def nested(levels: int) -> JSON:
        """So many lists in each other."""
        return [nested(levels - 1)] if levels > 1 else []

    # in any record that grows: tried on slot.json, some on the payloads of evidence and profile
    anywhere: dict[str, tuple[str, str, Change]] = {
        "format-2": ("Format 2.", newer, at(form, to=2)),
        "critical-unknown": ("A field that no reader knows is critical.", critical, both(at(*note, to=1), at("critical", to=["note"]))),
    }  # fmt: skip
    cases: dict[str, tuple[str, str, Change]] = {
        "format-1": ("Format 1, as if it were not said.", "", at(form, to=1)),
        "critical-empty": ("No field is critical, and that is said.", unreadable, at("critical", to=[])),
        "format-2-needs": ("Format 2, which edgekit 7.0.0 reads.", "edgekit 7.0.0 or later", both(at(form, to=2), later)),
        "format-2-otherwise": ("Format 2, in which nothing is as before.", "edgekit 7.0.0 or later", lambda _: {form: 2, needs: "7.0.0", "engine": 7}),
        "format-2-needs-text": ("Format 2, and a command where a version should be.", "a later edgekit reads it", both(at(form, to=2), at(needs, to="$(reboot)"))),
        "format-huge": ("A format of 2^64.", newer, at(form, to=2**64)),
        "format-0": ("Format 0.", unreadable, at(form, to=0)),
        "format-negative": ("A format below zero.", unreadable, at(form, to=-1)),
        "format-float": ("Format 1.0.", unreadable, at(form, to=1.0)),
        "format-text": ("The format is a string.", unreadable, at(form, to="1")),
        "format-twice": ("The format twice, 2 at first.", "canonical", spelled(lambda data: data.replace(b'"golden', b'"format_version":2,"format_version":1,"golden'))),
        "needs": ("Format 1, and a later edgekit is asked for: nothing follows from that alone.", "", later),
        "needs-number": ("The edgekit that it needs is a number.", unreadable, at(needs, to=7)),
        "needs-text": ("The edgekit that it needs is no version.", unreadable, at(needs, to="latest")),
        "needs-newline": ("A line break after the edgekit that it needs.", unreadable, at(needs, to="7.0.0\n")),
        "critical-known": ("A field that every reader knows is critical.", "", at("critical", to=["engine"])),
        "critical-left-out": ("A field that every reader knows, and that is left out, is critical.", "", at("critical", to=["slow_ms"])),
        "critical-absent": ("A field that is not there, and that no reader knows, is critical.", critical, at("critical", to=["note"])),
        "critical-second": ("Of two critical fields the second is known to no reader.", critical, both(at(*note, to=1), at("critical", to=["engine", "note"]))),
        "critical-needs": ("An unknown field is critical, and edgekit 7.0.0 knows it.", "edgekit 7.0.0 or later", both(at(*note, to=1), at("critical", to=["note"]), later)),
        "critical-twice": ("A field is called critical twice.", unreadable, at("critical", to=["engine", "engine"])),
        "critical-path": ("The path of a field inside of another is critical, and no field.", critical, at("critical", to=["setting.threads"])),
        "critical-no-name": ("A critical field without a name.", critical, at("critical", to=[""])),
        "critical-newline": ("A critical field with a line break in its name.", critical, at("critical", to=["a\nb"])),
        "critical-text": ("critical is a string.", unreadable, at("critical", to="engine")),
        "critical-object": ("critical is an object.", unreadable, at("critical", to={"engine": True})),
        "critical-null": ("critical is null.", unreadable, at("critical", to=None)),
        "part-critical": ("In a setting, a field that no reader knows is critical.", critical, at("setting", to={"note": 1, "critical": ["note"]})),
        "part-critical-known": ("In a setting, a field that every reader knows is critical.", "", at("setting", to={"threads": 2, "critical": ["threads"]})),
        "part-critical-above": ("In a setting, a field of the record around it is critical.", critical, at("setting", to={"critical": ["engine"]})),
        "part-unknown-field": ("In a setting, a field that no reader knows: it has no effect.", "", at("setting", to={"note": 1})),
        "file-critical": ("In one of its files, a field that no reader knows is critical.", critical, both(at("files", 0, "note", to=1), at("files", 0, "critical", to=["note"]))),
        "unknown-critical": ("critical in an object that no reader knows: it has no effect.", "", at(*note, to={"critical": ["x"], "format_version": 2})),
        "option-critical": ("An engine's option is called critical: the name of an option, and not a list of fields.", "", at("setting", to={"options": {"critical": "x"}})),
        "unknown-object": ("An object in a field that no reader knows.", "", at(*note, to={"a": [1, -1.5, None, True, "ö", {}]})),
        "unknown-first": ("A field that no reader knows stands first.", "", at("a", to=1)),
        "unknown-emoji": ("A field that no reader knows has a name beyond ASCII.", "", both(at("\U0001f527", to=1), at("\uffee", to=1))),
        "unknown-2-64-less-1": ("2^64 - 1 in a field that no reader knows.", "", at(*note, to=2**64 - 1)),
        "unknown-2-64": ("2^64 in a field that no reader knows.", "64 bits", at(*note, to=2**64)),
        "unknown-2-63-1-below": ("-2^63 - 1 in a field that no reader knows.", "64 bits", at(*note, to=-(2**63) - 1)),
        "unknown-deep-64": ("A field that no reader knows: 64 values in each other, the record included.", "", at(*note, to=nested(63))),
        "unknown-deep-65": ("A field that no reader knows: 65 values in each other, the record included.", "in each other", at(*note, to=nested(64))),
        "unknown-1e5": ("1e5 in a field that no reader knows, which is 100000.0.", "canonical", both(at(*note, to=1), raw('"note":1', '"note":1e5'))),
        "unknown-fraction-zeros": ("0.10 in a field that no reader knows.", "canonical", both(at(*note, to=1), raw('"note":1', '"note":0.10'))),
        "unknown-minus-zero": ("-0 in a field that no reader knows.", "canonical", both(at(*note, to=1), raw('"note":1', '"note":-0'))),
        "unknown-digits": ("Seventeen digits in a field that no reader knows, where two say the same.", "canonical", both(at(*note, to=1), raw('"note":1', '"note":0.10000000000000001'))),
        "unknown-escape": ("An escape that nobody needs, in a field that no reader knows.", "canonical", both(at(*note, to="/"), raw('"note":"/"', '"note":"\\/"'))),
        "unknown-twice": ("A field that no reader knows, twice.", "canonical", both(at(*note, to=1), raw('"note":1', '"note":1,"note":1'))),
        "unknown-inner-twice": ("A key twice, in an object that no reader knows.", "canonical", both(at(*note, to={"a": 1}), raw('{"a":1}', '{"a":1,"a":1}'))),
        "unknown-inner-unsorted": ("Keys in another order, in an object that no reader knows.", "canonical", both(at(*note, to={"a": 1, "b": 1}), raw('{"a":1,"b":1}', '{"b":1,"a":1}'))),
    }  # fmt: skip
    group = {
        f"slot-{name}": made(f"slot.json. {about}", "A3", says, bundle(slot=change))
        for name, (about, says, change) in (anywhere | cases).items()
    }
    inner = ("evidence", "quality")
    by_hand: dict[str, tuple[str, str, Change]] = {
        "inner-critical": ("Deep inside, a field that no reader knows is critical.", critical, both(at(*inner, "comparison", "note", to=1), at(*inner, "comparison", "critical", to=["note"]))),
        "inner-critical-type": ("Deep inside, the type of a comparison is critical, which every reader knows.", "", at(*inner, "comparison", "critical", to=["type"])),
        "inner-unknown": ("Deep inside, a field that no reader knows: it has no effect.", "", at(*inner, "comparison", "note", to=1)),
        "inner-format": ("The number of a format below the top: no reader knows it there.", "", at("evidence", "format_version", to=2)),
        "class-critical": ("A class of the task is called critical.", "", at(*inner, "classes", to={"critical": {"found": 1, "missed": 0, "false": 0}})),
    }  # fmt: skip
    for kind, place, word, more in (
        (EVIDENCE, 0, "evidence", by_hand),
        (PROFILE, 2, "profile", {}),
    ):
        for name, (about, says, change) in (anywhere | more).items():
            said = list(TWO_SAID)
            said[place] = Said(kind=kind, hooks={"statement": change})
            text = f"The payload of a signed {word}. {about}"
            group[f"{word}-{name}"] = made(text, "A3", says, bundle((PLAIN, OTHER), said), "full")
    strict: dict[str, tuple[str, str, Change]] = {
        "format-1": ("Format 1, which a release leaves out.", "not what edgekit writes", at(form, to=1)),
        "format-2": ("Format 2.", newer, at(form, to=2)),
        "format-2-needs": ("Format 2, which edgekit 7.0.0 reads.", "edgekit 7.0.0 or later", both(at(form, to=2), later, at(*note, to=1))),
        "needs": ("The edgekit that it needs, in format 1.", "not what edgekit writes", later),
        "critical": ("critical, which a release does not have.", "not what edgekit writes", at("critical", to=["index"])),
    }  # fmt: skip
    for name, (about, says, change) in strict.items():
        group[f"release-{name}"] = made(f"The release payload. {about}", "A3", says, bundle(payload=change))  # fmt: skip
    return group


def evidences() -> Group:
    """What is attached to variants and to the release."""
    hangs, alone, says_more = "hangs on another", "without its variant", "a referrer says something"
    unreadable, referrer = "can't read it", "referrer"
    variants = (PLAIN, OTHER)

    def first(**hooks: Change) -> Files:
        return bundle(variants, (Said(hooks=hooks), *TWO_SAID[1:]))

    def said(*items: Said) -> Files:
        return bundle(variants, items)

    def doubled(place: int) -> Files:
        return bundle(
            variants,
            TWO_SAID,
            top=lambda value: value["manifests"].append(value["manifests"][place]),
        )

    nowhere = Said(hooks={referrer: at("subject", to={"mediaType": MANIFEST, "digest": digest(b"x"), "size": 1}),
        "statement": at("subject", to=digest(b"x"))})  # fmt: skip
    changes: dict[str, tuple[str, str, Change]] = {
        "subject-size": ("The subject's size is wrong.", alone, at("subject", "size", to=1)),
        "subject-type": ("The subject's mediaType is wrong.", alone, at("subject", "mediaType", to=EMPTY)),
        "subject-missing": ("There is no subject.", "one subject", less("subject")),
        "subject-note": ("An annotation on the subject.", says_more, at("subject", "annotations", to={"x": "y"})),
        "layers-two": ("Two envelopes.", "one layer", at("layers", to=lambda old: old * 2)),
        "layers-none": ("No envelope.", "one layer", at("layers", to=[])),
        "layer-type": ("The envelope's mediaType is another.", says_more, at("layers", 0, "mediaType", to=WEIGHT)),
        "layer-note": ("An annotation on the envelope.", says_more, at("layers", 0, "annotations", to={"x": "y"})),
        "layer-size": ("The envelope's size is wrong.", "not what its digest", at("layers", 0, "size", to=7)),
        "layer-elsewhere": ("The envelope is not there.", "missing", at("layers", 0, "digest", to=digest(b"x"))),
        "note": ("An annotation on the manifest.", says_more, at("annotations", to={"x": "y"})),
        "artifact": ("The manifest says another artifactType than index.json.", says_more, at("artifactType", to=RELEASE)),
        "config-other": ("A config that is not the empty one.", says_more, at("config", "size", to=3)),
        "schema-1": ("schemaVersion is 1.", "not what", at("schemaVersion", to=1)),
        "field": ("A field that the format does not have.", "not what", at("urls", to=[])),
    }  # fmt: skip
    group = {}
    for name, (about, text, change) in changes.items():
        group[f"evidence-{name}"] = made(
            f"Evidence. {about}", "A9", text, first(referrer=change), "full"
        )
        if name == "artifact":
            change = at("artifactType", to=EVIDENCE)  # noqa: PLW2901
        group[f"signature-{name}"] = made(
            f"The signature's manifest. {about}",
            "A9",
            "hangs on another" if text == alone else text,
            bundle(signature=change),
        )
    statements: dict[str, tuple[str, str, Change]] = {
        "about-elsewhere": ("Its payload is about a variant that is not there.", hangs, at("subject", to=digest(b"x"))),
        "subject-uppercase": ("Its payload names the variant in capitals.", unreadable, at("subject", to=lambda old: f"sha256:{old[7:].upper()}")),
        "no-statement": ("Its payload holds no evidence.", unreadable, less("evidence")),
        "estimated": ("It is estimated, not measured.", unreadable, at("evidence", "kind", to="estimated")),
        "more": ("Its payload has a field that no reader knows: it has no effect.", "", at("trust", to=True)),
        "metric-nan": ("The metric is NaN.", unreadable, raw('"metric_value":0.9', '"metric_value":NaN')),
        "metric-huge": ("The metric is 1e999.", unreadable, raw('"metric_value":0.9', '"metric_value":1e999')),
        "samples-string": ("The number of samples is a string.", unreadable, at("evidence", "quality", "comparison", "samples", to="9")),
        "comparison-unknown": ("A comparison of a kind that does not exist.", unreadable, at("evidence", "quality", "comparison", "type", to="guessed")),
    }  # fmt: skip
    for name, (about, text, change) in statements.items():
        group[f"evidence-{name}"] = made(
            f"Evidence, signed as it is. {about}", "A3", text, first(statement=change), "full"
        )
    wrong_type = envelope(PROFILE, b"{}", ("evidence",))
    group |= {
        "evidence-on-other": made("Evidence hangs on one variant and is about the other.", "A8", hangs, said(Said(1, 0), Said(0, 0, kind=PROFILE)), "full"),
        "evidence-swapped": made("The evidence of two variants, each on the other.", "A8", hangs, said(Said(1, 0), Said(0, 1)), "full"),
        "evidence-two": made("Two signed statements on one variant.", "A8", hangs, said(Said(0, 0), Said(0, 0, machine="other")), "full"),
        "evidence-nowhere": made("Evidence on, and about, a variant that is not there.", "A8", alone, said(nowhere), "full"),
        "profile-on-other": made("A profile hangs on one variant and is about the other.", "A8", hangs, said(Said(1, 0, kind=PROFILE)), "full"),
        "profile-about-other": made("A profile's own record names another variant than its payload.", "A8", "profile", said(
            Said(0, 0, kind=PROFILE, hooks={"statement": at("profile", "manifest", to=digest(b"x"))})), "full"),
        "profile-nowhere": made("A profile of a variant that is not there.", "A8", alone, said(Said(0, 0, kind=PROFILE, hooks=nowhere.hooks)), "full"),
        "evidence-listed-twice": made("index.json names the same evidence twice.", "A9", hangs, doubled(2), "full"),
        "profile-listed-twice": made("index.json names the same profile twice.", "A9", "index.json", doubled(4), "full"),
        "stranger-listed-twice": made("index.json names a stranger's evidence twice.", "A9", "index.json", bundle(variants, (Said(by="stranger"),),
            top=lambda value: value["manifests"].append(value["manifests"][2])), "full"),
        "evidence-type": made("The envelope of evidence holds a profile's payload type.", "A3", "signs something else", first(envelope=lambda _: wrong_type), "full"),
        "evidence-spoilt": made("The envelope of evidence is no JSON; it has no effect on the verdict only if it is one.", "A3", "not a signature envelope", first(envelope=lambda _: b"{"), "full"),
        "evidence-on-release": made("Evidence hangs on the release instead of a variant.", "A8", alone, first(referrer=at("subject", "digest", to=digest(b"release"))), "full"),
        "evidence-stranger": made("A stranger's evidence: it has no effect.", "A2", "", said(Said(by="stranger")), "full"),
        "evidence-no-signature": made("Evidence that nobody signed: it has no effect.", "A2", "", first(envelope=at("signatures", to=[])), "full"),
        "evidence-by-release": made("Evidence by the release key, which is trusted for it here.", "", "", said(Said(by="release")), "full",
            keys={"release": ["release"], "evidence": ["release"]}),
        "full": vector("Two variants with evidence and a profile.", "", "", "full"),
    }  # fmt: skip
    return group


def tops() -> Group:
    """index.json, which nobody signs: everybody can write it anew, and only one spelling counts."""
    more, wrong = "index.json says something", "index.json: not what"
    release, signature = ("manifests", 0), ("manifests", 1)
    cases: dict[str, tuple[str, str, str, Change]] = {
        "release-last": ("full", "The release stands last.", more, moved("manifests", 0, 4)),
        "signature-last": ("full", "The signature stands behind the evidence.", more, moved("manifests", 1, 3)),
        "profile-first": ("full", "The profile stands before the evidence.", more, moved("manifests", 4, 2)),
        "evidence-swapped": ("full", "The evidence stands in another order than the variants.", more, moved("manifests", 2, 3)),
        "ref-name-other": ("plain", "The release has another ref.name than was signed.", more, at(*release, "annotations", REF_NAME, to="2.0.0")),
        "ref-name-gone": ("plain", "The release has no ref.name.", more, less(*release, "annotations")),
        "release-note": ("plain", "The release has one annotation more.", more, at(*release, "annotations", "x", to="y")),
        "release-type": ("plain", "The release's mediaType is that of a manifest.", "hangs on another", at(*release, "mediaType", to=MANIFEST)),
        "release-artifact": ("plain", "The release has another artifactType.", more, at(*release, "artifactType", to=CONFIG)),
        "release-no-artifact": ("plain", "The release has no artifactType.", more, less(*release, "artifactType")),
        "release-platform": ("plain", "The release has a platform.", more, at(*release, "platform", to={"os": "linux", "architecture": "amd64"})),
        "release-twice": ("plain", "The release is named twice.", "something twice", lambda value: value["manifests"].insert(0, value["manifests"][0])),
        "release-gone": ("plain", "The release is not named.", "signed index is missing", less(*release)),
        "release-as-signature": ("plain", "The release has the signature's artifactType too.", "2 release signatures", at(*release, "artifactType", to=RELEASE)),
        "signature-note": ("plain", "The signature has an annotation.", more, at(*signature, "annotations", to={"x": "y"})),
        "signature-type": ("plain", "The signature's mediaType is that of an index.", more, at(*signature, "mediaType", to=INDEX)),
        "signature-no-artifact": ("plain", "The signature has no artifactType.", "0 release signatures", less(*signature, "artifactType")),
        "signature-as-evidence": ("plain", "The signature is called evidence.", "0 release signatures", at(*signature, "artifactType", to=EVIDENCE)),
        "signature-twice": ("plain", "The signature is named twice.", "2 release signatures", lambda value: value["manifests"].append(value["manifests"][1])),
        "evidence-as-signature": ("full", "Evidence is called a release signature.", "2 release signatures", at("manifests", 2, "artifactType", to=RELEASE)),
        "evidence-as-profile": ("full", "Evidence is called a profile.", "referrer says", at("manifests", 2, "artifactType", to=PROFILE)),
        "evidence-no-artifact": ("full", "Evidence has no artifactType.", more, less("manifests", 2, "artifactType")),
        "evidence-hidden": ("full", "Evidence is not named, and its blobs are still there.", "without its variant", both(less("manifests", 2))),
        "foreign-referrer": ("plain", "A manifest of a type that the format does not have.", "something twice", lambda value: value["manifests"].append(
            {"mediaType": MANIFEST, "digest": value["manifests"][1]["digest"], "size": value["manifests"][1]["size"], "artifactType": "application/vnd.dev.cosign.simplesigning.v1+json"})),
        "note": ("plain", "An annotation at the top.", more, at("annotations", to={"x": "y"})),
        "artifact": ("plain", "An artifactType at the top.", more, at("artifactType", to=MODEL)),
        "field": ("plain", "A field that the format does not have.", wrong, at("extra", to=1)),
        "schema-1": ("plain", "schemaVersion is 1.", wrong, at("schemaVersion", to=1)),
        "type": ("plain", "Its mediaType is that of a manifest.", wrong, at("mediaType", to=MANIFEST)),
        "empty": ("plain", "It names nothing.", "0 release signatures", at("manifests", to=[])),
    }  # fmt: skip
    says = dict.fromkeys(
        ("size-less", "size-more", "size-2-31", "size-wraps"), "not what its digest"
    )
    says |= {"digest-elsewhere": "missing"}
    group = {}
    for name, (base, about, said, change) in cases.items():
        files = (
            bundle((PLAIN, OTHER), TWO_SAID, top=change) if base == "full" else bundle(top=change)
        )
        group[name] = made(f"index.json. {about}", "A9", says.get(name, said), files, base)
    group["evidence-hidden"]["says"] = "is not signed"
    for name, (text, change) in sizes_and_digests("manifests", 1).items():
        about = f"index.json. The descriptor of the signature has {text}."
        group[f"signature-{name}"] = made(about, "A9", says.get(name, wrong), bundle(top=change))
    for name in ("size-more", "size-wraps", "digest-elsewhere"):
        text, change = sizes_and_digests("manifests", 0)[name]
        about, said = f"index.json. The descriptor of the release has {text}.", "hangs on another"
        group[f"release-{name}"] = made(about, "A9", "index is missing" if "digest" in name else said, bundle(top=change))  # fmt: skip
    return group


def mixes() -> Group:
    """Pieces of two releases, both by the trusted key."""
    old, new = bundle(), bundle((OTHER,), version="1.1.0", counter=1_001_000)
    tops_ = {
        name: json.loads(files["index.json"])["manifests"]
        for name, files in (("old", old), ("new", new))
    }

    def mixed(release: str, signature: str) -> Files:
        top = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [tops_[release][0], tops_[signature][1]],
        }
        return {**old, **new, "index.json": dump(top)}

    def relabelled() -> Files:
        top = json.loads(old["index.json"])
        top["manifests"][0]["annotations"][REF_NAME] = "1.1.0"
        return {**old, "index.json": dump(top)}

    weights = blob(digest(PLAIN["model.onnx"]))
    other = bundle((PLAIN,), (Said(),))
    evidence_of_other = bundle(
        (OTHER,), (Said(hooks={"statement": at("subject", to=described(other))}),)
    )
    cases = {
        "old-index-new-signature": ("The signature of 1.1.0 beside the index of 1.0.0.", "is missing", mixed("old", "new")),
        "new-index-old-signature": ("The signature of 1.0.0 beside the index of 1.1.0.", "is missing", mixed("new", "old")),
        "both-blobs": ("1.1.0, with the blobs of 1.0.0 left over.", "is not signed", {**old, **new}),
        "old-called-new": ("1.0.0, called 1.1.0 in index.json.", "index.json says something", relabelled()),
        "weights-of-other": ("The weights are those of another release.", "not the size that was signed", {**old, weights: OTHER["model.onnx"]}),
        "evidence-of-other-release": ("Evidence that was signed for the variant of another release.", "hangs on another", evidence_of_other),
    }  # fmt: skip
    group = {name: made(about, "A8", says, files) for name, (about, says, files) in cases.items()}
    two_signatures = bundle(top=lambda value: value["manifests"].append(tops_["new"][1]))
    extra = {name: data for name, data in new.items() if name.startswith("blobs/")}
    group["two-releases-signatures"] = made("Two release signatures, of two releases.", "A8", "2 release signatures", {**extra, **two_signatures})  # fmt: skip
    whole = bases()["full"]
    half = json.loads(whole[blob(json.loads(whole["index.json"])["manifests"][0]["digest"])])[
        "manifests"
    ][1]["digest"]
    group["variant-gone"] = vector(
        "One of two variants is gone.", "A8", "is missing", "full", [{"remove": blob(half)}]
    )
    two_signers = {**bundle(signers=("release2",)), **bundle()}
    descriptor = json.loads(bundle(signers=("release2",))["index.json"])["manifests"][1]
    two_signers["index.json"] = bundle(top=lambda value: value["manifests"].append(descriptor))[
        "index.json"
    ]
    group["two-signatures-one-release"] = made("Two release signatures of one release, by two trusted keys.", "A8", "2 release signatures",
        two_signers, keys={"release": ["release", "release2"]})  # fmt: skip
    return group


def described(files: Files) -> str:
    """The digest of the first variant of a bundle."""
    top = json.loads(files["index.json"])
    index = json.loads(files[blob(top["manifests"][0]["digest"])])
    return str(index["manifests"][0]["digest"])


def folders() -> Group:
    """Files that nobody signs, and blobs that are not what their names say."""
    files = bases()["plain"]
    top = json.loads(files["index.json"])["manifests"]
    index = json.loads(files[blob(top[0]["digest"])])
    manifest = json.loads(files[blob(index["manifests"][0]["digest"])])
    signature = json.loads(files[blob(top[1]["digest"])])
    blobs = {
        "release index": top[0], "signature's manifest": top[1], "envelope": signature["layers"][0],
        "empty config": signature["config"], "variant's manifest": index["manifests"][0], "model config": manifest["config"],
        "weights": manifest["layers"][0], "task.json": manifest["layers"][1], "slot.json": manifest["layers"][2],
    }  # fmt: skip
    weights, digest_says, size_says = (
        blob(manifest["layers"][0]["digest"]),
        "not what its digest",
        "not the size",
    )
    layout = files["oci-layout"]
    said = {"weights": size_says, "task.json": size_says}
    group = {}
    for what, item in blobs.items():
        name, short = blob(item["digest"]), what.replace(" ", "-").replace("'", "")
        empty_config = what == "empty config"
        group[f"gone-{short}"] = vector(
            f"The blob of the {what} is gone.", "A9", "missing", "plain", [{"remove": name}]
        )
        group[f"flip-{short}"] = vector(
            f"One bit of the {what} flipped.",
            "A1",
            digest_says,
            "plain",
            [{"flip": name, "bit": 8 * item["size"] - 7}],
        )
        group[f"longer-{short}"] = vector(
            f"One byte more in the {what}.",
            "A1",
            said.get(what, digest_says),
            "plain",
            [{"splice": name, "splices": [[item["size"], 0, "\n"]]}],
        )
        if not empty_config:
            group[f"cut-{short}"] = vector(
                f"The {what} cut short by a byte.",
                "A1",
                said.get(what, digest_says),
                "plain",
                [{"resize": name, "to": item["size"] - 1}],
            )
    unsigned, odd, not_ours = "is not signed", "neither a file nor a folder", "oci-layout is not"
    cases: dict[str, tuple[str, str, list[JSON]]] = {
        "weights-empty": ("The weights are a file of no bytes.", size_says, [{"resize": weights, "to": 0}]),
        "weights-zeros": ("The weights are zeros of the same size.", digest_says, [put(weights, bytes(manifest["layers"][0]["size"]))]),
        "weights-2-31": ("Behind the weights are zeros up to 2^31 bytes.", size_says, [{"resize": weights, "to": 2**31}]),
        "weights-2-32": ("Behind the weights are zeros: 2^32 bytes more.", size_says, [{"resize": weights, "to": 2**32 + manifest["layers"][0]["size"]}]),
        "weights-link": ("The weights are a symbolic link.", odd, [{"remove": weights}, {"link": weights, "to": "../../oci-layout"}]),
        "weights-fifo": ("The weights are a FIFO.", odd, [{"remove": weights}, {"fifo": weights}]),
        "weights-folder": ("The weights are a folder.", "does not write", [{"remove": weights}, {"folder": weights}]),
        "weights-capitals": ("The weights' file is named in capitals.", "", [{"remove": weights}, put(f"blobs/sha256/{weights[13:].upper()}", PLAIN["model.onnx"])]),
        "weights-twice": ("The weights lie under a second name too.", unsigned, [put("blobs/sha256/model.onnx", PLAIN["model.onnx"])]),
        "blob-extra": ("One blob more, under its right digest.", unsigned, [put(blob(digest(b"x")), b"x")]),
        "blob-extra-empty": ("An empty blob more.", unsigned, [put(blob(digest(b"")), b"")]),
        "blob-sha512": ("A blob in blobs/sha512.", "does not write", [put("blobs/sha512/" + "a" * 128, b"x")]),
        "file-extra": ("A file more at the top.", unsigned, [put("install.sh", b"#!/bin/sh\n")]),
        "file-hidden": ("A hidden file.", unsigned, [put(".DS_Store", b"x")]),
        "file-nested": ("A file in a folder that the format does not have.", "does not write", [put("a/b/c", b"x")]),
        "file-newline": ("A file with a line break in its name.", unsigned, [put("index.json\n", b"x")]),
        "file-twin": ("Index.json beside index.json.", unsigned, [put("Index.json", files["index.json"])]),
        "link-out": ("A symbolic link out of the folder.", odd, [{"link": "extra", "to": "/etc/passwd"}]),
        "link-loop": ("A symbolic link to itself.", odd, [{"link": "extra", "to": "extra"}]),
        "link-up": ("A symbolic link to the folder above.", odd, [{"link": "blobs/up", "to": ".."}]),
        "link-index": ("index.json is a symbolic link to a sound one.", odd, [{"remove": "index.json"}, put("real", files["index.json"]), {"link": "index.json", "to": "real"}]),
        "link-layout": ("oci-layout is a symbolic link to a sound one.", odd, [{"remove": "oci-layout"}, put("real", layout), {"link": "oci-layout", "to": "real"}]),
        "fifo": ("A FIFO, which would block whoever reads it.", odd, [{"fifo": "pipe"}]),
        "many": ("4,097 files more.", "more than 4096 files", [{"fill": "blobs/sha256/extra", "count": 4097}]),
        "layout-gone": ("There is no oci-layout: no bundle at all.", "not a bundle", [{"remove": "oci-layout"}]),
        "layout-empty": ("oci-layout is empty.", not_ours, [{"resize": "oci-layout", "to": 0}]),
        "layout-version": ("oci-layout is of another version.", not_ours, [put("oci-layout", layout.replace(b"1.0.0", b"1.1.0"))]),
        "layout-space": ("A space in oci-layout.", not_ours, [put("oci-layout", layout.replace(b":", b": "))]),
        "layout-newline": ("A line break behind oci-layout.", not_ours, [{"splice": "oci-layout", "splices": [[len(layout), 0, "\n"]]}]),
        "layout-field": ("A field more in oci-layout.", not_ours, [put("oci-layout", layout[:-1] + b',"x":1}')]),
        "layout-folder": ("oci-layout is a folder.", "not a bundle", [{"remove": "oci-layout"}, {"folder": "oci-layout"}]),
        "index-gone": ("There is no index.json.", "index.json is missing", [{"remove": "index.json"}]),
        "index-large": ("index.json is larger than 4 MiB.", "larger than", [{"resize": "index.json", "to": (4 << 20) + 1}]),
        "index-deep": ("index.json is 100,000 open brackets.", "not what edgekit writes", [put("index.json", b"[" * 100_000)]),
        "envelope-large": ("The envelope is larger than 4 MiB.", "larger than", [{"resize": blob(signature["layers"][0]["digest"]), "to": (4 << 20) + 1}]),
        "blobs-gone": ("There are no blobs.", "missing", [{"remove": name} for name in sorted(files) if name.startswith("blobs/")]),
        "folder-empty": ("A folder more, with nothing in it.", "does not write", [{"folder": "extra"}]),
    }  # fmt: skip
    for name, (about, text, edits) in cases.items():
        group[name] = vector(
            about,
            "B1" if "link" in name or "fifo" in name else "A9",
            text or "missing",
            "plain",
            edits,
        )
    group["weights-capitals"]["says"] = "is not signed"
    called = {path: f"@{name}" for name, path in labels("plain").items()}
    for edit in (edit for item in group.values() for edit in item.get("edits", [])):
        edit.update(
            {
                word: called.get(edit[word], edit[word])
                for word in ("remove", "flip", "resize", "splice")
                if word in edit
            }
        )
    return group


# --- tars ------------------------------------------------------------------------------------------------------------

BLOCK = 512
FIELDS = (
    ("name", 100), ("mode", 8), ("uid", 8), ("gid", 8), ("size", 12), ("mtime", 12), ("chksum", 8), ("type", 1), ("link", 100),
    ("magic", 8), ("uname", 32), ("gname", 32), ("major", 8), ("minor", 8), ("prefix", 155), ("rest", 12),
)  # fmt: skip
REGULAR = {
    "mode": b"0000644\0", "uid": b"0000000\0", "gid": b"0000000\0", "mtime": b"00000000000\0", "type": b"0", "magic": b"ustar  \0",
}  # fmt: skip


def header(name: str, size: int, fields: Mapping[str, bytes]) -> bytes:
    """One block; its checksum is right unless `fields` has one."""
    given = {
        "name": name.encode(),
        "size": b"%011o\0" % size,
        **REGULAR,
        "chksum": b" " * 8,
        **fields,
    }
    block = b"".join(given.get(field, b"").ljust(width, b"\0") for field, width in FIELDS)
    if "chksum" in fields:
        return block
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def entry(path: str, data: bytes, /, **fields: bytes) -> bytes:
    return header(path, len(data), fields) + padded(data)


def tar(files: Files, changed: str = "", **fields: bytes) -> bytes:
    """The one tar of these files; with other header fields of the entry `changed`."""
    entries = (
        entry(name, files[name], **(fields if name == changed else {})) for name in sorted(files)
    )
    return b"".join(entries) + bytes(2 * BLOCK)


def tar_splices(old: bytes, new: bytes) -> list[JSON]:
    """Return the splices that turn one tar into another; what stands in the old one is copied."""
    if len(old) == len(new):
        places = [place for place in range(len(old)) if old[place] != new[place]]
        runs = [
            [place for _, place in run]
            for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0])
        ]
        if len(runs) < 20:
            return [[run[0], len(run), *parts(new[run[0] : run[-1] + 1])] for run in runs]
    head = alike(old, new)
    tail = alike(old[head:][::-1], new[head:][::-1])
    into = new[head : len(new) - tail]
    place = old.find(into) if len(into) > BLOCK else -1
    pieces: list[JSON] = parts(into) if place < 0 else [{"copy": [place, place + len(into)]}]
    return [[head, len(old) - head - tail, *pieces]]


def base_256(value: int) -> bytes:
    """GNU's way to write a size that octal digits do not hold."""
    return (b"\x80" if value >= 0 else b"\xff") + (value % (1 << 88)).to_bytes(11, "big")


def containers() -> Group:
    """A tar that differs by anything from the one that its files have."""
    files = bases()["plain"]
    sound, first, last = tar(files), min(files), "oci-layout"
    bad, damaged, after, cut = (
        "not a canonical tar: entry",
        "damaged header",
        "something follows its end",
        "cut short",
    )
    octal = {
        name: f"{number:011o}".encode() + b"\0"
        for name, number in (("2-31", 2**31), ("2-32", 2**32), ("8-gib", 8**11 - 1))
    }
    size = len(files[last])
    fields: dict[str, tuple[str, str, dict[str, bytes]]] = {
        "checksum": ("A checksum that is one too high.", damaged, {"chksum": b"%06o\0 " % (sum(header(last, size, {})) + 1)}),
        "checksum-spaces": ("The right checksum, filled up with spaces.", damaged, {"chksum": b"%6o\0 " % sum(header(last, size, {}))}),
        "checksum-none": ("No checksum.", damaged, {"chksum": b""}),
        "mode": ("Mode 0755.", bad, {"mode": b"0000755\0"}),
        "setuid": ("Mode 4755: setuid.", bad, {"mode": b"0004755\0"}),
        "mode-short": ("Mode 644, written in other digits.", bad, {"mode": b"644\0"}),
        "uid": ("Owner 1.", bad, {"uid": b"0000001\0"}),
        "gid": ("Group 1000.", bad, {"gid": b"0001750\0"}),
        "uname": ("An owner's name.", bad, {"uname": b"root"}),
        "gname": ("A group's name.", bad, {"gname": b"root"}),
        "mtime": ("A time.", bad, {"mtime": b"00000000001\0"}),
        "mtime-2038": ("A time after 2038, in base 256.", bad, {"mtime": base_256(2**33 * 8)}),
        "device-numbers": ("Device numbers of zero, spelled out.", bad, {"major": b"0000000\0", "minor": b"0000000\0"}),
        "magic-posix": ("The magic of POSIX instead of GNU's.", bad, {"magic": b"ustar\x0000"}),
        "magic-v7": ("No magic, as in tars of 1979.", bad, {"magic": b""}),
        "magic-other": ("Another magic.", bad, {"magic": b"Ustar  \0"}),
        "type-nul": ("The old type of a regular file.", bad, {"type": b"\0"}),
        "type-hard-link": ("A hard link.", bad, {"type": b"1", "link": b"index.json"}),
        "type-symlink": ("A symbolic link.", bad, {"type": b"2", "link": b"/etc/passwd"}),
        "type-character": ("A character device.", bad, {"type": b"3"}),
        "type-block": ("A block device.", bad, {"type": b"4"}),
        "type-folder": ("A folder.", bad, {"type": b"5"}),
        "type-fifo": ("A FIFO.", bad, {"type": b"6"}),
        "type-contiguous": ("A contiguous file.", bad, {"type": b"7"}),
        "type-sparse": ("A sparse file of GNU's.", bad, {"type": b"S"}),
        "type-unknown": ("A type that does not exist.", bad, {"type": b"Z"}),
        "link-of-regular": ("A link's target in a regular file.", bad, {"link": b"/etc/passwd"}),
        "prefix": ("A prefix before the name.", bad, {"prefix": b".."}),
        "rest": ("Something behind the last field.", bad, {"rest": b"x"}),
        "name-rest": ("Something behind the name's zero byte.", bad, {"name": b"oci-layout\0x"}),
        "name-folder": ("A name in another folder.", "oci-layout is missing", {"name": b"p/oci-layout"}),
        "name-dot": ("A name with ./ before it.", bad, {"name": b"./oci-layout"}),
        "name-dotdot": ("A name that leads out.", bad, {"name": b"../oci-layout"}),
        "name-root": ("A name that starts at the root.", bad, {"name": b"/oci-layout"}),
        "name-slash": ("A name with a slash behind it: a folder, in old tars.", "oci-layout is missing", {"name": b"oci-layout/"}),
        "name-empty": ("No name.", bad, {"name": b""}),
        "name-latin-1": ("A name that is not ASCII.", damaged, {"name": b"oci-layout\xe9"}),
        "name-utf-8": ("A name in UTF-8.", damaged, {"name": "oci-layouté".encode()}),
        "name-newline": ("A line break in a name.", "oci-layout is missing", {"name": b"oci-layout\n"}),
        "name-full": ("A name of 100 characters, with no zero byte behind it.", "oci-layout is missing", {"name": b"p" * 100}),
        "size-less": ("A size that is one too small.", "padding", {"size": b"%011o\0" % (size - 1)}),
        "size-more": ("A size that is one too large.", "oci-layout is not", {"size": b"%011o\0" % (size + 1)}),
        "size-block": ("A size that takes the first end block along.", "something follows", {"size": b"%011o\0" % (size + BLOCK)}),
        "size-2-31": ("A size of 2^31.", cut, {"size": octal["2-31"]}),
        "size-2-32": ("A size of 2^32.", cut, {"size": octal["2-32"]}),
        "size-8-gib": ("The largest size in octal digits.", cut, {"size": octal["8-gib"]}),
        "size-wraps": ("A size that is 2^32 too large.", cut, {"size": b"%011o\0" % (size + 2**32)}),
        "size-8-gib-256": ("8 GiB, in base 256 as GNU writes it.", cut, {"size": base_256(8**11)}),
        "size-wraps-64": ("A size that is 2^64 too large, in base 256.", cut, {"size": base_256(size + 2**64)}),
        "size-2-87": ("A size of nearly 2^87, in base 256.", cut, {"size": base_256(2**87 - 1)}),
        "size-small-256": ("The right size, in base 256.", bad, {"size": base_256(size)}),
        "size-negative": ("A size of -1, in base 256.", "not a canonical tar", {"size": base_256(-1)}),
        "size-negative-far": ("A size of -2^40, in base 256: before the start of the file.", "not a canonical tar", {"size": base_256(-(2**40))}),
        "size-spaces": ("The right size, filled up with spaces.", bad, {"size": b"%11o\0" % size}),
        "size-text": ("A size that is no number.", damaged, {"size": b"large\0"}),
    }  # fmt: skip
    tars = {
        name: (about, says, tar(files, last, **more))
        for name, (about, says, more) in fields.items()
    }
    start = len(sound) - 2 * BLOCK
    end, oci = bytes(2 * BLOCK), entry(last, files[last])
    evil = entry(last, b"x" * size)
    entries = {name: entry(name, data) for name, data in files.items()}
    rest = b"".join(entries[name] for name in sorted(files) if name != first)
    link = entry("././@LongLink", b"oci-layout\0", type=b"L")
    pax = entry("x", b"20 path=../oci-layout\n"[:20], type=b"x")
    tars |= {
        "empty": ("No byte at all.", damaged, b""),
        "only-end": ("Two zero blocks.", "oci-layout is missing", end),
        "text": ("No tar.", damaged, b"a bundle\n" * 100),
        "garbage-before": ("A zero block before the first entry.", after, bytes(BLOCK) + sound),
        "zero-block-between": ("A zero block between two entries.", after, sound[: start - len(oci)] + bytes(BLOCK) + oci + end),
        "end-missing": ("No end blocks.", damaged, sound[:start]),
        "end-half": ("One end block.", after, sound[: start + BLOCK]),
        "end-short": ("The last byte is gone.", after, sound[:-1]),
        "end-third": ("Three end blocks.", after, sound + bytes(BLOCK)),
        "end-record": ("Filled up with zeros to 10,240 bytes, as tar does.", after, sound + bytes(-len(sound) % 10240)),
        "end-not-zero": ("A bit in the last block.", after, sound[:-1] + b"\1"),
        "end-one-more": ("One byte behind the end.", after, sound + b"\0"),
        "trailing-entry": ("An entry behind the end.", after, sound + entry("p", b"x") + end),
        "trailing-tar": ("The same tar once more behind the end.", after, sound + sound),
        "cut-header": ("Cut in a header.", damaged, sound[:100]),
        "cut-content": ("Cut in the last file.", cut, sound[: start - BLOCK + size - 3]),
        "cut-padding": ("Cut in the padding of the last file.", cut, sound[: start - 1]),
        "cut-after-header": ("Cut behind the last header.", cut, sound[: start - BLOCK]),
        "cut-between": ("Cut between two entries.", damaged, sound[: start - len(oci)]),
        "padding": ("A byte in a file's padding.", "padding", sound[: start - 1] + b"x" + sound[start:]),
        "unsorted": ("The first entry comes last.", bad, rest + entries[first] + end),
        "twice": ("The last entry twice.", bad, sound[:start] + oci + end),
        "twice-other-after": ("An entry twice, the second one of other bytes.", bad, sound[:start] + evil + end),
        "twice-other-before": ("An entry twice, the first one of other bytes.", bad, sound[: start - len(oci)] + evil + oci + end),
        "extra": ("One entry more, in its place.", "is not signed", sound[:start] + entry("p", b"x") + end),
        "extra-folder": ("Entries for folders, as tar writes them.", bad, entry("blobs/", b"", type=b"5", mode=b"0000755\0") + sound),
        "missing-entry": ("The first entry is gone.", "is missing", rest + end),
        "long-name": ("A name in GNU's way for long names.", bad, sound[: start - len(oci)] + link + oci + end),
        "long-link": ("A link's target in GNU's way for long ones.", bad, sound[: start - len(oci)] + entry("././@LongLink", b"x\0", type=b"K") + oci + end),
        "pax": ("A pax header that renames the next file.", bad, sound[: start - len(oci)] + pax + oci + end),
        "pax-global": ("A global pax header.", bad, entry("pax_global_header", b"16 comment=hello", type=b"g") + sound),
        "pax-size": ("A pax header with another size for the next file.", bad, sound[: start - len(oci)] + entry("x", b"9 size=1\n", type=b"x") + oci + end),
        "volume": ("A volume label.", bad, entry("bundle", b"", type=b"V") + sound),
        "content": ("A bit in the last file.", "oci-layout is not", sound[: start - BLOCK] + b"[" + sound[start - BLOCK + 1 :]),
        "name-101": ("A name of 101 characters, in GNU's way.", bad, sound[:start] + entry("././@LongLink", b"p" * 101 + b"\0", type=b"L") + entry("p" * 100, b"x") + end),
    }  # fmt: skip
    group = {
        name: vector(f"Tar. {about}", "A10" if "size-" in name else "B1", says, "plain", form="tar", splices=tar_splices(sound, data))
        for name, (about, says, data) in tars.items()
    }  # fmt: skip
    group["gzip"] = vector("Tar. The tar, packed with gzip.", "B1", damaged, "plain", form="tar",
        splices=[[0, len(sound), *parts(GZIPPED)]])  # fmt: skip
    group["zip"] = vector("Tar. A zip file.", "B1", damaged, "plain", form="tar", splices=[[0, len(sound), *parts(b"PK\5\6" + bytes(18))]])  # fmt: skip
    group["sound"] = vector("Tar. As it is.", "", "", "plain", form="tar")
    group["sound-full"] = vector("Tar. With evidence and a profile.", "", "", "full", form="tar")
    return group


GZIPPED = base64.b64decode("H4sIAAAAAAAC/wMAAAAAAAAAAAA=")  # an empty stream


def counters() -> Group:
    """Make the vectors of older releases.

    seen: by key, the highest counter that was activated of the model.
    """
    old = "was deployed here"
    cases = {
        "one-lower": ("The counter is one lower than one that was seen.", old, {"release": 1_000_001}),
        "much-lower": ("The counter is far lower.", old, {"release": 2**62 - 1}),
        "of-other-key": ("Another key that is still trusted signed a higher one.", old, {"release2": 1_000_001}),
        "equal": ("The same counter again.", "", {"release": 1_000_000}),
        "higher": ("A higher counter.", "", {"release": 999_999}),
        "revoked": ("A key that is no longer trusted signed a higher one: its counters went with it.", "", {"stranger": 2**62 - 1}),
    }  # fmt: skip
    keys = {"release": ["release", "release2"]}
    group = {name: vector(about, "A5" if name == "revoked" else "A4", says, "plain", seen=seen, keys=keys) for name, (about, says, seen) in cases.items()}  # fmt: skip
    zero = bundle(counter=0)
    group["zero"] = made("The counter is 0, and 1 was seen.", "A4", old, zero, seen={"release": 1})
    group["zero-first"] = made("The counter is 0, and nothing was seen.", "", "", zero)
    group["largest"] = made("The largest counter.", "", "", bundle(counter=2**62 - 1))
    return group


# --- trust files -----------------------------------------------------------------------------------------------------


class Rooted(NamedTuple):
    """A root: the numbers of its keys, how many must sign, the numbers of those that did.

    signed: changes it first.
    """

    keys: str
    threshold: int
    by: str
    signed: Change | None = None


def sealed(record: JSON, signers: Sequence[str], change: Change | None = None) -> JSON:
    """Write and sign TUF metadata."""
    if change:
        change(record)
    data = dump(record)
    return {
        "signatures": [
            {"keyid": key_id(name), "sig": private(name).sign(data).hex()} for name in signers
        ],
        "signed": record,
    }


def root_names(numbers: str) -> list[str]:
    return [f"root{number}" for number in numbers]


def trust(
    roots: Sequence[Rooted],
    *,
    by: str = "12",
    version: int = 1,
    release: Sequence[str] = ("release",),
    threshold: int = 1,
    signed: Change | None = None,
    file: Change | None = None,
) -> JSON:
    """Make a trust file.

    signed: changes the targets record before it is signed.
    file: changes the whole, afterwards.
    """
    made_roots = [
        sealed(root_record(number + 1, item), root_names(item.by), item.signed)
        for number, item in enumerate(roots)
    ]
    targets = sealed(targets_record(version, release, threshold), root_names(by), signed)
    whole = {"roots": made_roots, "targets": targets}
    if file:
        file(whole)
    return whole


COMMON = {"expires": "9999-12-31T00:00:00Z", "spec_version": "1.0.31"}


def root_record(version: int, item: Rooted) -> JSON:
    ids = [key_id(name) for name in root_names(item.keys)]
    role = {"keyids": ids, "threshold": item.threshold}
    empty = {"keyids": [], "threshold": 1}
    return {
        **COMMON, "_type": "root", "version": version, "consistent_snapshot": True,
        "keys": {key_id(name): key_record(name) for name in root_names(item.keys)},
        "roles": {"root": role, "targets": {**role, "keyids": list(ids)}, "snapshot": empty, "timestamp": dict(empty)},
    }  # fmt: skip


def targets_record(version: int, release: Sequence[str], threshold: int) -> JSON:
    roles = [
        {"name": name, "keyids": [key_id(key) for key in keys], "threshold": count, "terminating": True, "paths": [f"{name}/*"]}
        for name, keys, count in (("release", release, threshold), ("evidence", ["evidence"], 1))
    ]  # fmt: skip
    keys = {key_id(name): key_record(name) for name in (*release, "evidence")}
    return {
        **COMMON, "_type": "targets", "version": version, "targets": {}, "delegations": {"keys": keys, "roles": roles},
    }  # fmt: skip


FIRST = Rooted("123", 2, "12")
SECOND = Rooted("234", 2, "123")  # root key 1 gave way to 4


@cache
def trusts() -> dict[str, JSON]:
    """Sound trust files."""
    return {
        "first": trust([FIRST]),
        "later": trust([FIRST], version=3),
        "rotated": trust([FIRST, SECOND], by="23", version=2),
        "all-rotated": trust([FIRST, Rooted("456", 2, "1245")], by="45", version=2),
        "two-must-sign": trust([FIRST], release=("release", "release2"), threshold=2),
    }


def tree_edits(old: JSON, new: JSON, path: tuple[str | int, ...] = ()) -> Iterator[JSON]:
    """What leads from one JSON value to the other."""
    if type(old) is type(new) and isinstance(old, dict):
        for key in sorted(old.keys() - new.keys()):
            yield {"cut": [*path, key]}
        for key in sorted(new):
            if key in old:
                yield from tree_edits(old[key], new[key], (*path, key))
            else:
                yield {"set": [*path, key], "to": new[key]}
    elif type(old) is type(new) and isinstance(old, list):
        for place in reversed(range(len(new), len(old))):
            yield {"cut": [*path, place]}
        for place, pair in enumerate(zip(old, new, strict=False)):
            yield from tree_edits(*pair, (*path, place))
        for place in range(len(old), len(new)):
            yield {"set": [*path, place], "to": new[place]}
    elif type(old) is not type(new) or old != new:
        yield {"set": list(path), "to": new}


def offered(about: str, threat: str, says: str, file: JSON, **more: JSON) -> Vector:
    """A trust file, written down as what differs from the base that is nearest; with `bundle` in more, that is judged by it."""
    found = {base: list(tree_edits(sound, file)) for base, sound in trusts().items()}
    base = min(found, key=lambda name: len(json.dumps(found[name])))
    return vector(
        about,
        threat,
        says,
        more.pop("bundle", None),
        trust={"base": base, "edits": found[base]},
        **more,
    )


def alias(*path: str, spelling: Callable[[str], str], to: str = "f" * 64) -> Change:
    """The first key of a table stands there twice: under a second id, in another spelling."""

    def change(record: JSON) -> None:
        table = record
        for step in path:
            table = table[step]
        one = next(iter(table))
        key = table[one]
        table[to] = {**key, "keyval": {"public": spelling(key["keyval"]["public"])}}

    return change


def counted_twice(spelling: Callable[[str], str]) -> JSON:
    """A root of two keys that are one, signed by it twice."""
    other = "f" * 64

    def change(record: JSON) -> None:
        alias("keys", spelling=spelling)(record)
        for role in ("root", "targets"):
            record["roles"][role] = {"keyids": [key_id("root1"), other], "threshold": 2}

    def twice(whole: JSON) -> None:
        for record in (whole["roots"][0], whole["targets"]):
            record["signatures"].append({**record["signatures"][0], "keyid": other})

    return trust([Rooted("1", 1, "1", change)], by="1", file=twice)


def release_twice(spelling: Callable[[str], str]) -> JSON:
    """Two signatures are demanded of a release role whose two keys are one."""

    def change(record: JSON) -> None:
        record["delegations"]["keys"].pop(key_id("evidence"))
        alias("delegations", "keys", spelling=spelling)(record)
        record["delegations"]["keys"][key_id("evidence")] = key_record("evidence")
        record["delegations"]["roles"][0].update(keyids=[key_id("release"), "f" * 64], threshold=2)

    return trust([FIRST], signed=change)


def keys_of_trust() -> Group:
    """TUF's tests of keys and thresholds: who is counted, and how often."""
    lacks, broken = "signed by", "not TUF metadata"
    root_role, root = ("roots", 0, "signed", "roles", "root"), ("roots", 0)
    one = key_id("root1")

    def resigned(change: Change, **more: JSON) -> JSON:
        return trust([Rooted("123", 2, "12", change)], **more)

    def thresholds(value: JSON) -> Change:
        return both(*(at("roles", role, "threshold", to=value) for role in ("root", "targets")))

    files: dict[str, tuple[str, str, JSON]] = {
        "root-unsigned": ("The root has no signature.", lacks, trust([FIRST], file=at(*root, "signatures", to=[]))),
        "root-below-threshold": ("One of two signed the root.", lacks, trust([Rooted("123", 2, "1")])),
        "root-by-strangers": ("Two signed the root that it does not name.", lacks, trust([Rooted("123", 2, "56")])),
        "root-one-and-stranger": ("One of two signed the root, and a stranger.", lacks, trust([Rooted("123", 2, "15")])),
        "root-signature-twice": ("One of two signed the root, and stands there twice.", broken, trust([Rooted("123", 2, "1")], file=at(*root, "signatures", to=lambda old: old * 2))),
        "root-signature-relabelled": ("One of two signed the root, once under the other's id.", lacks, trust([Rooted("123", 2, "1")], file=lambda value: value["roots"][0]["signatures"].append(
            {**value["roots"][0]["signatures"][0], "keyid": key_id("root2")}))),
        "root-signature-empty": ("An empty signature.", lacks, trust([FIRST], file=at(*root, "signatures", 0, "sig", to=""))),
        "root-signature-not-hex": ("A signature that is not hexadecimal.", lacks, trust([FIRST], file=at(*root, "signatures", 0, "sig", to="zz"))),
        "root-signature-null": ("A signature that is null.", lacks, trust([FIRST], file=at(*root, "signatures", 0, "sig", to=None))),
        "root-threshold-lowered": ("The threshold was lowered after signing.", lacks, trust([Rooted("123", 2, "1")], file=at(*root_role, "threshold", to=1))),
        "root-key-swapped": ("A key was replaced after signing, under its old id.", "is not the id of", trust([FIRST], file=at(*root, "signed", "keys", one, to=key_record("stranger")))),
        "root-key-added": ("A key was added after signing.", lacks, trust([FIRST], file=at(*root, "signed", "keys", key_id("stranger"), to=key_record("stranger")))),
        "one-key-two-ids": ("One key under two ids, and both signed.", "is not the id of", counted_twice(str)),
        "one-key-two-spellings": ("One key under two ids, once in capitals, and both signed.", "is not the id of", counted_twice(str.upper)),
        "one-key-spaced": ("One key under two ids, once with spaces, and both signed.", "is not the id of", counted_twice(lambda text: f"{text[:2]} {text[2:]}")),
        "release-key-two-ids": ("One release key under two ids.", "is not the id of", release_twice(str)),
        "release-key-two-spellings": ("One release key under two ids, once in capitals.", "is not the id of", release_twice(str.upper)),
        "key-under-other-id": ("A key under an id that is not its own.", "id", trust([Rooted("123", 2, "12", alias("keys", spelling=lambda _: public("stranger")))])),
        "keyid-twice-in-role": ("A role names a key twice.", broken, resigned(at("roles", "root", "keyids", to=lambda old: [old[0], old[0]]))),
        "keyid-unknown": ("A role names two keys that are not there.", lacks, resigned(at("roles", "root", "keyids", to=["0" * 64, "1" * 64]))),
        "timestamp-key": ("The timestamp role has a key.", "trust.json", resigned(at("roles", "timestamp", "keyids", to=[one]))),
        "role-without-keys": ("The root's role has no keys.", lacks, resigned(at("roles", "root", "keyids", to=[]))),
        "threshold-0": ("A threshold of 0.", broken, resigned(thresholds(0))),
        "threshold-negative": ("A threshold of -1.", "out of range", resigned(thresholds(-1))),
        "threshold-float": ("A threshold of 1.0.", "trust.json", resigned(thresholds(1.0))),
        "threshold-true": ("A threshold of true.", "trust.json", resigned(thresholds(True))),
        "threshold-string": ("A threshold in quotes.", broken, resigned(thresholds("2"))),
        "threshold-above-keys": ("A threshold above the number of keys.", lacks, resigned(thresholds(4))),
        "release-threshold-0": ("A release needs no signature.", broken, trust([FIRST], signed=at("delegations", "roles", 0, "threshold", to=0))),
        "key-type-unknown": ("A key of a type that does not exist.", broken, resigned(at("keys", one, "keytype", to="rot13"))),
        "key-scheme-other": ("An Ed25519 key with the scheme of RSA.", broken, resigned(at("keys", one, "scheme", to="rsassa-pss-sha256"))),
        "key-no-scheme": ("A key without a scheme.", broken, resigned(less("keys", one, "scheme"))),
        "key-no-value": ("A key without its value.", broken, resigned(less("keys", one, "keyval"))),
        "key-not-hex": ("A key that is not hexadecimal.", "is not the id of", resigned(at("keys", one, "keyval", "public", to="zz"))),
        "key-short": ("A key of 31 bytes.", "is not the id of", resigned(at("keys", one, "keyval", "public", to=lambda old: old[2:]))),
        "key-ecdsa": ("An Ed25519 key that is called ECDSA.", "is not the id of", resigned(both(at("keys", one, "keytype", to="ecdsa"), at("keys", one, "scheme", to="ecdsa-sha2-nistp256")))),
        "key-pgp": ("A PGP key.", "trust.json", trust([FIRST], signed=lambda record: record["delegations"]["keys"].update(
            {"0" * 40: {"type": "rsa", "keytype": "rsa", "method": "pgp+rsa-pkcsv1.5", "scheme": "pgp+rsa-pkcsv1.5", "hashes": ["pgp+SHA2"], "keyval": {"private": "", "public": {"n": "00", "e": "3"}}}}))),
        "targets-unsigned": ("The targets record has no signature.", lacks, trust([FIRST], file=at("targets", "signatures", to=[]))),
        "targets-below-threshold": ("One of two signed targets.", lacks, trust([FIRST], by="1")),
        "targets-by-strangers": ("Strangers signed targets.", lacks, trust([FIRST], by="56")),
        "targets-signature-twice": ("One of two signed targets, and stands there twice.", broken, trust([FIRST], by="1", file=at("targets", "signatures", to=lambda old: old * 2))),
        "targets-by-release": ("The release key signed targets.", lacks, {**trust([FIRST]), "targets": sealed(targets_record(1, ("release",), 1), ("release",))}),
        "targets-key-added": ("A release key was added after signing.", lacks, trust([FIRST], file=at("targets", "signed", "delegations", "keys", key_id("stranger"), to=key_record("stranger")))),
        "targets-role-key-added": ("The release role got a stranger's key after signing.", lacks, trust([FIRST], file=both(
            at("targets", "signed", "delegations", "keys", key_id("stranger"), to=key_record("stranger")),
            at("targets", "signed", "delegations", "roles", 0, "keyids", to=[key_id("stranger")])))),
        "targets-version-raised": ("The version of targets was raised after signing.", lacks, trust([FIRST], file=at("targets", "signed", "version", to=9))),
    }  # fmt: skip
    return {name: offered(about, "A2", says, file) for name, (about, says, file) in files.items()}


def rotations() -> Group:
    """Roots that follow one another: each is signed by its own keys and by those before it."""
    lacks, sequence, kind, order = (
        "signed by",
        "are not 1, 2",
        "another kind",
        "by the keys before it",
    )
    everyone = Rooted("456", 2, "1245")

    def of(*roots: Rooted, by: str = "23", **more: JSON) -> JSON:
        return trust([FIRST, *roots], by=by, **{"version": 2, **more})

    files: dict[str, tuple[str, str, JSON]] = {
        "not-by-old": ("The new keys signed, and one of the old.", order, of(Rooted("234", 2, "34"))),
        "not-by-new": ("The old keys signed, and one of the new.", "root 2: signed by 1 of 2", of(Rooted("345", 2, "123"), by="34")),
        "not-by-old-at-all": ("A thief's root, signed by the thief's keys.", order, of(Rooted("456", 2, "456"), by="45")),
        "not-by-new-at-all": ("The old keys alone signed a root of new ones.", "root 2: signed by 0 of 2", of(Rooted("456", 2, "12"), by="45")),
        "unsigned": ("Nobody signed the second root.", "root 2: signed by 0", of(Rooted("234", 2, ""))),
        "threshold-raised-not-met": ("The new root demands three, and two signed.", "root 2: signed by 2 of 3", of(Rooted("123", 3, "12"), by="123")),
        "threshold-lowered-by-one": ("The new root demands one, and one signed: the old demands two.", order, of(Rooted("123", 1, "1"), by="1")),
        "old-signature-relabelled": ("An old key's signature, once under another old key's id.", order, of(Rooted("245", 2, "245"), by="24", file=lambda value: value["roots"][1]["signatures"].append(
            {**value["roots"][1]["signatures"][0], "keyid": key_id("root1")}))),
        "middle-unsigned": ("The second of three roots is unsigned.", "root 2: signed by 0", of(Rooted("234", 2, ""), Rooted("345", 2, "2345"), by="34")),
        "skips-a-signer": ("The third root is signed by the keys of the first, not of the second.", "root 3, by the keys before it", of(everyone, Rooted("123", 2, "123"), by="12")),
        "version-skipped": ("Version 3 follows version 1.", sequence, of(SECOND._replace(signed=at("version", to=3)))),
        "version-repeated": ("Version 1 follows version 1.", sequence, of(SECOND._replace(signed=at("version", to=1)))),
        "version-starts-at-2": ("The first root is of version 2.", sequence, trust([FIRST._replace(signed=at("version", to=2))])),
        "version-float": ("The version of a root is 2.0.", "trust.json", of(SECOND._replace(signed=at("version", to=2.0)))),
        "version-string": ("The version of a root is in quotes.", "not TUF", of(SECOND._replace(signed=at("version", to="2")))),
        "version-0": ("The version of a root is 0.", "not TUF", of(SECOND._replace(signed=at("version", to=0)))),
        "version-true": ("The version of the first root is true.", "trust.json", trust([FIRST._replace(signed=at("version", to=True))])),
        "reversed": ("The second root stands first.", sequence, of(SECOND, file=moved("roots", 1, 0))),
        "first-gone": ("The first root is gone.", sequence, of(SECOND, file=less("roots", 0))),
        "first-twice": ("The first root stands there twice.", sequence, trust([FIRST], file=at("roots", to=lambda old: old * 2))),
        "none": ("No root.", "has 0 roots", trust([FIRST], file=at("roots", to=[]))),
        "targets-by-old": ("Targets signed by a key that the new root has no more.", lacks, of(SECOND, by="12")),
        "targets-by-old-at-all": ("Targets signed by the old root's keys alone.", "targets 2: signed by 0", of(everyone, by="12")),
        "targets-below-new-threshold": ("Targets signed by two, and the new root demands three.", "targets 2: signed by 2 of 3", of(Rooted("123", 3, "123"), by="12")),
        "targets-in-place-of-root": ("A targets record in the place of a root.", kind, trust([FIRST], file=at("roots", 0, "signed", to=targets_record(1, ("release",), 1)))),
        "root-in-place-of-targets": ("A root in the place of targets.", kind, trust([FIRST], file=at("targets", "signed", to=root_record(1, FIRST)))),
        "root-role-gone": ("The new root has no root role.", "not TUF", of(SECOND._replace(signed=less("roles", "root")))),
        "root-role-new": ("The new root has a role that TUF does not know.", "not TUF", of(SECOND._replace(signed=at("roles", "admin", to={"keyids": [], "threshold": 1})))),
    }  # fmt: skip
    group = {name: offered(about, "A13", says, file) for name, (about, says, file) in files.items()}  # fmt: skip
    good: dict[str, tuple[str, JSON]] = {
        "rotated": ("One of three keys was replaced.", of(SECOND)),
        "all-rotated": ("All keys were replaced at once, the old ones signing.", of(everyone, by="45")),
        "all-rotated-stepwise": ("All keys were replaced in two steps.", of(SECOND, Rooted("456", 2, "2345"), by="45")),
        "threshold-raised": ("The threshold was raised, and is met.", of(Rooted("123", 3, "123"), by="123")),
        "threshold-lowered": ("The threshold was lowered, by as many as the old one demands.", of(Rooted("123", 1, "12"), by="1")),
        "extra-signature": ("A stranger's signature beside enough good ones: it has no effect.", of(Rooted("234", 2, "1235"))),
        "expired": ("A root that expired in 1970: no clock is asked.", trust([FIRST._replace(signed=at("expires", to="1970-01-01T00:00:00Z"))])),
    }  # fmt: skip
    return group | {name: offered(about, "", "", file) for name, (about, file) in good.items()}  # fmt: skip


def installs() -> Group:
    """A trust file offered to a device that has one, and bundles judged by trust files."""
    older, other, goes_on, none = (
        "older than what",
        "another targets record",
        "does not go on",
        "not signed by",
    )
    thief = trust([Rooted("456", 2, "45")], by="45")
    fork = trust([FIRST, Rooted("125", 2, "125")], by="12", version=9)
    same_version = trust([FIRST], release=("release2",))
    newer = trust([FIRST], version=4, release=("release2",))
    cases: dict[str, Vector] = {
        "targets-older": offered("Targets of version 1, where 3 is installed.", "A14", older, trusts()["first"], installed="later"),
        "targets-same-version": offered("Other targets under the version that is installed.", "A14", other, same_version, installed="first"),
        "root-older": offered("A chain without the second root, which is installed.", "A14", goes_on, trusts()["later"], installed="rotated"),
        "root-of-others": offered("Another root altogether.", "A13", goes_on, thief, installed="first"),
        "root-forked": offered("Another second root than the one installed, and the first keys signed it.", "A13", goes_on, fork, installed="rotated"),
        "root-rewritten": offered("The first root, with the same keys, in other words.", "A13", goes_on, trust([FIRST._replace(signed=at("consistent_snapshot", to=False))], version=9), installed="first"),
        "targets-newer": offered("Newer targets than what is installed.", "", "", newer, installed="later"),
        "again": offered("What is installed, once more.", "", "", trusts()["rotated"], installed="rotated"),
        "root-newer": offered("One root more than what is installed.", "", "", trusts()["rotated"], installed="first"),
        "release-trusted": offered("A bundle, signed by the release role.", "", "", trusts()["first"], bundle="full"),
        "release-two-one": offered("Two must sign a release, and one did.", "A2", none, trusts()["two-must-sign"], bundle="plain"),
        "release-two-two": offered("Two must sign a release, and two did.", "", "", trusts()["two-must-sign"], bundle="twice"),
        "release-revoked": offered("The key that signed the release was revoked.", "A14", none, newer, bundle="plain"),
        "release-threshold-above-keys": offered("Two must sign a release, and the role has one key.", "A2", none, trust([FIRST], threshold=2), bundle="plain"),
        "release-key-not-there": offered("The release role names a key that is not there.", "A2", "no key is trusted", trust([FIRST], signed=less("delegations", "keys", key_id("release"))), bundle="plain"),
        "release-by-evidence-role": offered("The release role has another key, the evidence role the signer's.", "A2", none, trust([FIRST], release=("release2",), signed=both(at("delegations", "keys", key_id("release"), to=key_record("release")),
            at("delegations", "roles", 1, "keyids", to=[key_id("release")]))), bundle="plain"),
    }  # fmt: skip
    return cases


def shapes() -> Group:
    """Trust files that are none."""
    broken, wrong, delegate = "not TUF metadata", "not what edgekit trust writes", "must delegate"

    def of(change: Change) -> JSON:
        return trust([FIRST], signed=change)

    roles = ("delegations", "roles")
    files: dict[str, tuple[str, str, JSON]] = {
        "no-delegations": ("Targets delegate to nobody.", delegate, of(less("delegations"))),
        "role-gone": ("There is no evidence role.", delegate, of(less(*roles, 1))),
        "role-more": ("A third role.", delegate, of(lambda value: value["delegations"]["roles"].append({**value["delegations"]["roles"][0], "name": "admin"}))),
        "role-renamed": ("The release role has another name.", delegate, of(at(*roles, 0, "name", to="releases"))),
        "role-capital": ("The release role is called Release.", delegate, of(at(*roles, 0, "name", to="Release"))),
        "role-root": ("A delegated role is called root.", broken, of(at(*roles, 0, "name", to="root"))),
        "role-twice": ("Two release roles.", broken, of(at(*roles, to=lambda old: [old[0], old[0], old[1]]))),
        "role-no-paths": ("A role for no paths.", broken, of(less(*roles, 0, "paths"))),
        "roles-succinct": ("Roles by the prefix of a hash instead of by name.", delegate, of(at("delegations", to=lambda old: {"keys": old["keys"], "succinct_roles": {
            "keyids": [key_id("release")], "threshold": 1, "bit_length": 1, "name_prefix": "release"}}))),
        "type-timestamp": ("The targets record calls itself timestamp.", broken, of(at("_type", to="timestamp"))),
        "type-unknown": ("A record of a type that does not exist.", broken, of(at("_type", to="mirrors"))),
        "type-missing": ("A record without a type.", broken, of(less("_type"))),
        "spec-2": ("TUF's specification in version 2.", broken, of(at("spec_version", to="2.0.0"))),
        "spec-text": ("A version of the specification that is none.", broken, of(at("spec_version", to="latest"))),
        "expires-text": ("A date that is none.", broken, of(at("expires", to="soon"))),
        "expires-number": ("A date that is a number.", broken, of(at("expires", to=1))),
        "float-in-record": ("A fraction in a signed record: TUF's canonical JSON has none.", "not a whole number", of(at("note", to=1.5))),
        "version-huge": ("A version of targets of 2^63.", "trust.json", of(at("version", to=2**63))),
        "targets-listed": ("Targets list a file.", "trust.json", of(at("targets", to={"model.onnx": {"length": 1, "hashes": {"sha256": "0" * 64}}}))),
        "signatures-missing": ("No list of signatures.", broken, trust([FIRST], file=less("targets", "signatures"))),
        "signatures-object": ("Signatures by id, as TUF has them nowhere.", "signed by 0", trust([FIRST], file=at("targets", "signatures", to={}))),
        "roots-object": ("Roots by version instead of in a list.", wrong, trust([FIRST], file=at("roots", to={}))),
        "root-string": ("A string in the place of a root.", wrong, trust([FIRST], file=at("roots", 0, to="x"))),
        "targets-missing": ("No targets.", wrong, trust([FIRST], file=less("targets"))),
        "field": ("A field that the file does not have.", wrong, trust([FIRST], file=at("snapshot", to={}))),
    }  # fmt: skip
    group = {name: offered(about, "A2", says, file) for name, (about, says, file) in files.items()}
    many = {"base": "first", "edits": [{"repeat": ["roots"], "times": 257}]}
    group["many-roots"] = vector("257 roots.", "A13", "has 257 roots", None, trust=many)
    sound, thief = dump(trusts()["first"]), trust([Rooted("456", 2, "45")], by="45")["targets"]
    texts = {
        "cut": ("Cut short.", wrong, sound[:-1]),
        "garbage-after": ("A second value behind it.", wrong, sound + b"{}"),
        "deep": ("100,000 open brackets.", wrong, b"[" * 100_000),
        "empty-object": ("An object with nothing in it.", wrong, b"{}"),
        "bom": ("A byte order mark before it.", wrong, b"\xef\xbb\xbf" + sound),
        "nan": ("NaN as a version.", wrong, sound.replace(b'"version":1', b'"version":NaN', 1)),
        "twice-one-key": ("A stranger's targets before the real ones, under the same key.", "not TUF metadata", b'{"targets":' + dump(thief) + b"," + sound[1:]),
        "twice-version": ("The version of targets twice, which two parsers may read as two.", "outside of what is signed", sound[:-2] + b',"version":1}}'),
    }  # fmt: skip
    for name, (about, says, text) in texts.items():
        spelling = [[0, len(sound), *parts(text)]] if name == "deep" else spliced(sound, text)
        said = {"base": "first", "edits": [{"spelling": spelling}]}
        group[name] = vector(about, "A3", says, None, trust=said)
    return group


# --- the files -------------------------------------------------------------------------------------------------------

GROUPS: dict[str, tuple[Callable[[], Group], ...]] = {
    "signature": (signatures,), "payload": (payloads,), "spelling": (spellings,), "index": (indexes,), "manifest": (manifests, names),
    "slot": (slots,), "grow": (growing,), "referrer": (evidences,), "top": (tops,), "mix": (mixes,), "folder": (folders,), "tar": (containers,),
    "counter": (counters,), "trust-keys": (keys_of_trust,), "trust-rotation": (rotations,), "trust-install": (installs,),
    "trust-shape": (shapes,),
}  # fmt: skip
ABOUT = {
    "payload": "Release payload. ", "index": "Release index. ", "manifest": "Manifest. ", "slot": "slot.json. ",
    "trust-keys": "Trust file. ", "trust-rotation": "Trust file. ", "trust-install": "Trust file. ", "trust-shape": "Trust file. ",
}  # fmt: skip
KEYS = ("release", "release2", "evidence", "stranger", *root_names("123456"))


def lines(entries: Mapping[str, JSON]) -> bytes:
    """JSON, one entry a line."""
    rows = (f"{json.dumps(name)}: {dump(value).decode()}" for name, value in entries.items())
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()


def contents() -> dict[str, bytes]:
    """Every file of the corpus."""
    keys = {
        name: {"keyid": key_id(name), "public": public(name), "test_only_seed": seed(name).hex()}
        for name in KEYS
    }
    sound = {
        "bundles": {
            name: {
                "files": {path: b64(files[path]) for path in sorted(files)},
                "labels": labels(name),
            }
            for name, files in bases().items()
        },
        "trust": trusts(),
    }
    found = {"keys.json": lines(keys), "bases.json": lines(sound)}
    for name, makers in GROUPS.items():
        group = {f"{name}/{key}": value for maker in makers for key, value in maker().items()}
        for value in group.values():
            value["about"] = ABOUT.get(name, "") + value["about"]
        found[f"{name}.json"] = lines(group)
    return found


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, data in contents().items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
