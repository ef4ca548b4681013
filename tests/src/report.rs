//! Benchmark results, each written into its own section of one Markdown file.
//!
//! A section stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; whatever is outside stays as it
//! is, so that several programs, and people, can share the file. Nothing dated goes in: the file changes when
//! figures do. Tables can be drawn as well, into `plots/` beside the file.

mod goal;
mod machine;
mod plot;
mod table;

pub use goal::Goal;
pub use machine::machine;
pub use plot::draw;
pub use table::Table;

use std::{fs, io, path::Path};

/// What the file begins with when a section is the first to be written.
const TITLE: &str =
    "# Benchmarks\n\nEach section is written by the command it names; goals are the project's own.\n";

/// One benchmark's results.
#[derive(Debug, Clone)]
pub struct Section {
    name: String,
    title: String,
    command: String,
    blocks: Vec<String>,
    goals: Vec<Goal>,
}

// === impl Section ===

impl Section {
    /// `name` is the one of the markers, `command` what a reader runs to get these figures.
    pub fn new(name: &str, title: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            command: command.to_owned(),
            blocks: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Adds a paragraph.
    pub fn text(&mut self, paragraph: impl Into<String>) {
        self.blocks.push(paragraph.into());
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        self.blocks.push(table.markdown());
    }

    /// Draws these columns of the last table, below it. They are all of one unit; `name` tells the plots of a section apart.
    pub fn plot(&mut self, name: &str, title: &str, columns: &[&str]) {
        self.blocks.push(plot::image(&format!("{}-{name}", self.name), title, columns));
    }

    /// Adds a goal, with what was measured.
    pub fn goal(&mut self, goal: Goal) {
        self.goals.push(goal);
    }

    /// The goals that were not met.
    pub fn missed(&self) -> impl Iterator<Item = &Goal> {
        self.goals.iter().filter(|goal| !goal.met)
    }

    /// The section without its markers.
    pub fn markdown(&self) -> String {
        let mut parts = vec![format!("## {}", self.title)];
        parts.push(format!("`{}`, on {}.", self.command, machine()));
        parts.extend(self.blocks.iter().map(|block| block.trim_end().to_owned()));
        if !self.goals.is_empty() {
            parts.push(self.goals.iter().map(Goal::markdown).collect::<Vec<_>>().join("\n"));
        }
        parts.join("\n\n") + "\n"
    }

    /// Writes the section into the file, in the place of its predecessor or at the end, and draws its plots.
    ///
    /// # Errors
    /// When the file cannot be read or written, or has only one of the two markers; then, with the section written, when a
    /// plot cannot be drawn.
    pub fn write_into(&self, path: &Path) -> io::Result<()> {
        let old = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => TITLE.to_owned(),
            Err(error) => return Err(error),
        };
        let markdown = self.markdown();
        let new = replace(&old, &self.name, &markdown).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        })?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, new)?;
        plot::draw_those_of(&markdown, path).map(drop)
    }
}

/// The document with this section's text replaced, or added at the end.
fn replace(document: &str, name: &str, body: &str) -> Result<String, String> {
    let (open, close) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let section = format!("{open}\n{body}{close}");
    match (document.find(&open), document.find(&close)) {
        (Some(start), Some(end)) if start < end => {
            Ok(format!("{}{section}{}", &document[..start], &document[end + close.len()..]))
        }
        (None, None) => Ok(format!("{}\n\n{section}\n", document.trim_end())),
        _ => Err(format!("the markers of bench:{name} are no pair")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_itself_and_nothing_else() {
        let first = replace("# Title\n", "a", "one\n").unwrap();
        let both = replace(&first, "b", "two\n").unwrap();
        let again = replace(&both, "a", "three\n").unwrap();
        assert_eq!(
            again,
            "# Title\n\n<!-- bench:a -->\nthree\n<!-- /bench:a -->\n\n\
             <!-- bench:b -->\ntwo\n<!-- /bench:b -->\n"
        );
        assert_eq!(replace(&again, "a", "three\n").unwrap(), again);
    }

    #[test]
    fn a_lonely_marker_is_refused_rather_than_guessed() {
        assert!(replace("<!-- bench:a -->\n", "a", "x").is_err());
        assert!(replace("<!-- /bench:a --> <!-- bench:a -->", "a", "x").is_err());
    }

    #[test]
    fn a_section_says_what_was_missed() {
        let mut section = Section::new("x", "X", "make bench");
        section.goal(Goal::new("size", "≤ 1", "2", false));
        section.goal(Goal::new("speed", "≤ 3", "2", true));
        assert_eq!(section.missed().count(), 1);
        let text = section.markdown();
        assert!(text.contains("**missed**") && text.contains("`make bench`"), "{text}");
    }

    #[test]
    fn a_section_comes_with_its_plots() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docs/benchmarks.md");
        let mut section = Section::new("x", "X", "make bench");
        let mut table = Table::new(&["what", "p50"]);
        table.row(["wrapper", "1.50 ms"]);
        section.table(&table);
        section.plot("start", "Start to exit", &["p50"]);
        section.write_into(&path).unwrap();
        let (text, plot) = (fs::read_to_string(&path).unwrap(), folder.path().join("docs/plots/x-start.svg"));
        assert!(text.contains("\n\n![Start to exit: p50](plots/x-start.svg)\n"), "{text}");
        let first = fs::read_to_string(&plot).unwrap();
        assert!(first.contains("1.50 ms"), "{first}");
        fs::remove_file(&plot).unwrap();
        assert_eq!(draw(&path).unwrap(), ["plots/x-start.svg"]);
        assert_eq!(fs::read_to_string(&plot).unwrap(), first);
    }

    #[test]
    fn the_file_is_made_when_it_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docs/benchmarks.md");
        Section::new("x", "X", "make bench").write_into(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Benchmarks\n") && text.ends_with("<!-- /bench:x -->\n"), "{text}");
    }
}
