//! Why one pod, Job or TestRun stands where it stands, and what Curfew does about it or would do.
//!
//! [`gather`] looks, with the rights of whoever asks; everything else judges what it saw, purely. A TestRun is told by
//! the stage that k6-operator left it at: that, and what it waits for there, is all the operator says of itself.

mod containers;
mod file;
mod gather;
mod job;
mod pod;
mod report;
mod selection;
mod surroundings;
mod target;
mod template;
mod testrun;

use serde::Serialize;

pub use file::{Subject, Template, subjects};
pub use gather::Cluster;
pub use report::{as_json, text};
pub use surroundings::Surroundings;
pub use target::{Kind, Target};

/// What is to be said of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `kind/name`.
    pub object: String,
    /// Its namespace; empty where it has none yet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// It hangs, or would.
    pub hangs: bool,
    /// What is said of it, in order.
    pub lines: Vec<Line>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
}

/// One thing said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What it is about.
    pub about: About,
    /// In words.
    pub text: String,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// How it stands.
    State,
    /// Why it does.
    Why,
    /// What mends it.
    Mend,
    /// What Curfew did to it, and why.
    Curfew,
    /// What Curfew would do to it, and why.
    Would,
    /// What was passed over, and why.
    Not,
    /// What its owner should know.
    Warning,
    /// What follows from it.
    Note,
    /// One of its containers.
    Container,
    /// What could not be looked at, and why.
    Unseen,
}

// === impl Explanation ===

impl Explanation {
    fn of(kind: &str, name: &str, namespace: &str) -> Self {
        Self { object: format!("{kind}/{name}"), namespace: namespace.to_owned(), ..Self::default() }
    }

    fn say(&mut self, about: About, text: impl Into<String>) -> &mut Self {
        self.lines.push(Line { about, text: text.into() });
        self
    }

    /// It hangs, for this reason, and this mends it.
    fn hangs(&mut self, state: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) {
        self.hangs = true;
        self.say(About::State, state).say(About::Why, why).say(About::Mend, mend);
    }

    /// Whether it, or anything it is made of, hangs.
    pub fn any_hangs(&self) -> bool {
        self.hangs || self.parts.iter().any(Self::any_hangs)
    }
}

impl About {
    /// As it stands before its line.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Why => "why",
            Self::Mend => "mend",
            Self::Curfew => "curfew",
            Self::Would => "would",
            Self::Not => "not",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Container => "container",
            Self::Unseen => "unseen",
        }
    }
}
