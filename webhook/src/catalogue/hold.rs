//! Rows about sidecars: how a mesh itself has mains wait for its proxy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::load;

/// An annotation by which an injector is told to start the proxy first and to have the mains wait for it. Inert where
/// that mesh is absent, and where its proxy is native.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Its key.
    pub annotation: String,
    /// The field to set in it, as its text is a mapping in YAML; where left out, the text itself is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value, as YAML has it.
    pub value: String,
}

/// What is to become of the annotation.
#[derive(Debug, Eq, PartialEq)]
pub enum Held {
    /// It says so already.
    Already,
    /// The user has set it to something else, which stays.
    Refused,
    /// It has to have this text.
    With(String),
    /// The user's text is no mapping, so nothing can be set in it.
    Unreadable,
}

impl Hold {
    /// What is to become of the annotation with this text.
    pub fn merged_into(&self, text: Option<&str>) -> Held {
        let text = text.unwrap_or_default();
        let is_wanted = |own: &Value| Some(own) == load::of_anybody(&self.value).ok().as_ref();
        let Some(field) = &self.field else {
            return match text {
                "" => Held::With(self.value.clone()),
                own if own == self.value => Held::Already,
                _ => Held::Refused,
            };
        };
        let Ok(own) = load::of_anybody::<Option<Map<String, Value>>>(text) else { return Held::Unreadable };
        let own = own.unwrap_or_default();
        match own.get(field) {
            Some(own) if is_wanted(own) => return Held::Already,
            Some(_) => return Held::Refused,
            None => {}
        }
        let mut wanted = own;
        let Ok(value) = load::of_anybody(&self.value) else { return Held::Unreadable };
        wanted.insert(field.clone(), value);
        // The user's text with a line or an item more, comments and all, wherever that says what it should.
        let says_it = |text: &String| load::of_anybody(text).is_ok_and(|found: Map<_, _>| found == wanted);
        let by_line = self.as_line(text, field);
        let by_item = self.as_item(text, field);
        let kept = [by_line, by_item].into_iter().flatten().find(says_it);
        Held::With(kept.unwrap_or_else(|| Value::Object(wanted.clone()).to_string()))
    }

    /// At the end of a mapping in lines, as deep as its first one.
    fn as_line(&self, text: &str, field: &str) -> Option<String> {
        let is_first = |line: &&str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
        let first = text.lines().find(is_first)?;
        let indent = &first[..first.len() - first.trim_start().len()];
        Some(format!("{}\n{indent}{field}: {}\n", text.trim_end(), self.value))
    }

    /// At the end of a mapping in braces.
    fn as_item(&self, text: &str, field: &str) -> Option<String> {
        let head = text.trim_end().strip_suffix('}')?.trim_end().trim_end_matches(',');
        let comma = if head.trim_start() == "{" { "" } else { ", " };
        Some(format!("{head}{comma}\"{field}\": {}}}", self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str) -> Held {
        let [annotation, field] = ["proxy.istio.io/config", "hold"].map(str::to_owned);
        Hold { annotation, field: Some(field), value: "true".to_owned() }.merged_into(Some(text))
    }

    #[test]
    fn the_users_text_stays_and_gets_a_line_or_an_item() {
        for (own, with) in [
            ("concurrency: 2 # as ever\n", "concurrency: 2 # as ever\nhold: true\n"),
            ("  a: 1\n  b:\n    c: 2", "  a: 1\n  b:\n    c: 2\n  hold: true\n"),
            ("# why\na: |\n  text\n", "# why\na: |\n  text\nhold: true\n"),
            ("{a: 1}", "{a: 1, \"hold\": true}"),
            (r#"{"a": {"b": 1} } "#, r#"{"a": {"b": 1}, "hold": true}"#),
            ("{}", "{\"hold\": true}"),
        ] {
            assert_eq!(merged(own), Held::With(with.to_owned()), "{own:?}");
        }
    }

    #[test]
    fn a_text_that_takes_neither_is_written_anew() {
        assert_eq!(merged("{a: [1, b]} # why"), Held::With(r#"{"a":[1,"b"],"hold":true}"#.to_owned()));
        for nothing in ["", "\n", "# nothing yet", "null"] {
            assert_eq!(merged(nothing), Held::With(r#"{"hold":true}"#.to_owned()), "{nothing:?}");
        }
    }

    #[test]
    fn what_the_user_has_set_holds() {
        assert_eq!(merged("hold: true"), Held::Already);
        assert_eq!(merged(r#"{"hold":true}"#), Held::Already);
        assert_eq!(merged("hold: false"), Held::Refused);
        assert_eq!(merged("hold: \"true\""), Held::Refused);
    }

    #[test]
    fn what_is_no_mapping_stays() {
        for text in ["- a", "just words", "[", "a: 1\na: 2", "42"] {
            assert_eq!(merged(text), Held::Unreadable, "{text:?}");
        }
        let deep = format!("a: {}{}", "[".repeat(300), "]".repeat(300));
        assert_eq!(merged(&deep), Held::Unreadable);
    }

    #[test]
    fn without_a_field_the_annotation_is_the_value() {
        let hold = Hold { annotation: "a".to_owned(), field: None, value: "enabled".to_owned() };
        assert_eq!(hold.merged_into(None), Held::With("enabled".to_owned()));
        assert_eq!(hold.merged_into(Some("enabled")), Held::Already);
        assert_eq!(hold.merged_into(Some("disabled")), Held::Refused);
    }
}
