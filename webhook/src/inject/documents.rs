//! A text of several YAML documents, each with its place.

use serde_json::Value;

/// One document.
#[derive(Debug)]
pub struct Document<'a> {
    /// From 1; what holds nothing but comments does not count.
    pub number: usize,
    /// As it stands, with the separator before it.
    pub text: &'a str,
    /// What it says; `null` where it holds nothing but comments.
    pub value: Value,
}

/// A document that is no YAML.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}: document {document}, line {line}: {reason}")]
pub struct DocumentError {
    /// Name of the file, `-` for standard input.
    pub file: String,
    /// From 1.
    pub document: usize,
    /// Line of the file, from 1.
    pub line: u64,
    /// What the parser says.
    pub reason: String,
}

/// The documents of a text, in order.
#[derive(Debug)]
pub struct Documents<'a> {
    file: &'a str,
    rest: &'a str,
    number: usize,
    lines_before: u64,
}

impl<'a> Documents<'a> {
    /// Splits a text at its separators. A line that begins with `---` always is one: within a document everything
    /// that could look like it is indented.
    pub fn of(file: &'a str, text: &'a str) -> Self {
        Self { file, rest: text, number: 0, lines_before: 0 }
    }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<Document<'a>, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (text, rest) = self.rest.split_at(end_of_first(self.rest));
        let lines_before = self.lines_before;
        self.rest = rest;
        self.lines_before += text.matches('\n').count() as u64;
        let number = self.number + 1;
        match serde_saphyr::from_str_with_options::<Option<Value>>(text, as_kubectl()) {
            Ok(value) => {
                self.number += usize::from(value.is_some());
                Some(Ok(Document { number, text, value: value.unwrap_or_default() }))
            }
            Err(error) => {
                let line = error.location().map_or(1, |location| location.line());
                let reason = error.without_snippet().to_string();
                Some(Err(DocumentError {
                    file: self.file.to_owned(),
                    document: number,
                    line: lines_before + line,
                    reason,
                }))
            }
        }
    }
}

impl Document<'_> {
    /// Another value in this document's place and layout.
    pub fn render(&self, value: &Value) -> String {
        if self.text.trim_start().starts_with('{') {
            return serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
        }
        let separator = if is_separator(self.text) { "---\n" } else { "" };
        format!("{separator}{}", to_yaml(value))
    }
}

/// As kubectl reads YAML: `0644` is octal.
fn as_kubectl() -> serde_saphyr::Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

/// A value as YAML, ending with a line break.
pub(super) fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// Length of the first document: up to the next separator.
fn end_of_first(text: &str) -> usize {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().map_or(0, str::len);
    first + lines.take_while(|line| !is_separator(line)).map(str::len).sum::<usize>()
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        Documents::of("f", text).map(|document| document.expect(text).text).collect()
    }

    #[test]
    fn documents_keep_every_byte() {
        for text in
            ["", "a: 1", "---\na: 1\n---\nb: 2\n", "# c\n---\na: 1\n--- # x\nb: |\n  ---\n---\n", "a: 1\n---"]
        {
            assert_eq!(split(text).concat(), text);
        }
    }

    #[test]
    fn separators_divide_and_indented_dashes_do_not() {
        assert_eq!(
            split("# head\n---\na: 1\n---\nb: |\n  ---\n"),
            ["# head\n", "---\na: 1\n", "---\nb: |\n  ---\n"]
        );
        assert_eq!(split("a: ---x\n"), ["a: ---x\n"]);
    }

    #[test]
    fn numbers_are_read_as_kubectl_reads_them() {
        let text = "mode: 0644\nport: 8080\ncpu: 0.5\nname: '0644'\n";
        let document = Documents::of("f", text).next().expect("a document").expect("YAML");
        assert_eq!(
            document.value,
            serde_json::json!({"mode": 420, "port": 8080, "cpu": 0.5, "name": "0644"})
        );
        assert_eq!(document.render(&document.value), "mode: 420\nport: 8080\ncpu: 0.5\nname: \"0644\"\n");
    }

    #[test]
    fn only_documents_with_something_in_count() {
        let text = "# head\n---\na: 1\n---\n# nothing\n---\nb: 2\n";
        let numbers: Vec<_> = Documents::of("f", text)
            .map(|document| document.expect(text))
            .filter(|document| !document.value.is_null())
            .map(|document| document.number)
            .collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn an_error_names_file_document_and_line() {
        let text = "a: 1\n---\nb: 2\nc: [\n";
        let error = Documents::of("jobs.yaml", text).find_map(Result::err).expect("an error");
        assert_eq!((error.file.as_str(), error.document), ("jobs.yaml", 2));
        assert!(error.line >= 4, "{error}");
    }
}
