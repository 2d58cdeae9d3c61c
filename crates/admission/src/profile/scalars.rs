//! Texts and amounts, read alike from YAML and from what a merge leaves.
//!
//! YAML would read `1.10` into a text as well as into a number, and the two
//! readings differ. So a text has to be one, as Kubernetes itself asks of `env`
//! and annotations; and an amount may be a whole number besides.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A map of texts.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let texts = BTreeMap::<String, Text>::deserialize(deserializer)?;
    Ok(texts
        .into_iter()
        .map(|(key, Text(text))| (key, text))
        .collect())
}

/// A map of amounts, as texts.
pub(super) fn amounts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let amounts = BTreeMap::<String, Amount>::deserialize(deserializer)?;
    Ok(amounts
        .into_iter()
        .map(|(key, Amount(text))| (key, text))
        .collect())
}

/// An amount, as a text.
pub(super) fn amount<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let amount = Option::<Amount>::deserialize(deserializer)?;
    Ok(amount.map(|Amount(text)| text))
}

struct Text(String);
struct Amount(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Scalar {
                whole_numbers: false,
            })
            .map(Text)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Scalar {
                whole_numbers: true,
            })
            .map(Amount)
    }
}

struct Scalar {
    whole_numbers: bool,
}

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole_numbers {
            true => f.write_str("a quantity, such as 1 or 10Gi"),
            false => f.write_str("a text; put it in quotes"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        match self.whole_numbers {
            true => Ok(number.to_string()),
            false => Err(E::custom(format!("{number} is a number; put it in quotes"))),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
        match self.whole_numbers {
            true => Ok(number.to_string()),
            false => Err(E::custom(format!("{number} is a number; put it in quotes"))),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
        Err(E::custom(format!("{value} is a boolean; put it in quotes")))
    }
}
