//! Tolerations that the user names, as `kubectl taint` words a taint.

use serde_json::{Value, json};

use super::finding::quote;
use super::objects::{Taint, Toleration};

/// The effects that a taint can have.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// The longest key: a prefix of 253 characters, a slash, and a name of 63.
const KEY: usize = 317;

/// Reads `KEY[=VALUE][:EFFECT]`.
///
/// # Errors
/// A text that is not one.
pub fn parse(text: &str) -> Result<Toleration, String> {
    let (pair, effect) = text.split_once(':').unwrap_or((text, ""));
    if !effect.is_empty() && !EFFECTS.contains(&effect) || text.ends_with(':') {
        return Err(format!("the effect must be one of {}", EFFECTS.join(", ")));
    }
    let (key, value) = match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    };
    let is_word = |text: &str, also: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
        text.chars().all(allowed)
    };
    let is_key = !key.is_empty() && key.len() <= KEY && is_word(key, "-_./");
    if !is_key || !value.is_none_or(|value| value.len() <= 63 && is_word(value, "-_.")) {
        return Err("must be KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT".to_owned());
    }
    let operator = if value.is_some() { "Equal" } else { "Exists" };
    Ok(Toleration {
        key: key.to_owned(),
        operator: operator.to_owned(),
        value: value.unwrap_or_default().to_owned(),
        effect: effect.to_owned(),
    })
}

/// A toleration that [`parse`] read, as it was written.
pub fn named(toleration: &Toleration) -> String {
    let Toleration {
        key, value, effect, ..
    } = toleration;
    let value = match toleration.operator.as_str() {
        "Equal" => format!("={value}"),
        _ => String::new(),
    };
    match effect.is_empty() {
        true => format!("{key}{value}"),
        false => format!("{key}{value}:{effect}"),
    }
}

/// The first of `taints` that none of `tolerations` is for.
pub(super) fn untolerated<'t>(
    taints: &'t [Taint],
    tolerations: &[Toleration],
) -> Option<&'t Taint> {
    taints.iter().find(|taint| {
        let mut tolerations = tolerations.iter();
        !tolerations.any(|toleration| toleration.tolerates(taint))
    })
}

/// A taint as `kubectl taint` words it.
pub(super) fn in_words(taint: &Taint) -> String {
    let value = match taint.value.as_str() {
        "" => String::new(),
        value => format!("={value}"),
    };
    quote(&format!("{}{value}:{}", taint.key, taint.effect))
}

/// A toleration as a pod has it.
pub(super) fn as_json(toleration: &Toleration) -> Value {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    json!({"key": key, "operator": operator, "value": value, "effect": effect})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(value: &str) -> Taint {
        Taint {
            key: "example.com/ci".to_owned(),
            value: value.to_owned(),
            effect: "NoSchedule".to_owned(),
        }
    }

    #[test]
    fn a_taint_in_kubectls_words_is_its_own_toleration() {
        for taint in [taint(""), taint("only")] {
            let toleration = parse(&in_words(&taint)).expect("a toleration");
            assert!(toleration.tolerates(&taint), "{toleration:?}");
            assert_eq!(named(&toleration), in_words(&taint));
        }
        let any_value = parse("example.com/ci").expect("a toleration");
        assert!(any_value.tolerates(&taint("only")));
        let other = parse("example.com/ci=other").expect("a toleration");
        assert!(!other.tolerates(&taint("only")));
        let execute = parse("example.com/ci:NoExecute").expect("a toleration");
        assert!(!execute.tolerates(&taint("")));
        assert_eq!(untolerated(&[taint("")], &[execute, any_value]), None);
    }

    #[test]
    fn what_is_no_taint_is_refused() {
        for wrong in [
            "",
            "=a",
            ":NoSchedule",
            "a:",
            "a:Never",
            "a b",
            "a=b=c",
            "a=b:",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
