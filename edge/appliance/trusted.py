"""Who may sign what this device runs, and the release counters that were seen of them."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgekit.edge.appliance.policy import load_policy, policy_trust
from edgekit.edge.bundle.envelope import load_public_key
from edgekit.edge.bundle.trust import Chain, Trust, bare, read_trust, verdict
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.nouns import Unreadable, read_json


class Trusted:
    """The keys and counters of an appliance folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / "trust"  # of bare keys

    def chain(self) -> Chain | None:
        """Return the root of trust, None where keys are bare or the policy's."""
        path = self._root / "trust.json"
        return read_trust(path) if path.exists() else None

    def trust(self) -> Trust:
        """Return who may sign what: the root of trust, else the policy's keys, else bare keys."""
        chain, named = self.chain(), policy_trust(self._root, load_policy(self._root))
        self.check_one_trust(has_root=chain is not None)
        if chain is not None:
            return verdict(chain, self._root / "trust.json", None)
        return named or bare([load_public_key(path) for path in sorted(self.folder.glob("*.pub"))])

    def check_one_trust(self, *, has_root: bool) -> None:
        """Raise InputError where two places say who may sign.

        has_root: whether the appliance has a root of trust, or is to get one.
        """
        if has_root and load_policy(self._root).keys is not None:
            raise InputError(
                f"{self._root}: policy.toml names keys, and there is a root of trust; keep one of"
                " the two"
            )

    def keep_key(self, key: Path) -> None:
        """Copy a public key to the bare keys."""
        identity = load_public_key(key).keyid
        write_durably(self.folder / f"{identity[:16]}.pub", key.read_bytes())

    def keep_chain(self, chain: Chain) -> None:
        """Put a root of trust in the place of the one before it, or of bare keys."""
        write_durably(self._root / "trust.json", chain.to_json())
        for path in self.folder.glob("*.pub"):
            path.unlink()

    def floor(self, model: str, trust: Trust) -> int:
        """Return the highest counter of a model's activated releases by keys that are trusted.

        A revoked key takes its counters along: who stole it can't bar the way with a huge one.
        """
        known = self._counters().get(model, {})
        return max((counter for key, counter in known.items() if key in trust.key_ids), default=0)

    def raise_floor(self, model: str, key_ids: Iterable[str], counter: int) -> None:
        """Take note of a release that is activated next; no counter is ever lowered.

        It is durable before the pointer switches.
        """
        counters = self._counters()
        known = counters.get(model, {})
        found = {**known, **{key: max(counter, known.get(key, 0)) for key in key_ids}}
        if found != known:
            data = msgspec.json.encode({**counters, model: found}, order="sorted")
            write_durably(self._root / "counters.json", msgspec.json.format(data, indent=2))

    def check_counters(self) -> None:
        """Raise InputError where the counters can't be read."""
        self._counters()

    def _counters(self) -> dict[str, dict[str, int]]:
        """Return the highest activated counter by model and by key; raises InputError."""
        path = self._root / "counters.json"
        try:
            return read_json(path.read_bytes(), dict[str, dict[str, int]])
        except FileNotFoundError:
            return {}
        except Unreadable as error:
            raise InputError(
                f"{path}: damaged: {error}; without it older releases can't be told from new ones:"
                " remove it if you accept that once"
            ) from None
