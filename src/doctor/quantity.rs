//! Quantities of resources, such as `500m` and `2Gi` (Kubernetes API reference, `Quantity`).

/// The number that `text` is; none, if it is no quantity. Exact enough to compare two.
pub(super) fn quantity(text: &str) -> Option<f64> {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
    let end = text.find(|c| !is_of_number(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Ei" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_f64.powi(exponent)
        }
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suffix_has_its_factor() {
        let values = [
            ("1500m", 1.5),
            ("2", 2.0),
            ("1Ki", 1024.0),
            ("1.5Gi", 1_610_612_736.0),
            ("2G", 2e9),
            ("12e6", 12e6),
            ("1E", 1e18),
            ("3E2", 300.0),
        ];
        for (text, value) in values {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        for text in ["", "x", "1x", "1 Gi", "Gi", "NaN", "1e"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
