//! Strings and quantities, which are read from YAML and from merged JSON alike.
//!
//! `1.10` in YAML can become a string as well as a number, and the results differ. So
//! a string has to be one, as Kubernetes requires for `env` and annotations. A quantity
//! may also be a whole number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A map of strings.
pub(super) fn strings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let strings = BTreeMap::<String, Text>::deserialize(deserializer)?;
    Ok(strings
        .into_iter()
        .map(|(key, Text(text))| (key, text))
        .collect())
}

/// A map of quantities, as strings.
pub(super) fn quantities<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let quantities = BTreeMap::<String, Quantity>::deserialize(deserializer)?;
    Ok(quantities
        .into_iter()
        .map(|(key, Quantity(text))| (key, text))
        .collect())
}

/// A quantity, as a string.
pub(super) fn quantity<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let quantity = Option::<Quantity>::deserialize(deserializer)?;
    Ok(quantity.map(|Quantity(text)| text))
}

struct Text(String);
struct Quantity(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Scalar {
                whole_numbers: false,
            })
            .map(Text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Scalar {
                whole_numbers: true,
            })
            .map(Quantity)
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
            false => f.write_str("a string; put it in quotes"),
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
