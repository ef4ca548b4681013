//! Durations as people write them in Kubernetes: `60s`, `1m30s`, `500ms`, `2h`.
//!
//! The grammar is Go's, because the annotations and flags beside ours use it, without the sign: no wait is negative.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time};

/// A length of time that is read and printed in Go's notation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(time::Duration);

/// Why a text is no duration. The message names the text and what would work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing, or nothing but blanks.
    #[error("empty duration: write a number and a unit, as in 60s, 1m30s, 500ms or 2h")]
    Empty,
    /// A number without a unit.
    #[error(
        "{text:?} has a number without a unit: write a unit after each number, as in 60s, 1m30s or 500ms"
    )]
    NoUnit {
        /// The text as given.
        text: String,
    },
    /// A unit that does not exist, days for example.
    #[error("{text:?} has the unknown unit {unit:?}: the units are h, m, s, ms, us and ns, as in 1m30s")]
    UnknownUnit {
        /// The text as given.
        text: String,
        /// What stood where a unit was expected.
        unit: String,
    },
    /// No number where one was expected.
    #[error("{text:?} is not a duration: write a number and a unit, as in 60s, 1m30s, 500ms or 2h")]
    NotADuration {
        /// The text as given.
        text: String,
    },
    /// A sign.
    #[error("{text:?} has a sign: durations are never negative, write it as in 60s")]
    Signed {
        /// The text as given.
        text: String,
    },
    /// More than the clock can count.
    #[error("{text:?} is too long: write at most {}h", MAX_NANOS / NANOS_PER_HOUR)]
    TooLong {
        /// The text as given.
        text: String,
    },
}

const NANOS_PER_HOUR: u64 = 3_600_000_000_000;

/// Go counts in signed 64-bit nanoseconds (292 years); whatever it refuses, we refuse.
const MAX_NANOS: u64 = i64::MAX as u64;

/// Largest first, the order in which they are printed. Both micro signs of Unicode are read, `us` is written.
const UNITS: [(&str, u64); 8] = [
    ("h", NANOS_PER_HOUR),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
];

// === impl Duration ===

impl Duration {
    /// A whole number of seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(time::Duration::from_secs(secs))
    }

    /// A whole number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(time::Duration::from_millis(millis))
    }

    /// The same length as the standard library's type.
    pub const fn as_std(self) -> time::Duration {
        self.0
    }
}

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(given: &str) -> Result<Self, ParseError> {
        let mut rest = given.trim();
        match rest {
            "" => return Err(ParseError::Empty),
            // The one number that needs no unit, as in Go.
            "0" => return Ok(Self::default()),
            _ if rest.starts_with(['+', '-']) => return Err(ParseError::Signed { text: given.into() }),
            _ => {}
        }
        let mut nanos = 0;
        while !rest.is_empty() {
            let (number, after) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
            let (unit, after) = split_where(after, |c| c.is_ascii_digit() || c == '.');
            let part = nanos_of(given, number, unit)?;
            nanos += part;
            if nanos > u128::from(MAX_NANOS) {
                return Err(ParseError::TooLong { text: given.into() });
            }
            rest = after;
        }
        // The check above keeps it within 63 bits.
        Ok(Self(time::Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in &UNITS[..6] {
            let count = rest / u128::from(*size);
            rest %= u128::from(*size);
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl From<time::Duration> for Duration {
    fn from(std: time::Duration) -> Self {
        Self(std)
    }
}

impl From<Duration> for time::Duration {
    fn from(ours: Duration) -> Self {
        ours.0
    }
}

impl From<Duration> for String {
    fn from(ours: Duration) -> Self {
        ours.to_string()
    }
}

impl TryFrom<String> for Duration {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

/// One `NUMBER UNIT` pair in nanoseconds; a fraction finer than a nanosecond is cut off.
fn nanos_of(text: &str, number: &str, unit: &str) -> Result<u128, ParseError> {
    let not_a_duration = || ParseError::NotADuration { text: text.into() };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(not_a_duration());
    }
    if unit.is_empty() {
        return Err(ParseError::NoUnit { text: text.into() });
    }
    let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(ParseError::UnknownUnit { text: text.into(), unit: unit.into() });
    };
    let size = u128::from(*size);
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u128>().ok() };
    let mut nanos = whole.and_then(|n| n.checked_mul(size)).filter(|n| *n <= u128::from(MAX_NANOS));
    let mut place = size;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.map(|n| n + u128::from(digit - b'0') * place);
    }
    nanos.ok_or_else(|| ParseError::TooLong { text: text.into() })
}

/// Splits before the first character that `ends`.
fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let nanos = |text: &str| text.parse::<Duration>().unwrap().as_std().as_nanos();
        for (text, expected) in [
            ("0", 0),
            ("0s", 0),
            ("60s", 60_000_000_000),
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("2h", 7_200_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("3us", 3_000),
            ("3\u{b5}s", 3_000),
            ("3\u{3bc}s", 3_000),
            ("7ns", 7),
            ("0.9ns", 0),
            ("30s1m", 90_000_000_000),
            (" 10s ", 10_000_000_000),
            ("1.123456789s", 1_123_456_789),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn names_the_value_and_what_would_work() {
        let message = |text: &str| text.parse::<Duration>().unwrap_err().to_string();
        for (text, part) in [
            ("", "empty duration"),
            ("  ", "empty duration"),
            ("60", "\"60\" has a number without a unit"),
            ("1m30", "\"1m30\" has a number without a unit"),
            ("1d", "unknown unit \"d\""),
            ("1 m", "unknown unit \" m\""),
            ("soon", "\"soon\" is not a duration"),
            ("1.2.3s", "is not a duration"),
            (".s", "is not a duration"),
            ("-5s", "\"-5s\" has a sign"),
            ("9999999999h", "is too long: write at most 2562047h"),
            ("99999999999999999999999999999999999999999999s", "is too long"),
        ] {
            let message = message(text);
            assert!(message.contains(part), "{text}: {message}");
        }
        for text in ["60", "1d", "soon", "-5s", ""] {
            assert!(message(text).contains("60s") || message(text).contains("1m30s"), "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for text in ["0s", "60s", "1h1ms", "1.5h", "1m30s", "500ms", "3us7ns", "2562047h", "1.123456789s"] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.to_string().parse(), Ok(duration), "{text} printed as {duration}");
        }
        assert_eq!(Duration::from_secs(90).to_string(), "1m30s");
        assert_eq!(Duration::from_millis(1500).to_string(), "1s500ms");
        assert_eq!(Duration::default().to_string(), "0s");
    }

    #[test]
    fn is_a_text_in_configuration_files() {
        let duration: Duration = serde_json::from_str("\"1m30s\"").unwrap();
        assert_eq!(serde_json::to_string(&duration).unwrap(), "\"1m30s\"");
        let error = serde_json::from_str::<Duration>("\"1d\"").unwrap_err().to_string();
        assert!(error.contains("unknown unit \"d\""), "{error}");
    }
}
