"""How the reference stands against guessing, in words."""

from edgekit.nouns import Build, Standing

MEASURES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_roc_auc": "mean ROC AUC",
    "spearman_cosine": "rank correlation",
    "entity_f1": "F1 of entities",
}


def reference_notes(build: Build) -> list[str]:
    """Say how the reference stands against guessing, and what is odd about its answers."""
    standing = build.standing
    if standing is None:
        return []
    lines = [f"The reference: {in_figures(standing)}"]
    if standing.is_weak:
        lines[0] += "; no better than guessing, as limits.allow_weak_reference allows"
        lines[0] += f"; it {standing.confusion}" if standing.confusion else ""
    return lines + [f"Warning: the reference: {text}" for text in standing.warnings]


def in_figures(standing: Standing) -> str:
    """Write a measure, the highest value that it may have, and what guessing has."""
    measure = MEASURES.get(standing.measure, standing.measure)
    if standing.value is None or standing.high is None:
        return f"{measure} can't be told from guessing"
    return (
        f"{measure} {standing.value:.4f} (at most {standing.high:.4f}), chance"
        f" {standing.chance:.4f}"
    )
