//! The kill rule: after which exit codes this container runs no more.

use std::{fmt, str::FromStr};

/// A set of exit codes, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitCodes([u64; 4]);

/// Why a text is no set of exit codes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotExitCodes;

// === impl ExitCodes ===

impl Default for ExitCodes {
    fn default() -> Self {
        Self::ALL
    }
}

impl ExitCodes {
    /// Every code: a container that never runs again, however it ended.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    /// Whether a container that ended with `code` is finished.
    pub(crate) fn contains(self, code: u8) -> bool {
        self.0[usize::from(code / 64)] & (1 << (code % 64)) != 0
    }

    fn insert(&mut self, code: u8) {
        self.0[usize::from(code / 64)] |= 1 << (code % 64);
    }
}

impl FromStr for ExitCodes {
    type Err = NotExitCodes;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "always" {
            return Ok(Self::ALL);
        }
        let text = if text == "success" { "0" } else { text };
        let mut codes = Self([0; 4]);
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (code(first)?, code(last)?);
            if first > last {
                return Err(NotExitCodes);
            }
            (first..=last).for_each(|code| codes.insert(code));
        }
        Ok(codes)
    }
}

/// Digits only: `parse` alone would take a `+`.
fn code(text: &str) -> Result<u8, NotExitCodes> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| NotExitCodes)
    } else {
        Err(NotExitCodes)
    }
}

impl fmt::Display for NotExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write always, success, or exit codes as in 0-2,5,7-255")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<u8> {
        let set: ExitCodes = text.parse().expect(text);
        (0..=255).filter(|code| set.contains(*code)).collect()
    }

    #[test]
    fn reads_words_codes_and_ranges() {
        assert_eq!(codes("always"), (0..=255).collect::<Vec<_>>());
        assert_eq!(codes("success"), [0]);
        assert_eq!(codes("42"), [42]);
        assert_eq!(codes("0-2,5,254-255"), [0, 1, 2, 5, 254, 255]);
        assert_eq!(codes("63-64,127-128,191-192"), [63, 64, 127, 128, 191, 192]);
    }

    #[test]
    fn refuses_what_is_no_set_of_exit_codes() {
        for text in ["", ",", "256", "-1", "2-1", "1-", "0x1", "never", "1,,2", " 1", "+1", "Always"] {
            assert_eq!(text.parse::<ExitCodes>(), Err(NotExitCodes), "{text:?}");
        }
    }
}
