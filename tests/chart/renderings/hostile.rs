//! No text that the schema lets through can change what else is rendered.
//!
//! Wherever a value holds text, and wherever users choose a key, a rendering
//! with a marker there is compared with one that has hostile text instead: they
//! have to be the same, but for that text.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::renderings::everything::{defaults, everything};
use crate::renderings::helm::{CHART, PODSEAL, merged, objects};

/// What YAML, CEL, Go templates or the shell take for something else than text.
pub(crate) const HOSTILE: [&str; 48] = [
    "true",
    "false",
    "null",
    "yes",
    "no",
    "on",
    "y",
    "N",
    "123",
    "0x1f",
    "0b1",
    "017",
    "1e3",
    "1.5",
    "1_000",
    ".inf",
    "~",
    "2001-01-01",
    "12:30:45",
    "=",
    "-",
    "--",
    "---",
    "...",
    "a: b",
    "{a: b}",
    "[a]",
    "- a",
    "# a",
    "a # b",
    "&a",
    "*a",
    "!!str a",
    "|",
    ">-",
    "%a",
    "@a",
    "`a`",
    "'",
    "\"",
    "\\",
    "' || true || '",
    "\"\n  privileged: true\n",
    "\n---\nkind: Pod\n",
    "{{ .Release.Name }}",
    "$(A)",
    "a\u{2028}\u{feff}b",
    "\t a ",
];

/// Forms in which a text may come where the schema asks for one.
const FORMS: [&str; 4] = ["TEXT", "--x=TEXT", "x.test/TEXT", "/TEXT"];

/// Maps whose keys users choose.
const KEYS: [&str; 13] = [
    "/serviceAccount/annotations",
    "/nodeSelector",
    "/podLabels",
    "/podAnnotations",
    "/resources/limits",
    "/metrics/podMonitor/labels",
    "/metrics/prometheusRule/labels",
    "/metrics/dashboard/labels",
    "/metrics/dashboard/annotations",
    "/networkPolicy/metricsFrom/0/namespaceSelector/matchLabels",
    "/devicePlugin/nodeSelector",
    "/devicePlugin/resources/limits",
    "/namespaceRules/1/namespaces/matchLabels",
];

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn of_the_chart() -> Schema {
        let mut schemas = Schemas::new();
        let path = format!("{CHART}/values.schema.json");
        let index = Compiler::new().compile(&path, &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("{error}"));
        Schema { schemas, index }
    }

    fn accepts(&self, values: &Value) -> bool {
        self.schemas.validate(values, self.index).is_ok()
    }
}

/// Where text can be.
#[derive(Debug, Clone)]
enum Place {
    /// The text at this pointer.
    Text(String),
    /// The one key of the map at this pointer.
    Key(String),
}

impl Place {
    /// All of them.
    fn all(values: &Value) -> Vec<Place> {
        let mut places = Vec::new();
        texts(values, String::new(), &mut places);
        // Keys last: with them the way to what is below them changes.
        let keys = KEYS.into_iter().filter(|map| has_keys(values, map));
        places.extend(keys.map(|map| Place::Key(map.to_owned())));
        places
    }

    /// Puts `text` there.
    fn put(&self, values: &mut Value, text: &str) {
        match self {
            Place::Text(pointer) => {
                *values.pointer_mut(pointer).expect("it is there") = json!(text)
            }
            Place::Key(pointer) => {
                let map = values.pointer_mut(pointer).expect("it is there");
                let value = map.as_object().expect("a map").values().next();
                let value = value.expect("it has a key").clone();
                *map = json!({text: value});
            }
        }
    }
}

fn has_keys(values: &Value, map: &str) -> bool {
    let map = values.pointer(map).and_then(Value::as_object);
    map.is_some_and(|map| !map.is_empty())
}

fn texts(value: &Value, pointer: String, places: &mut Vec<Place>) {
    match value {
        Value::String(_) => places.push(Place::Text(pointer)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                texts(item, format!("{pointer}/{index}"), places);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                texts(value, format!("{pointer}/{key}"), places);
            }
        }
        _ => {}
    }
}

/// A place, the form of what is put there, the marker in it, and the hostile
/// texts that take the marker's place.
struct Probe {
    place: Place,
    form: &'static str,
    marker: String,
    texts: Vec<&'static str>,
}

impl Probe {
    /// Puts this text there, in its form.
    fn put(&self, values: &mut Value, text: &str) {
        self.place.put(values, &self.form.replace("TEXT", text));
    }
}

/// The places of `base` where hostile text is accepted.
fn probes(schema: &Schema, base: &Value) -> Vec<Probe> {
    let probe = |(number, place): (usize, Place)| {
        let accepted = |form: &str, text: &str| {
            let mut values = base.clone();
            place.put(&mut values, &form.replace("TEXT", text));
            schema.accepts(&values)
        };
        let in_form = |form: &'static str| {
            let texts = HOSTILE.into_iter().filter(|text| accepted(form, text));
            let texts: Vec<_> = texts.collect();
            (!texts.is_empty()).then_some((form, texts))
        };
        let (form, texts) = FORMS.into_iter().find_map(in_form)?;
        // Kinds are in capitals, a quantity is a number in quotes, and so is a user.
        let words = [
            format!("m{number}k"),
            format!("M{number}K"),
            format!("4{number:03}7"),
        ];
        let marker = words.into_iter().find(|word| accepted(form, word));
        let marker = marker.unwrap_or_else(|| panic!("{place:?} takes {texts:?}, and no word"));
        Some(Probe {
            place,
            form,
            marker,
            texts,
        })
    };
    let places = Place::all(base).into_iter().enumerate();
    places.filter_map(probe).collect()
}

