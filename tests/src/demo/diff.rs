//! What a patch changed, as people read it.

use anyhow::Context;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// Lines are cut here: a status annotation is longer than any terminal.
const MAX_LINE: usize = 150;

/// One line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// ` `, `+`, `-` or `@`.
    pub(super) sign: char,
    /// The text, cut.
    pub(super) text: String,
}

/// The unified diff of two objects' YAML.
///
/// # Errors
/// When an object cannot be written as YAML.
pub(super) fn diff(before: &Value, after: &Value) -> anyhow::Result<Vec<Line>> {
    let yaml = |value: &Value| serde_saphyr::to_string(value).context("writing YAML");
    let (before, after) = (yaml(before)?, yaml(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(1) {
        if !lines.is_empty() {
            lines.push(Line { sign: '@', text: "…".to_owned() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Insert => '+',
                ChangeTag::Delete => '-',
            };
            lines.push(Line { sign, text: cut(change.value().trim_end_matches('\n')) });
        }
    }
    Ok(lines)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_shown_with_its_neighbours() {
        let before = json!({ "a": 1, "b": 2, "c": 3, "d": 4 });
        let after = json!({ "a": 1, "b": 2, "c": 5, "d": 4 });
        let lines = diff(&before, &after).unwrap();
        let signs: String = lines.iter().map(|line| line.sign).collect();
        assert_eq!(signs, " -+ ", "{lines:?}");
        assert!(diff(&before, &before).unwrap().is_empty());
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        assert_eq!(cut(&"ü".repeat(200)).chars().count(), MAX_LINE + 1);
    }
}
