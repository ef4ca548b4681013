//! Durations as the meshes' annotations have them.

use std::time::Duration;

use anyhow::{Context, bail};

/// Reads `300ms`, `5s`, `2m`, `1h`; a bare 0 needs no unit.
pub(crate) fn parse(text: &str) -> anyhow::Result<Duration> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => bail!("{text:?} is no duration: write a number and one of ms, s, m, h, as in 5s"),
    };
    let number: f64 = number
        .parse()
        .with_context(|| format!("{text:?} is no duration: write a number and a unit, as in 5s"))?;
    Duration::try_from_secs_f64(number * seconds)
        .with_context(|| format!("{text:?} is no duration: write a number from 0 up, as in 5s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [("0", 0), ("300ms", 300), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "s", "-1s", "soon"] {
            assert!(parse(text).unwrap_err().to_string().contains("no duration"), "{text}");
        }
    }
}
