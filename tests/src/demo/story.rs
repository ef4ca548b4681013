//! What the demo tells, and what it found not to be so.
#![allow(clippy::print_stdout, reason = "the demo tells its story on stdout")]

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{diff::Line, mesh::Mesh};

/// The demo's output.
#[derive(Debug)]
pub(super) struct Story {
    colour: bool,
    chapter: Mutex<Instant>,
    wrong: Mutex<Vec<String>>,
}

/// How a text is to look on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// As it is.
    Plain,
    /// A heading.
    Bold,
    /// Beside the point.
    Dim,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
}

// === impl Story ===

impl Story {
    /// A story on stdout; coloured on a terminal, unless `NO_COLOR` is set.
    pub(super) fn new() -> Self {
        let colour =
            io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour, chapter: Mutex::new(Instant::now()), wrong: Mutex::default() }
    }

    /// A heading; the times after it count from here.
    pub(super) fn chapter(&self, title: impl Display) {
        *self.chapter.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        println!("\n{}", self.paint(Look::Bold, title));
    }

    /// A line without a time.
    pub(super) fn say(&self, text: impl Display) {
        println!("{text}");
    }

    /// Something that happened in a mesh, with the time.
    pub(super) fn event(&self, mesh: Mesh, look: Look, text: impl Display) {
        let since = self.chapter.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs_f64();
        println!("  {since:5.2} s  {:<8} {}", mesh.to_string(), self.paint(look, text));
    }

    /// A diff, indented.
    pub(super) fn diff(&self, lines: &[Line]) {
        for Line { sign, text } in lines {
            let look = match sign {
                '+' => Look::Good,
                '-' => Look::Bad,
                _ => Look::Dim,
            };
            println!(
                "    {}",
                self.paint(look, format_args!("{} {text}", if *sign == '@' { ' ' } else { *sign }))
            );
        }
    }

    /// Notes something that is not as the demo says; true when it is.
    pub(super) fn check(&self, holds: bool, claim: impl Display) -> bool {
        if !holds {
            println!("  {}", self.paint(Look::Bad, format_args!("NOT SO: {claim}")));
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(claim.to_string());
        }
        holds
    }

    /// Everything that was not so.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A text as it is to look.
    pub(super) fn paint(&self, look: Look, text: impl Display) -> String {
        let code = match look {
            _ if !self.colour => return text.to_string(),
            Look::Plain => return text.to_string(),
            Look::Bold => "1",
            Look::Dim => "2",
            Look::Good => "32",
            Look::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

/// Milliseconds for people: `3 ms`, `1.2 s`.
pub(super) fn short(time: Duration) -> String {
    match time.as_millis() {
        0 => "< 1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_kept() {
        let story = Story::new();
        assert!(story.check(true, "one") && !story.check(false, "two"));
        assert_eq!(story.wrong(), ["two"]);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short(Duration::from_micros(300)), "< 1 ms");
        assert_eq!(short(Duration::from_micros(3700)), "3 ms");
        assert_eq!(short(Duration::from_millis(2530)), "2.5 s");
    }
}
