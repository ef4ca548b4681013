//! Kubernetes resource quantities, as far as they need comparing.

/// A resource quantity (`500m`, `1Gi`, `2e3`) as a number of its base unit (cores, bytes).
///
/// Used to find the larger of two, so a float is exact enough.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Quantity(f64);

impl Quantity {
    /// Parses a quantity; `None` where the API server would refuse it too.
    pub fn parse(text: &str) -> Option<Self> {
        const SUFFIXES: [(&str, f64); 15] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("Ei", 1_152_921_504_606_846_976.0),
            ("n", 1e-9),
            ("u", 1e-6),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
            ("E", 1e18),
        ];
        let (digits, factor) = SUFFIXES
            .iter()
            .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|digits| (digits, *factor)))
            .unwrap_or((text, 1.0));
        let number: f64 = digits.parse().ok()?;
        number.is_finite().then_some(Self(number * factor))
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn suffixes_scale_their_number() {
        let cases = [
            ("500m", 0.5),
            ("2", 2.0),
            ("1Gi", 1_073_741_824.0),
            ("128M", 128e6),
            ("1e3", 1000.0),
            ("0.5", 0.5),
        ];
        for (text, value) in cases {
            assert_eq!(Quantity::parse(text), Some(Quantity(value)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_no_quantity() {
        for text in ["", "Gi", "1 Gi", "abc", "inf", "NaN"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