/// `value` with every marker replaced by the text that stood in its place.
fn replaced(value: &Value, texts: &[(&str, &str)]) -> Value {
    let put = |text: &String| {
        let put = |text: String, (marker, hostile): &(&str, &str)| text.replace(marker, hostile);
        texts.iter().fold(text.clone(), put)
    };
    match value {
        Value::String(text) => json!(put(text)),
        Value::Array(items) => items.iter().map(|item| replaced(item, texts)).collect(),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| (put(key), replaced(value, texts)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}

/// An object without what stands for its texts by a digest, and with the rules that
/// podseal reads as podseal reads them.
fn comparable(mut object: Value) -> Value {
    // The ConfigMap of rules is called by their digest.
    let without_digest = |name: &mut Value| {
        let begin = name.as_str().and_then(|name| name.rsplit_once("-rules-"));
        if let Some((begin, _)) = begin {
            *name = begin.into();
        }
    };
    let volumes = object.pointer_mut("/spec/template/spec/volumes");
    let volumes = volumes.and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten() {
        let name = volume.pointer_mut("/configMap/name");
        name.map(without_digest).unwrap_or_default();
    }
    if object["data"]["defaults.yaml"].is_string() {
        without_digest(&mut object["metadata"]["name"]);
    }
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        let name = webhook["name"].as_str().expect("a name").to_owned();
        if let Some((_, rest)) = name
            .split_once("defaults-")
            .and_then(|(_, name)| name.split_once('.'))
        {
            webhook["name"] = rest.into();
        }
    }
    if let Some(rules) = object["data"]["defaults.yaml"].as_str() {
        object["data"]["defaults.yaml"] = serde_saphyr::from_str(rules).expect("YAML");
    }
    object
}

/// Where two objects first differ, if they do.
fn difference(expected: &Value, rendered: &Value) -> Option<String> {
    let below = |key: &str| {
        let error = difference(&expected[key], &rendered[key])?;
        Some(format!("{key}.{error}"))
    };
    match (expected, rendered) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.keys().find_map(|key| below(key))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other);
            pairs.find_map(|(one, other)| difference(one, other))
        }
        _ if expected == rendered => None,
        _ => Some(format!("is {rendered}, where {expected} was given")),
    }
}

#[test]
fn no_text_that_the_schema_accepts_changes_what_else_is_rendered() {
    let schema = Schema::of_the_chart();
    let other = json!({
        "fullnameOverride": "",
        "image": {"digest": ""},
        "devicePlugin": {"image": {"digest": ""}},
        "certificates": {"mode": "cert-manager"},
        // What profiles there are is not known then, so rules may name any.
        "profiles": {"files": {"profile-name": null}, "configMap": "profiles-of-ours"},
    });
    // What files there may be is tried by itself: each has its name in its text.
    let no_file = json!({"profiles": {"files": {"profile-name": null}, "configMap": null}, "namespaceRules": null});
    let everything = merged(&defaults(), &everything());
    let bases = [merged(&everything, &no_file), merged(&everything, &other)];
    for key in KEYS {
        assert!(bases.iter().any(|base| has_keys(base, key)), "{key}");
    }
    let mut rendered_before = String::new();
    for base in bases {
        assert!(schema.accepts(&base));
        let mut probes = probes(&schema, &base);
        // Names, labels, notes, arguments: were it few, the schema has changed
        // and this test looks at nothing.
        assert!(probes.len() > 40, "{}", probes.len());
        // Once is enough for each.
        probes.retain(|probe| !rendered_before.contains(&probe.marker));
        let mut marked = base.clone();
        for probe in &probes {
            probe.put(&mut marked, &probe.marker);
        }
        let expected = PODSEAL.render(&marked);
        rendered_before.push_str(&expected);
        let expected = objects(&expected);
        let rounds = probes.iter().map(|probe| probe.texts.len()).max();
        for round in 0..rounds.expect("there are some") {
            let mut values = base.clone();
            let mut texts = Vec::new();
            for probe in &probes {
                let text = probe.texts.get(round).copied();
                let text = text.unwrap_or(&probe.marker);
                probe.put(&mut values, text);
                texts.push((probe.marker.as_str(), text));
            }
            let rendered = PODSEAL.objects(&values);
            assert_eq!(expected.len(), rendered.len(), "{texts:?}");
            for (expected, rendered) in expected.iter().zip(&rendered) {
                let expected = replaced(&comparable(expected.clone()), &texts);
                let rendered = comparable(rendered.clone());
                if let Some(error) = difference(&expected, &rendered) {
                    panic!("{} {error}", rendered["kind"]);
                }
            }
        }
    }
}
