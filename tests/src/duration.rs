//! Durations as people write them on a command line.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADuration(String);

impl std::fmt::Display for NotADuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is no duration; write it like 300ms, 2s, 1.5s or 1m", self.0)
    }
}

impl std::error::Error for NotADuration {}

/// Reads `300ms`, `2s`, `1.5s`, `1m`; a bare `0` needs no unit.
///
/// # Errors
/// When the number or the unit cannot be read, or the value is negative or out of range.
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    let wrong = || NotADuration(text.to_owned());
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = trimmed.split_at(unit_at);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(wrong()),
    };
    let value: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(value * scale).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [("0", 0), ("300ms", 300), ("2s", 2000), ("1.5s", 1500), ("1m", 60_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn names_what_it_cannot_read() {
        for text in ["", "5", "s", "-1s", "1h", "NaNs", "1e400s", "ä"] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().contains("no duration"), "{error}");
        }
    }
}
