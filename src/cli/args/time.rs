//! A duration with its unit.

use std::time::Duration;

/// Parses `90s`, `10m` or `1h 30m`.
pub(in crate::cli) fn time(text: &str) -> Result<Duration, String> {
    let expected = "must be a number with a unit, such as 500ms, 10s, 2m or 1h";
    let time: jiff::SignedDuration = text.parse().map_err(|_| expected)?;
    let time = Duration::try_from(time).map_err(|_| "must not be negative")?;
    match time > Duration::from_secs(24 * 60 * 60) {
        true => Err("the maximum is 24h".to_owned()),
        false => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_with_their_units() {
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        for wrong in ["10", "-1s", "soon", "25h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
