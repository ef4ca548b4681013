//! Differences for people.

use serde_json::Value;
use similar::TextDiff;

use super::documents::to_yaml;

/// Unified diff of two values as YAML, so that only what changed shows, not how it was written.
pub fn unified(label: &str, before: &Value, after: &Value) -> String {
    let (before, after) = (to_yaml(before), to_yaml(after));
    let diff = TextDiff::from_lines(&before, &after);
    diff.unified_diff().context_radius(3).header(label, &format!("{label}, patched")).to_string()
}
