//! The nearest valid spelling of an unknown word.

/// How many letters may differ, be added or be missing.
const DISTANCE: usize = 3;
/// A word longer than this is not a misspelling.
const LENGTH: usize = 64;

/// The word in `known` that was most likely meant by `word`.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > LENGTH {
        return None;
    }
    let near = known.into_iter().filter(|known| known.len() <= LENGTH);
    let near: Vec<_> = near.collect();
    let lower = word.to_ascii_lowercase();
    let begun = |known: &&&str| lower.len() > 3 && known.to_ascii_lowercase().starts_with(&lower);
    if let Some(known) = near.iter().find(begun) {
        return Some(known);
    }
    near.into_iter()
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= DISTANCE.min(known.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A suggestion for an error that has an unknown word between backticks, and the
/// expected ones, as serde's and serde-saphyr's do.
pub(crate) fn suggestion(error: &str) -> Option<String> {
    let line = error.lines().find(|line| line.contains("unknown "))?;
    let word = line.split('`').nth(1)?;
    let (_, expected) = line.split_once("expected ")?;
    let expected = expected
        .trim_start_matches("one of ")
        .split([',', ' ', '`']);
    let nearest = nearest(word, expected.filter(|word| !word.is_empty()))?;
    Some(format!("did you mean `{nearest}`?"))
}

#[test]
fn a_misspelt_word_gets_the_nearest_one_as_a_suggestion() {
    let error = "unknown field `securtyContext`, expected one of env, securityContext";
    assert_eq!(
        suggestion(error).as_deref(),
        Some("did you mean `securityContext`?")
    );
    assert_eq!(
        suggestion("unknown field `x`, expected one of `env`, `set`"),
        None
    );
    assert_eq!(suggestion("something else"), None);
    assert_eq!(
        nearest("apparmor", ["privileged", "appArmorProfile"]),
        Some("appArmorProfile")
    );
}
