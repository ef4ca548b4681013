//! Durations as Go and Kubernetes write them.

use std::time::Duration;

/// Reads `60s`, `1m30s`, `1.5h`, `500ms`. No float: that would cost 20 KiB of a binary that goes into every pod.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let nanos = nanos_in(unit)?;
        total = total.checked_add(number(whole)?.checked_mul(nanos)?)?;
        let mut place = nanos;
        for digit in fraction.bytes() {
            place /= 10;
            total = total.checked_add(place * u64::from(digit - b'0'))?;
        }
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

fn nanos_in(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("60s", 60_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("1.5s", 1_500),
            ("1.25h", 4_500_000),
            (".5s", 500),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "60", "s", "-1s", "1 s", "1d", "1.s.", ".", ".s", "99999999999h", "ä"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
